#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/json.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// A state that a running task is in: STARTED, or one of its own.
struct StateReport {
    std::shared_ptr<TaskRequest> request;
    std::string state;
    Json meta;
};

/// The latest state of each running task on its way to the result backend. A task that reports
/// faster than states are stored replaces its own, so this holds at most one a running task.
///
/// report() may be called by any thread, and long after close() (a slot that is left behind does);
/// the rest belongs to the worker's loop.
class StateReports : public std::enable_shared_from_this<StateReports> {
public:
    /// `on_news` is called on `loop` after reports came: once for however many there are.
    StateReports(Executor loop, std::function<void()> on_news);

    void report(StateReport report);
    /// Everything reported since, in no order.
    [[nodiscard]] std::vector<StateReport> take();
    /// What one task reported last, if that is not taken yet: for its end, after which it is no
    /// news any more.
    [[nodiscard]] std::optional<StateReport> take(const std::shared_ptr<TaskRequest>& request);
    /// No news from here on.
    void close();

private:
    Executor loop_;
    std::function<void()> on_news_;  // the loop's
    std::atomic<std::size_t> waiting_{0};
    std::mutex mutex_;  // guards what follows
    std::unordered_map<std::shared_ptr<TaskRequest>, StateReport> reports_;
    bool told_ = false;
    bool closed_ = false;
};

}  // namespace lovage
