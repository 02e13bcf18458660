#pragma once

#include <string_view>

namespace lovage {

/// Which events a worker sends, and what Celery's commands make of that: pure.
///
/// Celery keeps a set of groups. A worker started with -E has the empty set, which means all: then
/// both commands answer "already" and change nothing (celery-wire reference, section 15.6).
class EventGroups {
public:
    explicit EventGroups(bool started_with_tasks) noexcept
        : all_{started_with_tasks}, tasks_{started_with_tasks} {}

    /// Whether task-* events are sent; worker-* events always are.
    [[nodiscard]] bool tasks() const noexcept { return tasks_; }

    /// Celery's words for what they did.
    std::string_view enable_tasks() noexcept {
        if (tasks_) return "task events already enabled";
        tasks_ = true;
        return "task events enabled";
    }
    std::string_view disable_tasks() noexcept {
        if (all_ || !tasks_) return "task events already disabled";
        tasks_ = false;
        return "task events disabled";
    }

private:
    bool all_;
    bool tasks_;
};

}  // namespace lovage
