#include <lovage/worker/workflow.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <utility>

#include <lovage/app/planned_send.hpp>
#include <lovage/core/chord_watch.hpp>
#include <lovage/core/replace.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/for_each.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/chord_join.hpp>
#include <lovage/worker/task_record.hpp>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// One call of the result backend (reliability contract, clause 8).
constexpr auto kAttempt = 30s;
/// Messages of a group under way at a time, and sizes of chords: the answers come together.
constexpr std::size_t kAtOnce = 256;

bool mendable(Errc code) {
    return code != Errc::too_large && code != Errc::invalid_argument && code != Errc::malformed;
}

TaskMeta failure_record(const TaskFailure& failure) {
    return make_failure_meta({}, failure);
}

/// What an errback with several parameters is told of the task that failed.
Json errback_request(const TaskMessage& failed, const std::string& root_id) {
    const auto or_null = [](const std::optional<std::string>& text) {
        return text ? Json{*text} : Json{};
    };
    return Json::object({{"id", failed.id},
                         {"task", failed.task},
                         {"root_id", root_id},
                         {"parent_id", or_null(failed.parent_id)},
                         {"group", or_null(failed.group)},
                         {"retries", failed.retries},
                         {"argsrepr", failed.argsrepr},
                         {"kwargsrepr", failed.kwargsrepr}});
}

/// Of a chord's body that will not be sent, Celery calls the errbacks of the body as a whole, once,
/// and tells them of the task it ends with. A group has no such task: those of its members.
void keep_errbacks_of_body(const Signature& body, std::vector<UnreachedCall>& calls) {
    if (body.type == SignatureType::group || calls.empty()) return;
    for (UnreachedCall& call : calls) call.errbacks = {};
    const Json* const own = body.option("link_error");
    if (own != nullptr) calls.back().errbacks = *own;
}

/// What it is told of one that was never sent.
Json errback_request(const UnreachedCall& call, const std::string& root_id) {
    TaskMessage message;
    message.id = call.task_id;
    message.task = call.task;
    message.group = call.group_id;
    return errback_request(message, root_id);
}

/// The parent of what follows it.
CanvasPlanner::Caller caller(const WorkflowStep& step) {
    return {step.id, step.root_id, wall_clock_now(), step.trace};
}

}  // namespace

WorkflowStep workflow_step(const TaskMessage& message,
                           std::shared_ptr<const FollowUps> follow_ups) {
    WorkflowStep step{message.id,
                      message.root_id,
                      message.group,
                      message.group_index,
                      std::move(follow_ups),
                      {},
                      trace_context_of(message.user_headers)};
    if (step.root_id.empty()) step.root_id = message.id;
    if (step.follow_ups->errbacks.empty()) return step;
    step.request = errback_request(message, step.root_id);
    return step;
}

template <class Attempt>
auto Workflow::until_done(std::string what, Wanted wanted, Attempt attempt) -> decltype(attempt()) {
    for (int count = 0; !writer_.giving_up() && wanted(); ++count) {
        auto done = co_await attempt();
        if (done || !mendable(done.error().code)) co_return done;
        if (count % 8 == 0) {
            log::warning("worker", "{}: {}; it is tried again", what, done.error().message());
        }
        co_await writer_.pause_before_retry(count);
    }
    co_return fail(Errc::cancelled, "it is not wanted any more");
}

// ---- Sending

Awaitable<Result<void>> Workflow::start_chord(const PlannedChord* chord, Wanted wanted) {
    const ChordStart start{chord->group_id, chord->size, chord->structure, chord->watch};
    co_return co_await until_done(
        "Chord " + chord->group_id + ": its size is not stored yet", std::move(wanted),
        [&] { return core_.results().start_chord(start, Deadline::in(kAttempt)); });
}

Awaitable<Result<void>> Workflow::send(CanvasPlan plan, Wanted wanted) {
    const auto start = [&](std::size_t i) { return start_chord(&plan.chords[i], wanted); };
    const auto send_one = [&](std::size_t i) {
        return writer_.send_follow_up(prepare_planned(core_, std::move(plan.calls[i])), wanted);
    };
    try {
        auto done = co_await for_each_index(plan.chords.size(), kAtOnce, start, OnFailure::finish);
        if (!done) co_return done;
        if (plan.calls.size() == 1) co_return co_await send_one(0);
        co_return co_await for_each_index(plan.calls.size(), kAtOnce, send_one, OnFailure::finish);
    } catch (const std::bad_alloc&) {
        co_return fail(Errc::internal, "there is no memory for the messages");
    }
}

