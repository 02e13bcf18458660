#pragma once

#include <cstdint>

#include <lovage/app/delivery.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/worker/task_outcome.hpp>

namespace lovage {

/// What becomes of the message of an attempt that has ended.
enum class Settlement : std::uint8_t {
    nothing,     ///< It was acknowledged when the task started.
    ack,         ///< It is gone.
    requeue,     ///< It goes back to its queue.
    discard,     ///< Rejected: dead-lettered where the queue has that, else gone.
    quarantine,  ///< Kept in "<queue>.quarantine", then acknowledged.
};

/// Celery's three words on acknowledging, for one task (celery-wire reference, section 10.2).
struct AckRules {
    /// False: acknowledged when the task starts, so that it runs at most once.
    bool acks_late = true;
    /// False: the message of a failed attempt is no longer wanted as done.
    bool acks_on_failure_or_timeout = true;
    /// True: the message of an attempt whose slot died goes back to its queue.
    bool reject_on_worker_lost = true;
    /// What Celery discards is kept in quarantine: nothing accepted vanishes. False only under
    /// `delivery=celery`.
    bool keep_rejected = true;
};

/// The rules for one task: its own options, else what the settings say.
[[nodiscard]] AckRules ack_rules(const DeliveryRules& delivery,
                                 const TaskOptions& options) noexcept;

/// What to do with the message, once everything that must be durable before is durable.
[[nodiscard]] Settlement settlement_of(const TaskOutcome& outcome, const AckRules& rules) noexcept;

}  // namespace lovage
