#pragma once

#include <memory>
#include <string_view>

#include <lovage/awaitable.hpp>
#include <lovage/worker/pool.hpp>

namespace lovage {

/// Slots that are threads of this process: cheap and shared-memory, but a task that crashes takes
/// the worker with it, and one that never returns cannot be stopped.
///
/// Events arrive on `loop`, in order, several at a time when the loop is busy.
class ThreadsPool final : public Pool {
public:
    /// `slots`: 1 to 1,024 threads. `name`: "threads", or "solo" for Celery's pool of one.
    ThreadsPool(Executor loop, std::size_t slots, std::string_view name = "threads");
    /// Slots that still run a task are left behind (their state stays valid); the process must exit
    /// soon.
    ~ThreadsPool() override;

    void start(Events events) override;
    void submit(std::vector<std::shared_ptr<TaskRequest>> requests) override;
    [[nodiscard]] std::vector<std::shared_ptr<TaskRequest>> take_unstarted() override;
    /// Only as "threads".
    [[nodiscard]] bool resizable() const noexcept override { return name_ == "threads"; }
    Result<void> resize(std::size_t slots) override;
    std::size_t stop() override;

    [[nodiscard]] std::size_t slots() const noexcept override;
    [[nodiscard]] std::size_t busy() const noexcept override;
    [[nodiscard]] std::string_view name() const noexcept override { return name_; }
    [[nodiscard]] std::vector<RunningTask> running() const override;

private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    std::string_view name_;
    bool stopped_ = false;  ///< Of the loop; once it is set, for whoever destroys the pool.
};

}  // namespace lovage
