#pragma once

#include <string>
#include <vector>

#include <lovage/core/time.hpp>
#include <lovage/events/event.hpp>
#include <lovage/events/event_state.hpp>

namespace lovage::cli {

/// Which events `lovage events` shows. Each list holds patterns with `*` and `?`; an empty list
/// lets everything pass.
struct EventFilter {
    std::vector<std::string> types;    ///< "task-failed", "worker-*".
    std::vector<std::string> tasks;    ///< Names or ids: of events of tasks only these.
    std::vector<std::string> workers;  ///< Node names.

    /// `task`: what is known of the task that the event is about; nullptr for others.
    [[nodiscard]] bool passes(const Event& event, const TaskView* task) const;
};

/// One line for a person: time (UTC), sender, type, then of a task its name and id, which `task`
/// knows when the event does not say them, then the other fields. Without a final newline; foreign
/// text is made printable.
[[nodiscard]] std::string event_line(const Event& event, const TaskView* task, bool color);

/// One line for a program: the event as it came with all of its fields, and `local_received`, as
/// Celery's receivers add it.
[[nodiscard]] std::string event_json_line(const Event& event, TimePoint received);

}  // namespace lovage::cli
