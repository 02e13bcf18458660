#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/notifier.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace lovage {

/// Owns the coroutines a service starts. Declare it as the last member, so that it goes first.
///
/// Not thread-safe: everything happens on the executor's loop. The destructor asserts that nothing
/// runs: call request_stop() and await join() first.
class TaskScope {
public:
    explicit TaskScope(Executor executor);
    ~TaskScope();
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

    /// Starts `work` on the scope's executor: at once, up to its first suspension, when called on
    /// that loop. An exception that leaves it is logged under `name` and ends that coroutine only.
    /// Starting after request_stop() is allowed; the coroutine is cancelled at its first
    /// suspension.
    void spawn(std::string name, Awaitable<void> work);

    /// Cancels everything (Asio's terminal cancellation). Any number of times. What `work` throws
    /// because of that is not logged.
    void request_stop() noexcept;

    /// Waits until nothing runs; false when the deadline passed first. Not from inside the scope's
    /// own work.
    [[nodiscard]] Awaitable<bool> join(Deadline deadline);

    [[nodiscard]] std::size_t running() const noexcept;
    [[nodiscard]] const Executor& executor() const noexcept { return executor_; }

private:
    struct State;
    Executor executor_;
    std::shared_ptr<State> state_;
};

}  // namespace lovage