Awaitable<Result<Json::Array>> Workflow::follow(WorkflowStep step, Json value, Wanted wanted) {
    const FollowUps& follow_ups = *step.follow_ups;
    if (follow_ups.callbacks.empty() && follow_ups.chain.empty()) co_return Json::Array{};
    auto plan = plan_success(follow_ups, caller(step), value);
    if (!plan) co_return std::unexpected{std::move(plan.error())};
    Json::Array children = std::move(plan->children);
    auto sent = co_await send(std::move(*plan), std::move(wanted));
    if (!sent) co_return std::unexpected{std::move(sent.error())};
    co_return children;
}

// ---- Tasks that change their own workflow

Awaitable<Result<void>> Workflow::replace(std::shared_ptr<TaskRequest> request, Signature by,
                                          Wanted wanted) {
    static const FollowUps nothing;
    const FollowUps& follow_ups = request->follow_ups ? *request->follow_ups : nothing;
    auto plan = plan_replacement(request->message, follow_ups, std::move(by),
                                 request->delivery.queue, wall_clock_now());
    if (!plan) co_return std::unexpected{std::move(plan.error())};
    co_return co_await send(std::move(*plan), std::move(wanted));
}

Awaitable<Result<Json::Array>> Workflow::add_to_chord(
    std::shared_ptr<TaskRequest> request, std::vector<TaskContext::ChordAddition> additions,
    Wanted wanted) {
    Json::Array children;
    for (TaskContext::ChordAddition& addition : additions) {
        if (!request->follow_ups) {
            co_return fail(Errc::invalid_argument, "the task is no part of a chord");
        }
        auto plan = plan_chord_addition(request->message, *request->follow_ups,
                                        std::move(addition.signature), addition.id,
                                        request->delivery.queue, wall_clock_now());
        if (!plan) co_return std::unexpected{std::move(plan.error())};
        const std::string group_id = request->message.group.value_or("");
        auto grown = co_await until_done(
            "Chord " + group_id + ": its further part is not counted yet", wanted, [&] {
                return core_.results().grow_chord(group_id, addition.id, Deadline::in(kAttempt));
            });
        if (!grown) co_return std::unexpected{std::move(grown.error())};
        children.insert(children.end(), std::make_move_iterator(plan->children.begin()),
                        std::make_move_iterator(plan->children.end()));
        auto sent = co_await send(std::move(*plan), wanted);
        if (sent) continue;
        if (sent.error().code != Errc::cancelled) {
            // The chord counts on it by now.
            UnreachedCall call{addition.id, {}, group_id, {}, request->follow_ups->chord, {}};
            TaskMeta failed =
                failure_record(chord_error("A further part was not sent: " + sent.error().detail));
            CanvasPlanner::Caller by{request->message.id, request->message.root_id,
                                     wall_clock_now()};
            std::vector<UnreachedCall> calls;
            calls.push_back(std::move(call));
            (void)co_await fail_calls(std::move(calls), std::move(failed), std::move(by), false,
                                      wanted);
        }
        co_return std::unexpected{std::move(sent.error())};
    }
    co_return children;
}

// ---- After the record

Awaitable<bool> Workflow::conclude(WorkflowStep step, TaskMeta record, StoreOutcome outcome,
                                   bool errbacks_wanted, Wanted wanted) {
    if (record.status != states::kSuccess && outcome == StoreOutcome::kept_existing) {
        auto stored = co_await until_done(
            "Task " + step.id + ": its record is not read yet", wanted,
            [&] { return core_.results().get(step.id, Deadline::in(kAttempt)); });
        if (!stored && stored.error().code == Errc::cancelled) co_return false;
        // An earlier run of this message succeeded, and the workflow went on with that.
        if (stored && *stored && (*stored)->status == states::kSuccess) {
            record = std::move(**stored);
        }
    }
    if (!step.follow_ups->chord.is_null() && step.group) {
        ChordPart part{*step.group, step.group_index, step.id, record.status, record.result};
        if (!co_await add_part(std::move(part), step.follow_ups->chord, caller(step), wanted)) {
            co_return false;
        }
    }
    if (record.status == states::kSuccess) co_return true;
    if (!co_await fail_chain(step, record, wanted)) co_return false;
    if (!errbacks_wanted || step.follow_ups->errbacks.empty()) co_return true;
    const Json traceback = record.traceback ? Json{*record.traceback} : Json{};
    co_return co_await call_errbacks(step.follow_ups->errbacks, caller(step),
                                     {step.request, record.result, traceback}, wanted);
}

