#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/notifier.hpp>

#include <cstddef>
#include <list>
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

    /// Starts `work` on the scope's executor. An exception that leaves it is logged under `name`
    /// and ends that coroutine only. Starting after request_stop() is allowed; the coroutine is
    /// cancelled at once.
    void spawn(std::string name, Awaitable<void> work);

    /// Cancels everything (Asio's terminal cancellation). Any number of times.
    void request_stop() noexcept;

    /// Waits until nothing runs; false when the deadline passed first.
    [[nodiscard]] Awaitable<bool> join(Deadline deadline);

    [[nodiscard]] std::size_t running() const noexcept;
    [[nodiscard]] const Executor& executor() const noexcept { return executor_; }

private:
    struct State;
    Executor executor_;
    std::shared_ptr<State> state_;
};

}  // namespace lovage
