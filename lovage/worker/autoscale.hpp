#pragma once

#include <lovage/runtime/settings.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

namespace lovage {

/// How many slots a worker shall have for the tasks it holds: as many as there are tasks, between
/// two bounds; more at once, fewer after a while.
///
/// Celery differs: it shrinks `keepalive` after it last grew, however busy it is at that moment;
/// here nothing shrinks before all slots have not been needed for that long. It can shrink to 0;
/// here `min` is at least 1.
///
/// Pure state: it reads no clock. Not thread-safe.
class Autoscale {
public:
    using Clock = std::chrono::steady_clock;

    /// Celery's.
    static constexpr std::chrono::seconds kKeepalive{30};

    explicit Autoscale(AutoscaleRange bounds, Clock::duration keepalive = kKeepalive)
        : keepalive_{keepalive} {
        set(bounds);
    }

    /// From now on other bounds; a `min` beyond `max` is `max`.
    void set(AutoscaleRange bounds) {
        bounds_.max = std::max(bounds.max, 1U);
        bounds_.min = std::clamp(bounds.min, 1U, bounds_.max);
    }
    [[nodiscard]] const AutoscaleRange& bounds() const noexcept { return bounds_; }

    /// How many slots there shall be, when there are `slots` and the worker holds `tasks` that run
    /// or wait for a slot.
    [[nodiscard]] std::size_t slots_for(std::size_t tasks, std::size_t slots,
                                        Clock::time_point now) {
        const std::size_t wanted = std::clamp<std::size_t>(tasks, bounds_.min, bounds_.max);
        if (wanted >= slots) {
            needed_ = now;
            return wanted;
        }
        if (slots > bounds_.max) return bounds_.max;
        if (!needed_) needed_ = now;
        if (now - *needed_ < keepalive_) return slots;
        needed_ = now;  // those that stay are
        return wanted;
    }

private:
    AutoscaleRange bounds_;
    Clock::duration keepalive_;
    std::optional<Clock::time_point> needed_;  // when all slots last were
};

}  // namespace lovage
