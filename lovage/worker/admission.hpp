#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <lovage/core/rate_limit.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/worker/rate_line.hpp>
#include <lovage/worker/waiting_room.hpp>

namespace lovage {

/// Whether a task whose time has come may begin: the rate limits of this worker. What may not waits
/// in the waiting room for its turn, or is sent away until about then; nobody else waits for it.
///
/// Belongs to the worker's loop. Lifetime: the waiting room must outlive it.
class Admission {
public:
    Admission(const Settings& settings, WaitingRoom& waiting);

    /// True: it may begin now. False: `request` is gone, into the waiting room or to the broker; it
    /// is asked for again when its turn comes.
    [[nodiscard]] bool admit(std::shared_ptr<TaskRequest>& request);
    /// It does not begin after all: its turn, if it has one, is another's.
    void give_back_turn(TaskRequest& request);
    /// From now on that limit instead of the task's own; who waits asks again.
    void set_limit(const TaskDefinition& task, RateLimit limit);
    /// What set_limit() was given last.
    [[nodiscard]] std::optional<RateLimit> replaced_limit(const TaskDefinition& task) const;

private:
    /// The line of a task; nullptr when its rate is not limited.
    [[nodiscard]] RateLine* line_of(const TaskDefinition& task);

    const bool limits_rates_;
    const RateLimit default_limit_;
    const std::chrono::milliseconds horizon_;
    WaitingRoom& waiting_;
    std::map<const TaskDefinition*, RateLimit> replaced_;
    std::map<const TaskDefinition*, RateLine> lines_;  // at most one a registered task
};

}  // namespace lovage
