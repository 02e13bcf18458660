#include <lovage/worker/look_ahead.hpp>

#include <algorithm>

namespace lovage {

namespace {

double seconds(LookAhead::Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

constexpr double kWeight = 1.0 / 16;

/// Nothing runs faster than its own bookkeeping: keeps the quotient finite.
constexpr double kShortestRun = 5e-6;

}  // namespace

void LookAhead::on_task_settled(Duration run_time, Duration settle_time) noexcept {
    const double run = std::max(seconds(run_time), kShortestRun);
    const double settle = std::max(seconds(settle_time), 0.0);
    if (run_seconds_ < 0) {
        run_seconds_ = run;
        settle_seconds_ = settle;
        return;
    }
    run_seconds_ += kWeight * (run - run_seconds_);
    settle_seconds_ += kWeight * (settle - settle_seconds_);
}

std::uint32_t LookAhead::prefetch() const noexcept {
    if (run_seconds_ < 0) return slots_;
    const double covered = static_cast<double>(slots_) * settle_seconds_ / run_seconds_;
    // Below one whole task a slot, waiting costs less than hoarding.
    if (covered < 1) return slots_;
    return slots_ + static_cast<std::uint32_t>(std::min<double>(covered, kMost));
}

}  // namespace lovage
