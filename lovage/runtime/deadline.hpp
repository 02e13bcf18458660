#pragma once

#include <algorithm>
#include <chrono>

namespace lovage {

/// The moment by which something must be over, on the monotonic clock. Made once, at the outermost
/// call, and handed down unchanged.
class Deadline {
public:
    using Clock = std::chrono::steady_clock;

    /// `from_now` from now; clamped so that very long waits cannot overflow (one year is the
    /// longest).
    [[nodiscard]] static Deadline in(Clock::duration from_now) {
        constexpr Clock::duration kLongest = std::chrono::hours{24 * 365};
        return Deadline{Clock::now() + std::min(from_now, kLongest)};
    }
    [[nodiscard]] static Deadline at(Clock::time_point when) { return Deadline{when}; }

    [[nodiscard]] Clock::time_point time() const noexcept { return when_; }
    [[nodiscard]] bool passed() const noexcept { return Clock::now() >= when_; }
    /// Never negative.
    [[nodiscard]] Clock::duration remaining() const noexcept {
        return std::max(when_ - Clock::now(), Clock::duration::zero());
    }
    /// The earlier of this and `from_now` from now.
    [[nodiscard]] Deadline no_later_than(Clock::duration from_now) const {
        return Deadline{std::min(when_, in(from_now).when_)};
    }

private:
    explicit Deadline(Clock::time_point when) noexcept : when_{when} {}
    Clock::time_point when_;
};

}  // namespace lovage
