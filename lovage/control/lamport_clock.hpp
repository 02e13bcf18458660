#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace lovage {

/// The logical clock that workers, clients and monitors of one cluster share through what they send
/// each other: events and control messages carry it, task messages do not (celery-wire reference,
/// section 17.3; kombu's LamportClock).
///
/// Thread-safe. One a process is enough: every loop may move it.
class LamportClock {
public:
    /// The largest value taken over from others. A larger one is a peer's mistake or malice; it
    /// would bring the clock near the end of what AMQP's 64 bits can carry.
    static constexpr std::uint64_t kForeignMax = std::uint64_t{1} << 62U;

    explicit LamportClock(std::uint64_t start = 0) noexcept : value_{start} {}

    [[nodiscard]] std::uint64_t now() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

    /// Something is about to be sent; returns the value it carries.
    std::uint64_t forward() noexcept { return value_.fetch_add(1, std::memory_order_relaxed) + 1; }

    /// Something that carried `foreign` was received: the clock goes one past the larger of both.
    /// Returns the new value. A value above kForeignMax counts as none.
    std::uint64_t adjust(std::uint64_t foreign) noexcept {
        if (foreign > kForeignMax) foreign = 0;
        std::uint64_t own = now();
        std::uint64_t next = 0;
        do {
            next = std::max(own, foreign) + 1;
        } while (!value_.compare_exchange_weak(own, next, std::memory_order_relaxed));
        return next;
    }

private:
    std::atomic<std::uint64_t> value_;
};

}  // namespace lovage