/// Celery differs: a revoked step leaves the rest of its chain, and the chord that waits for it,
/// without a word. Here both end as after a failure. And of what is never reached, also what a
/// chord or group would have ended with gets a record, since that is what a client waits for.
Awaitable<bool> Workflow::fail_chain(WorkflowStep step, TaskMeta like, Wanted wanted) {
    std::vector<UnreachedCall> unreached;
    const Json::Array& chain = step.follow_ups->chain;
    for (auto next = chain.rbegin(); next != chain.rend(); ++next) {
        const auto signature = decode_signature(*next, "a step of the chain");
        auto calls = signature
                         ? unreached_calls(*signature)
                         : Result<std::vector<UnreachedCall>>{std::unexpected{signature.error()}};
        if (!calls) {
            log::error("worker", "Task {}: what follows it cannot be marked as failed: {}", step.id,
                       calls.error().detail);
            continue;
        }
        unreached.insert(unreached.end(), std::make_move_iterator(calls->begin()),
                         std::make_move_iterator(calls->end()));
    }
    if (unreached.empty()) co_return true;
    co_return co_await fail_calls(std::move(unreached), std::move(like), caller(step), false,
                                  std::move(wanted));
}

Awaitable<bool> Workflow::fail_calls(std::vector<UnreachedCall> calls, TaskMeta like,
                                     CanvasPlanner::Caller by, bool errbacks_wanted,
                                     Wanted wanted) {
    TaskMeta record;
    record.status = like.status;
    record.result = like.result;
    record.traceback = like.traceback;
    record.date_done = to_iso8601(wall_clock_now());
    std::vector<TaskMeta> records;
    records.reserve(calls.size());
    for (const UnreachedCall& call : calls) {
        record.task_id = call.task_id;
        record.group_id = call.group_id;
        records.push_back(record);
    }
    if (!co_await store_all(std::move(records), wanted)) co_return false;
    const Json traceback = like.traceback ? Json{*like.traceback} : Json{};
    for (UnreachedCall& call : calls) {
        by.id = call.task_id;
        if (!call.chord.is_null() && call.group_id) {
            ChordPart part{*call.group_id, call.group_index, call.task_id, like.status,
                           like.result};
            if (!co_await add_part(std::move(part), call.chord, by, wanted)) co_return false;
        }
        if (!errbacks_wanted || call.errbacks.is_null()) continue;
        auto errbacks = decode_signatures(call.errbacks, "errbacks");
        if (!errbacks) {
            log::error("worker", "Task {}: {}", call.task_id, errbacks.error().detail);
            continue;
        }
        const bool called = co_await call_errbacks(
            std::move(*errbacks), by, {errback_request(call, by.root_id), like.result, traceback},
            wanted);
        if (!called) co_return false;
    }
    co_return true;
}

Awaitable<bool> Workflow::call_errbacks(std::vector<Signature> errbacks,
                                        CanvasPlanner::Caller caller, FailedCall failed,
                                        Wanted wanted) {
    auto plan = plan_errbacks(errbacks, caller, failed, [this](const Signature& errback) {
        const TaskDefinition* const task = core_.registry().find(errback.task);
        return task != nullptr && task->parameters.size() > 1;
    });
    Result<void> sent = plan ? Result<void>{} : std::unexpected{plan.error()};
    if (sent) sent = co_await send(std::move(*plan), std::move(wanted));
    if (!sent && sent.error().code == Errc::cancelled) co_return false;
    if (!sent) {
        log::error("worker", "Task {}: its errbacks cannot be called: {}", caller.id,
                   sent.error().message());
    }
    co_return true;
}

Awaitable<bool> Workflow::store_all(std::vector<TaskMeta> records, Wanted wanted) {
    const auto stored = co_await core_.results().store_many(records, Deadline::in(kAttempt));
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (i < stored.size() && stored[i]) continue;
        if (!co_await writer_.store(std::move(records[i]), wanted)) co_return false;
    }
    co_return true;
}

// ---- Chords

std::chrono::milliseconds chord_sweep_interval(const Settings& settings) {
    const std::chrono::milliseconds wanted = settings.worker_chord_sweep_interval;
    const std::chrono::milliseconds kept = settings.result_expires.value_or(0s);
    if (wanted.count() == 0 || kept.count() == 0) return wanted;
    return std::max<std::chrono::milliseconds>(std::min(wanted, kept / 8), 1ms);
}

