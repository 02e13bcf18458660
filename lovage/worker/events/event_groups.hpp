#pragma once

#include <utility>

namespace lovage {

/// Which events a worker sends, and what Celery's commands do about that: pure.
///
/// Celery keeps a set of groups. A worker started with -E has the empty set, which means all: then
/// both commands answer "already" and change nothing (celery-wire reference, section 15.6).
class EventGroups {
public:
    explicit EventGroups(bool started_with_tasks) noexcept
        : all_{started_with_tasks}, tasks_{started_with_tasks} {}

    /// Whether task-* events are sent; worker-* events always are.
    [[nodiscard]] bool tasks() const noexcept { return tasks_; }

    /// False: "task events already enabled".
    bool enable_tasks() noexcept { return !std::exchange(tasks_, true); }
    /// False: "task events already disabled", whether or not they are sent.
    bool disable_tasks() noexcept { return !all_ && std::exchange(tasks_, false); }

private:
    bool all_;
    bool tasks_;
};

}  // namespace lovage
