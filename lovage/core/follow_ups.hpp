#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <lovage/core/canvas.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/signature.hpp>

namespace lovage {

/// What a message asks for after its task: the embed part of its body, read (celery-wire reference,
/// section 3.2).
struct FollowUps {
    std::vector<Signature> callbacks;
    std::vector<Signature> errbacks;
    Json::Array chain;  ///< The steps to come, the next one last.
    Json chord;         ///< The body of the chord whose part the task is, or null.

    [[nodiscard]] bool empty() const noexcept {
        return callbacks.empty() && errbacks.empty() && chain.empty() && chord.is_null();
    }
};

/// Reads TaskMessage::embed. The common embed without anything costs one comparison. Errors:
/// malformed, too_large, naming the part.
[[nodiscard]] Result<FollowUps> read_follow_ups(const Json& embed);

/// What is to be sent after a success: callbacks, then the next step of the chain, each with
/// `result` in front of its arguments. Errors: malformed, too_large.
[[nodiscard]] Result<CanvasPlan> plan_success(const FollowUps& follow_ups,
                                              const CanvasPlanner::Caller& caller,
                                              const Json& result);

/// What is to be sent when a chord is complete: its body with the list of results as one argument.
[[nodiscard]] Result<CanvasPlan> plan_chord_body(const Signature& body,
                                                 const CanvasPlanner::Caller& caller, Json results);

/// A task that failed, as errbacks are told.
struct FailedCall {
    Json request;    ///< A map: id, task, root_id, …
    Json exception;  ///< exc_type, exc_message, exc_module
    Json traceback;  ///< Text or null.
};

/// What is to be sent after a failure of the task `caller.id` (celery-wire reference,
/// section 14.7). `takes_failure` tells of an errback whether its function is known here and takes
/// more than one argument; all others get the task's id.
///
/// Celery differs: it calls errbacks of several arguments in the process that ran the task, with
/// request, exception and traceback as objects. Here they are sent, like all others, with these
/// three as JSON: what is sent survives the process, and has a result.
[[nodiscard]] Result<CanvasPlan> plan_errbacks(
    const std::vector<Signature>& errbacks, const CanvasPlanner::Caller& caller,
    const FailedCall& failed, const std::function<bool(const Signature&)>& takes_failure);

}  // namespace lovage
