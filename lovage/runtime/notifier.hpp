#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>

#include <utility>

namespace lovage {

/// Wakes coroutines of one loop that wait for "something changed".
///
/// It carries no count: a waiter re-checks its condition after every return. Between that check and
/// the start of the wait no other handler runs, so no notification slips through. Each waiter costs
/// one timer, kept in its coroutine's frame. Not thread-safe: the loop owns it.
class Notifier {
public:
    explicit Notifier(Executor executor) : executor_{std::move(executor)} {}
    /// Wakes everyone waiting.
    ~Notifier() { notify_all(); }
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;

    /// Wakes everyone waiting now. They resume on later turns of the loop, never inside this call.
    void notify_all() noexcept;

    /// Returns true when notified (or the coroutine was cancelled: its next co_await throws), false
    /// when the deadline passed first. Lifetime: `*this` must exist when the wait begins; its end
    /// wakes the waiter.
    [[nodiscard]] Awaitable<bool> wait(Deadline deadline);
    /// Waits for a notification without a deadline of its own: for service loops that end by
    /// cancellation or by being notified at stop.
    [[nodiscard]] Awaitable<void> wait();

    [[nodiscard]] const Executor& executor() const noexcept { return executor_; }

private:
    class Waiter;
    Executor executor_;
    Waiter* first_ = nullptr;
};

}  // namespace lovage
