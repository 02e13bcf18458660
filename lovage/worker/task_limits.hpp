#pragma once

#include <chrono>
#include <optional>
#include <unordered_map>

#include <lovage/core/task_definition.hpp>

namespace lovage {

/// How long a task may run; nothing: as the settings say.
struct TimeLimits {
    std::optional<std::chrono::milliseconds> soft;
    std::optional<std::chrono::milliseconds> hard;
    friend bool operator==(const TimeLimits&, const TimeLimits&) = default;
};

/// The time limits of each task: its own, or what remote control has put in their place.
/// Not thread-safe.
class TaskLimits {
public:
    void replace(const TaskDefinition& task, TimeLimits limits) { replaced_[&task] = limits; }
    /// Some limit is not the task's own any more.
    [[nodiscard]] bool replaced() const noexcept { return !replaced_.empty(); }
    [[nodiscard]] TimeLimits of(const TaskDefinition& task) const {
        const auto found = replaced_.find(&task);
        if (found != replaced_.end()) return found->second;
        return {.soft = task.options.soft_time_limit, .hard = task.options.time_limit};
    }

private:
    std::unordered_map<const TaskDefinition*, TimeLimits> replaced_;
};

}  // namespace lovage
