#pragma once

#include <lovage/core/time.hpp>

namespace lovage::testing {

/// Stops the wall clock as Lovage sees it, in this process, for as long as it lives: times of
/// retries, expiry, and what tasks read from wall_clock_now(). One at a time. Waits are made with
/// another clock and last as long as they last.
class ManualClock {
public:
    explicit ManualClock(TimePoint now) : now_{now} { detail::set_wall_clock(now_); }
    ~ManualClock() { detail::set_wall_clock(std::nullopt); }
    ManualClock(const ManualClock&) = delete;
    ManualClock& operator=(const ManualClock&) = delete;

    [[nodiscard]] TimePoint now() const noexcept { return now_; }
    void set(TimePoint now) {
        now_ = now;
        detail::set_wall_clock(now_);
    }
    void advance(std::chrono::microseconds by) { set(now_ + by); }

private:
    TimePoint now_;
};

}  // namespace lovage::testing
