#pragma once

#include <string>

#include <lovage/core/error.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// What the `delivery` setting means, with what overrides parts of it: one table for producers and
/// workers (docs/guides/delivery.md says it in a user's words).
///
///                              celery   durable   quorum
/// acks_late                    false    true      true
/// acks_on_failure_or_timeout   true     true      true
/// reject_on_worker_lost        false    true      true
/// mandatory                    false    true      true
/// keep_rejected                false    true      true
/// queue_type                   –        –         quorum
///
/// Celery differs: it does not wait for the broker's confirm; sends wait for it in every profile.
struct DeliveryRules {
    bool acks_late = true;                   ///< `task_acks_late`
    bool acks_on_failure_or_timeout = true;  ///< `task_acks_on_failure_or_timeout`
    bool reject_on_worker_lost = true;       ///< `task_reject_on_worker_lost`
    bool mandatory = true;                   ///< `task_publish_mandatory`
    /// What Celery would discard is kept in quarantine.
    bool keep_rejected = true;
    /// For task queues whose type is not set; empty: what the broker makes by default.
    std::string queue_type;
};
[[nodiscard]] DeliveryRules delivery_rules(const Settings& settings);

/// Refuses settings that contradict the promise: `task_acks_late=false` outside `delivery=celery`.
/// Errors: invalid_argument, naming the setting and where it came from.
[[nodiscard]] Result<void> check_delivery(const Settings& settings);
/// The same for a task's own options.
[[nodiscard]] Result<void> check_delivery(const Settings& settings, const TaskDefinition& task);

}  // namespace lovage
