#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/chord_watch.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/chord.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/worker/task_metrics.hpp>
#include <lovage/worker/workflow.hpp>

namespace lovage {

/// A part of a chord that is over although it was never counted.
struct UncountedPart {
    ChordMember member;
    /// Its own record, or that of a step before it that ended badly, so that it will never run; all
    /// that the step leads to share it. Never null.
    std::shared_ptr<const TaskMeta> record;
    bool own = true;
};

/// Records of steps that failed or were revoked, by their ids.
using BadSteps = std::unordered_map<std::string, std::shared_ptr<const TaskMeta>>;

/// Which of these members are over. A record counts when it is final; that of a step before a
/// member, when it ended badly and the member itself has none. `records`: what is stored of the
/// members.
[[nodiscard]] std::vector<UncountedPart> uncounted_parts(
    const std::vector<ChordMember>& members, std::vector<std::optional<TaskMeta>> records,
    const BadSteps& bad_steps);

/// True when the record was written less than `age` ago: its worker may be about to count the part.
[[nodiscard]] bool is_younger(const TaskMeta& record, std::chrono::milliseconds age, TimePoint now);

/// Ends chords that do not end by themselves: every worker has one, the result backend hands each
/// chord to one of them at a time.
///
/// A chord is looked at when no part has returned for a while. Complete, and its body not sent:
/// whoever was to send it is gone, it is sent now. A part is over and was not counted: it is. Its
/// size was lost with what the backend had kept: the body fails. A part that still runs, or waits
/// in a queue, is none of that, however long it takes: then only what is stored is made to stay.
///
/// Belongs to the worker's loop; not thread-safe. Lifetime: it must outlive what it returns.
class ChordSweeper {
public:
    ChordSweeper(AppCore& core, Workflow& workflow, TaskMetrics& metrics, std::string name);

    /// Looks again and again until it is cancelled; ends at once when
    /// `worker_chord_sweep_interval` is 0.
    [[nodiscard]] Awaitable<void> run();
    /// Looks once, and does what is to be done.
    [[nodiscard]] Awaitable<void> sweep();

private:
    /// A chord that was handed to this sweeper, whose body nobody else sends until then.
    struct Care {
        UnfinishedChord chord;
        ChordWatch watch;
        Deadline turn;
    };
    [[nodiscard]] Awaitable<Result<void>> care_for(UnfinishedChord due, Deadline turn);
    /// Counts members that are over, and finishes the chord when that was all.
    [[nodiscard]] Awaitable<Result<void>> count_missing(const Care* care,
                                                        std::vector<ChordPart> counted);
    [[nodiscard]] Awaitable<Result<std::vector<UncountedPart>>> find_uncounted(
        std::vector<ChordMember> missing);
    [[nodiscard]] Awaitable<Result<BadSteps>> find_bad_steps(std::vector<std::string> ids);
    [[nodiscard]] Awaitable<Result<void>> count(std::string group_id, UncountedPart part);
    /// With what has returned, or the reason why that cannot be had.
    [[nodiscard]] Awaitable<Result<void>> finish(const Care* care, Result<ChordReturns> returns);
    [[nodiscard]] Awaitable<void> end(const Care* care, ChordJoin join, std::string last);
    /// Whether the body has been sent, or has failed, already.
    [[nodiscard]] Awaitable<Result<bool>> is_over(const ChordWatch* watch);

    AppCore& core_;
    Workflow& workflow_;
    TaskMetrics& metrics_;
    std::string name_;
    std::chrono::milliseconds every_;
};

}  // namespace lovage
