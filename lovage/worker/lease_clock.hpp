#pragma once

#include <algorithm>
#include <chrono>

namespace lovage {

/// When the holder of a lease has to renew it. The time of a lease counts, at the store, from some
/// moment after the holder asked for it, so the holder counts from when it asked. Pure.
class LeaseClock {
public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    LeaseClock(std::chrono::milliseconds length, Time asked)
        : length_{length}, asked_{asked}, next_{asked + length / 3} {}

    [[nodiscard]] std::chrono::milliseconds length() const noexcept { return length_; }
    /// The next renewal: two of them may fail before the lease lapses.
    [[nodiscard]] Time next() const noexcept { return next_; }
    /// The store renewed it, asked at `asked`.
    void renewed(Time asked) noexcept {
        asked_ = asked;
        next_ = asked + length_ / 3;
    }
    /// The store did not answer, or did not know: to be tried again soon.
    void failed(Time now) noexcept {
        next_ = now + std::min<Clock::duration>(length_ / 10, std::chrono::seconds{1});
    }
    /// Others may take it, unless it was renewed unheard.
    [[nodiscard]] bool may_have_lapsed(Time now) const noexcept { return now - asked_ >= length_; }

private:
    std::chrono::milliseconds length_;
    Time asked_;
    Time next_;
};

}  // namespace lovage
