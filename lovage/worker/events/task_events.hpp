#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lovage/events/event_fields.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// What an event says, without who says it and when.
struct EventText {
    std::string_view type;
    EventFields fields;
};

// The worker's task events (celery-wire reference, section 15.4); pure.

[[nodiscard]] EventText received_event(const TaskRequest& request);
[[nodiscard]] EventText started_event(const TaskRequest& request);
/// How an attempt ended, once that is durable; nothing for a task that was ignored.
[[nodiscard]] std::optional<EventText> ended_event(const TaskRequest& request,
                                                   const TaskOutcome& outcome);
/// Of a message whose task this worker does not know.
[[nodiscard]] EventText unknown_task_event(std::string_view task_id, const std::string& task);

}  // namespace lovage
