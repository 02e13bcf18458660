#pragma once

#include <memory>

#include <lovage/awaitable.hpp>
#include <lovage/worker/pool.hpp>
#include <lovage/worker/threads_pool.hpp>

namespace lovage {

/// Tasks that are coroutines, thousands at a time on one thread of their own. One that does not
/// await holds up all others, and one that crashes takes the worker with it.
///
/// Plain functions would stop that thread, so they run on a few helper threads. A stop (terminate,
/// soft time limit, shutdown) cancels what a coroutine waits for: the wait throws
/// `operation_aborted`.
class CoroutinePool final : public Pool {
public:
    /// The number of tasks at a time when nobody says otherwise.
    static constexpr std::size_t kDefaultSlots = 1'000;
    /// A slot is little more than the task it runs.
    static constexpr std::size_t kCoroutinesMost = 100'000;

    /// `slots`: 1 to 100,000 coroutines at a time. Events arrive on `loop`.
    CoroutinePool(Executor loop, std::size_t slots);
    /// A thread whose task does not return is left behind; the process must exit soon.
    ~CoroutinePool() override;

    void start(Events events) override;
    void submit(std::vector<std::shared_ptr<TaskRequest>> requests) override;
    [[nodiscard]] std::vector<std::shared_ptr<TaskRequest>> take_unstarted() override;
    /// Waits up to a second for tasks that were asked to stop.
    std::size_t stop() override;

    [[nodiscard]] std::size_t slots_most() const noexcept override { return kCoroutinesMost; }
    [[nodiscard]] std::size_t slots() const noexcept override;
    [[nodiscard]] std::size_t busy() const noexcept override;
    [[nodiscard]] std::string_view name() const noexcept override { return "coroutine"; }
    [[nodiscard]] std::vector<RunningTask> running() const override;

private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    ThreadsPool helpers_;
};

}  // namespace lovage
