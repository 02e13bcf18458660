#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <lovage/brokers/broker.hpp>
#include <lovage/core/follow_ups.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_hooks.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/unique.hpp>
#include <lovage/worker/acknowledgement.hpp>
#include <lovage/worker/task_outcome.hpp>

namespace lovage {

namespace journal {
class InFlightFile;
}

/// The wish for a place under a concurrency limit.
struct PlaceCall {
    std::string key;       ///< Names of the places begin with it, in the state store.
    std::size_t most = 1;  ///< How many there are.
};

/// One delivered task on its way through the worker.
struct TaskRequest {
    TaskMessage message;
    const TaskDefinition* definition = nullptr;
    const TaskHooks* hooks = nullptr;  ///< The program's, if any.
    Delivery delivery;                 ///< The message as it came, for quarantine.
    std::shared_ptr<TaskContext> context;
    std::shared_ptr<const FollowUps> follow_ups;     ///< nullptr: nothing comes after the task.
    std::chrono::steady_clock::time_point received;  ///< by the worker; at its ETA when it was held

    /// The limits in force: the message's, else the task's, else the settings'.
    std::optional<std::chrono::milliseconds> time_limit;
    std::optional<std::chrono::milliseconds> soft_time_limit;
    std::chrono::steady_clock::time_point soft_limit_at;  ///< SoftLimits' own.
    AckRules acknowledge;
    /// Its turn under a rate limit, see Admission; nothing: it has none yet.
    std::optional<std::chrono::steady_clock::time_point> turn;
    /// What KeyGate asks the state store for.
    std::optional<PlaceCall> place;
    std::optional<UniqueCall> unique;
    bool judged = false;       ///< It is no duplicate; KeyGate's.
    std::uint64_t ticket = 0;  ///< Its place in line, see KeyLines; 0: it has not asked yet.
    /// The epoch: it never was in line.
    std::chrono::steady_clock::time_point in_line_since;
    /// Where the attempt is noted while it runs; may be null.
    std::shared_ptr<journal::InFlightFile> journal;
    /// The signal that it was terminated with, for whoever is told of its end.
    std::optional<int> terminated_with;
    /// Somebody needs to know when it starts: see Pool::Events::started.
    bool report_start = false;
};

/// The context of an attempt at `message`; `in_chord`: it is a part of one; `hostname` is the
/// worker's node name.
[[nodiscard]] std::shared_ptr<TaskContext> make_context(const TaskMessage& message, bool in_chord,
                                                        const TaskDefinition& task,
                                                        const Delivery& delivery,
                                                        std::string hostname);

/// Why a task must not start after all, at this moment: "revoked" or "expired"; empty: it may.
[[nodiscard]] std::string reason_not_to_start(const TaskRequest& request);

/// Runs the task's function on the calling thread with the request's context current, unless it has
/// expired or was revoked; a coroutine runs to its end there. Whatever it throws becomes the
/// outcome: this never throws.
[[nodiscard]] TaskOutcome run_task(const TaskRequest& request) noexcept;

}  // namespace lovage
