#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/canvas.hpp>
#include <lovage/core/follow_ups.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/results/chord.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/worker/chord_join.hpp>
#include <lovage/worker/durable_writer.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// A task that is over, as its workflow sees it.
struct WorkflowStep {
    std::string id;
    std::string root_id;
    std::optional<std::string> group;
    std::optional<std::int64_t> group_index;
    std::shared_ptr<const FollowUps> follow_ups;
    Json request;        ///< What errbacks are told: id, task, root_id, …
    TraceContext trace;  ///< Of everything that follows.
};
[[nodiscard]] WorkflowStep workflow_step(const TaskMessage& message,
                                         std::shared_ptr<const FollowUps> follow_ups);

/// What became of a chord's body.
enum class ChordEnd : std::uint8_t {
    abandoned,  ///< Nothing yet: it was not wanted any more.
    sent,
    failed,  ///< It has a ChordError as its result, and its errbacks were called.
};

/// `worker_chord_sweep_interval`, or an eighth of `result_expires` when that is shorter: what is
/// kept for a chord must be made to stay before it expires. For about that long a chord is one
/// worker's, the one that completed it or swept it. 0: nobody sweeps.
[[nodiscard]] std::chrono::milliseconds chord_sweep_interval(const Settings& settings);

/// Carries a workflow on after one of its tasks has ended: publishes callbacks, chain steps, chord
/// bodies and errbacks, counts parts of chords, and marks what will never run as failed.
///
/// Everything it does may be done again for the same task: ids come from the message or are made of
/// the task's id, parts count once. So a task whose worker died in between is simply run again.
///
/// Belongs to the worker's loop; not thread-safe. Lifetime: it must outlive what it returns.
class Workflow {
public:
    using Wanted = DurableWriter::Wanted;

    Workflow(AppCore& core, DurableWriter& writer) : core_{core}, writer_{writer} {}

    /// Sends what follows a success; to be done before its record is stored. Returns what the
    /// record lists as children on top. Errors: cancelled (not wanted any more); everything else:
    /// it can never be sent, though some of it may have been.
    [[nodiscard]] Awaitable<Result<Json::Array>> follow(WorkflowStep step, Json value,
                                                        Wanted wanted);

    /// Sends what the task replaced itself by. Errors: as follow().
    [[nodiscard]] Awaitable<Result<void>> replace(std::shared_ptr<TaskRequest> request,
                                                  Signature by, Wanted wanted);
    /// Makes the task's chord larger and sends the further parts; to be done before the task itself
    /// counts, or is replaced. Returns and errors: as follow().
    [[nodiscard]] Awaitable<Result<Json::Array>> add_to_chord(
        std::shared_ptr<TaskRequest> request, std::vector<TaskContext::ChordAddition> additions,
        Wanted wanted);

    /// What is to be done once the record of a task that is over is stored: its return to the
    /// chord; after a failure also the end of everything that waits for it, and, with
    /// `call_errbacks`, its errbacks. When another record was kept instead, and is a success, that
    /// one counts. False: not wanted any more, abandon it.
    [[nodiscard]] Awaitable<bool> conclude(WorkflowStep step, TaskMeta record, StoreOutcome stored,
                                           bool call_errbacks, Wanted wanted);

    /// Ends a chord on behalf of its parts: its body is sent or fails, then the chord is forgotten.
    /// `last`: what becomes the body's parent. `wanted_forgotten`: for how long the forgetting is
    /// tried once the rest is done, which is not done again.
    [[nodiscard]] Awaitable<ChordEnd> end_chord(std::string group_id, ChordJoin join, Json body,
                                                CanvasPlanner::Caller last, Wanted wanted,
                                                Wanted wanted_forgotten);

private:
    /// Sizes of chords first, then the messages, many at a time.
    [[nodiscard]] Awaitable<Result<void>> send(CanvasPlan plan, Wanted wanted);
    [[nodiscard]] Awaitable<Result<void>> start_chord(const PlannedChord* chord, Wanted wanted);
    /// Calls that were never made end like `like`, an exception and its traceback.
    [[nodiscard]] Awaitable<bool> fail_calls(std::vector<UnreachedCall> calls, TaskMeta like,
                                             CanvasPlanner::Caller by, bool call_errbacks,
                                             Wanted wanted);
    [[nodiscard]] Awaitable<bool> fail_chain(WorkflowStep step, TaskMeta like, Wanted wanted);
    [[nodiscard]] Awaitable<bool> call_errbacks(std::vector<Signature> errbacks,
                                                CanvasPlanner::Caller caller, FailedCall failed,
                                                Wanted wanted);
    [[nodiscard]] Awaitable<bool> store_all(std::vector<TaskMeta> records, Wanted wanted);
    [[nodiscard]] Awaitable<Result<ChordReturns>> count_part(ChordPart part);
    /// Counts a part of the chord with this body, which it sends when that was the last one.
    [[nodiscard]] Awaitable<bool> add_part(ChordPart part, Json body, CanvasPlanner::Caller by,
                                           Wanted wanted);
    [[nodiscard]] Awaitable<ChordEnd> finish_chord(ChordJoin join, Json body,
                                                   CanvasPlanner::Caller last, Wanted wanted);
    /// Awaits `attempt()` until it is done, no waiting would mend what is wrong, or nobody wants it
    /// any more (cancelled).
    template <class Attempt>
    [[nodiscard]] auto until_done(std::string what, Wanted wanted, Attempt attempt)
        -> decltype(attempt());

    AppCore& core_;
    DurableWriter& writer_;
};

}  // namespace lovage
