#pragma once

#include <chrono>
#include <cstdint>

namespace lovage {

/// How many deliveries a worker asks for beyond its slots.
///
/// A slot that ends a task waits until the result is stored, the delivery acked and the next one
/// fetched. For long tasks that is nothing, and a delivery held in reserve would only keep an idle
/// neighbour from it (reference users-pains C.1 #13). For tasks shorter than that round trip the
/// slots would idle most of the time, so the look-ahead grows to cover it: slots × round trip ÷ run
/// time, at most `kMost`.
///
/// Pure state, exponentially averaged over about the last 16 tasks. Not thread-safe.
class LookAhead {
public:
    static constexpr std::uint32_t kMost = 512;
    using Duration = std::chrono::steady_clock::duration;

    explicit LookAhead(std::uint32_t slots) : slots_{slots} {}

    /// From now on there are so many.
    void set_slots(std::uint32_t slots) noexcept { slots_ = slots; }
    [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }

    /// One task ended: it ran for `run_time`, and storing its result and acking took `settle_time`.
    void on_task_settled(Duration run_time, Duration settle_time) noexcept;

    /// Slots plus the current look-ahead: at least `slots`, at most `slots + kMost`.
    [[nodiscard]] std::uint32_t prefetch() const noexcept;

private:
    std::uint32_t slots_;
    double run_seconds_ = -1;  // negative: no task seen yet
    double settle_seconds_ = 0;
};

}  // namespace lovage