Awaitable<Result<ChordReturns>> Workflow::count_part(ChordPart part) {
    if (failpoint::fails(failpoint::Point::part_uncounted)) {
        co_return fail(Errc::unavailable, "failpoint: the part is not counted");
    }
    auto counted = co_await core_.results().add_chord_part(std::move(part), Deadline::in(kAttempt));
    if (counted && failpoint::fails(failpoint::Point::part_counted)) {
        co_return fail(Errc::unknown_outcome, "failpoint: the answer was not heard");
    }
    co_return counted;
}

Awaitable<bool> Workflow::add_part(ChordPart part, Json body, CanvasPlanner::Caller by,
                                   Wanted wanted) {
    const std::string group_id = part.group_id;
    const auto turn = chord_sweep_interval(core_.settings());
    while (true) {
        // Whoever is told that the chord is complete sends the body, unless that takes too long: he
        // asks again then whether it is still his to do, since a sweeper may have taken the chord.
        Deadline until = Deadline::in(turn);
        auto returns = co_await until_done(
            "Task " + part.task_id + ": its return to chord " + group_id + " is not counted yet",
            wanted, [&] {
                until = Deadline::in(turn);
                return count_part(part);
            });
        if (!returns && returns.error().code == Errc::cancelled) co_return false;
        if (returns && returns->unwatched) {
            const Json watch = encode_chord_watch(body, by.root_id, {});
            const auto noted = co_await until_done(
                "Chord " + group_id + ": sweepers do not know of it yet", wanted, [&] {
                    return core_.results().watch_chord(group_id, watch, Deadline::in(kAttempt));
                });
            if (!noted && noted.error().code == Errc::cancelled) co_return false;
        }
        if (returns && !returns->complete) co_return true;
        ChordJoin join;
        if (returns) {
            join = join_chord(*returns);
        } else {
            join.failure = chord_error("Join error: " + returns.error().detail);
        }
        if (join.incomplete) co_return true;
        const Wanted mine = turn.count() == 0 ? wanted : wanted.no_later_than(until);
        const ChordEnd end = co_await end_chord(group_id, std::move(join), body, by, mine, wanted);
        if (end != ChordEnd::abandoned) co_return true;
        if (writer_.giving_up() || !wanted()) co_return false;
    }
}

Awaitable<ChordEnd> Workflow::end_chord(std::string group_id, ChordJoin join, Json body,
                                        CanvasPlanner::Caller last, Wanted wanted,
                                        Wanted wanted_forgotten) {
    const ChordEnd end =
        co_await finish_chord(std::move(join), std::move(body), std::move(last), std::move(wanted));
    if (end == ChordEnd::abandoned) co_return end;
    // Celery differs: it leaves the keys of a chord that failed until they expire. Tried once
    // whatever is wanted: as long as it is not forgotten, somebody may end it once more.
    const auto forget = [&] { return core_.results().end_chord(group_id, Deadline::in(kAttempt)); };
    if (co_await forget()) co_return end;
    (void)co_await until_done("Chord " + group_id + ": it is not forgotten yet",
                              std::move(wanted_forgotten), forget);
    co_return end;
}

Awaitable<ChordEnd> Workflow::finish_chord(ChordJoin join, Json body, CanvasPlanner::Caller last,
                                           Wanted wanted) {
    auto signature = decode_signature(body, "the body of the chord");
    if (!signature) {
        log::error("worker", "Task {}: {}", last.id, signature.error().detail);
        co_return ChordEnd::failed;
    }
    if (!join.failure) {
        auto plan = plan_chord_body(*signature, last, std::move(join.results));
        Result<void> sent = plan ? Result<void>{} : std::unexpected{plan.error()};
        if (sent) sent = co_await send(std::move(*plan), wanted);
        if (sent) co_return ChordEnd::sent;
        if (sent.error().code == Errc::cancelled) co_return ChordEnd::abandoned;
        join.failure = chord_error("Callback error: " + sent.error().detail);
    }
    log::error("worker", "Chord of task {}: {}", signature->task, join.failure->exc_message);
    // The same ids that the body would have been sent under.
    auto frozen = freeze(*signature, last.id, "chord");
    auto calls = frozen ? unreached_calls(*signature)
                        : Result<std::vector<UnreachedCall>>{std::unexpected{frozen.error()}};
    if (!calls) {
        log::error("worker", "Chord of task {}: {}", signature->task, calls.error().detail);
        co_return ChordEnd::failed;
    }
    keep_errbacks_of_body(*signature, *calls);
    const bool done = co_await fail_calls(std::move(*calls), failure_record(*join.failure), last,
                                          true, std::move(wanted));
    co_return done ? ChordEnd::failed : ChordEnd::abandoned;
}

}  // namespace lovage
