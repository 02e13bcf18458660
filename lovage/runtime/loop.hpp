#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace lovage {

/// One single-threaded event loop: an Asio io_context and the one thread that runs it.
///
/// Objects belong to a loop; other threads hand work over with post(). Thread-safe.
class Loop {
public:
    /// `name` becomes the thread's name (15 characters are kept).
    explicit Loop(std::string name);
    /// Stops and joins.
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Starts the thread. Calling it again does nothing.
    void start();
    /// Runs the loop on the calling thread until stop(): for programs whose main thread is the
    /// loop.
    void run_here();
    /// Ends the loop after the handler that runs now; queued work is dropped. Any thread, any
    /// number of times.
    void stop() noexcept;
    /// stop(), then waits for the loop's own thread. Not from that thread.
    void stop_and_join() noexcept;

    [[nodiscard]] Executor executor() const;
    [[nodiscard]] bool on_loop_thread() const noexcept;

    /// Runs `work` on the loop, soon. An exception that leaves it ends the program.
    void post(std::move_only_function<void()> work);

    /// Runs a coroutine on the loop and blocks the calling thread for its end; exceptions pass
    /// through. Needs a loop that runs or will: one that was stopped keeps the caller waiting until
    /// it is destroyed. Throws LovageError: invalid_argument when called on the loop's own thread
    /// (that would never end), closed when the loop was destroyed first.
    void run_blocking(Awaitable<void> work);
    template <class T>
    T run_blocking(Awaitable<T> work) {
        std::optional<T> value;
        run_blocking(assign(std::move(work), &value));
        return std::move(*value);
    }

    /// Calls a plain function on the loop and blocks the calling thread until it has returned; else
    /// as run_blocking().
    template <std::invocable F>
    void call(F function) {
        run_blocking(called(std::move(function)));
    }

private:
    template <class F>
    static Awaitable<void> called(F function) {
        function();
        co_return;
    }
    template <class T>
    static Awaitable<void> assign(Awaitable<T> work, std::optional<T>* value) {
        value->emplace(co_await std::move(work));
    }
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lovage
