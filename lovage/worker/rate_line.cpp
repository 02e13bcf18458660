#include <lovage/worker/rate_line.hpp>

#include <algorithm>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;

constexpr auto kHeldMost = 10min;

}  // namespace

RateLine::RateLine(RateLimit limit, std::chrono::milliseconds horizon)
    : interval_{std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>{1 / limit.per_second})},
      wait_most_{std::max<Clock::duration>(horizon,
                                           std::min<Clock::duration>(2 * interval_, kHeldMost))} {}

RateLine::Time RateLine::take(Time now) noexcept {
    if (now < spare_until_) return std::exchange(spare_until_, Time{}) - interval_;
    const Time turn = next(now);
    next_ = turn + interval_;
    return turn;
}

void RateLine::give_back(Time turn) noexcept {
    if (next_ == turn + interval_) {
        next_ = turn;  // as if nobody had taken it
    } else {
        spare_until_ = std::max(spare_until_, turn + interval_);
    }
}

std::chrono::milliseconds RateLine::stay_away(Time now) noexcept {
    const Time latest = now + kSpread * interval_;
    away_ = std::max(away_, next(now)) + interval_;
    if (away_ > latest) away_ = next(now) + interval_;  // and from the beginning
    return std::chrono::ceil<std::chrono::milliseconds>(away_ - now);
}

}  // namespace lovage
