#include <lovage/app/canvas_send.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/group_result.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/app/planned_send.hpp>
#include <lovage/brokers/declaration.hpp>
#include <lovage/core/canvas.hpp>
#include <lovage/core/compose.hpp>
#include <lovage/core/python_repr.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/for_each.hpp>

namespace lovage::detail {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Messages of a canvas under way at a time, and sizes of its chords: the answers come together.
constexpr std::size_t kAtOnce = 512;

/// A canvas turned into messages.
struct PreparedCanvas {
    std::string id;
    CanvasPlan plan;
    Json result;
    /// Groups under ids that nobody has known before.
    std::vector<std::string> new_groups;
    std::vector<std::string> marks;  ///< Sent-markers to leave.
    Deadline deadline;
    std::optional<Error> error;
    std::shared_ptr<TaskContext::Trail> trail;  ///< Of the task that sends; nullptr outside of one.
};

/// No broker would take a message that is larger: known before the first one is sent.
Result<void> check_sizes(const std::vector<PlannedCall>& calls) {
    constexpr std::size_t kBytesMax = MessageLimits{}.body_bytes_max;
    for (const PlannedCall& call : calls) {
        if (call.bytes <= kBytesMax / 8) continue;  // needs no encoding to be known
        const std::size_t bytes = encode_task_message(call.message).body.size();
        if (bytes <= kBytesMax) continue;
        return fail(Errc::too_large,
                    fmt::format("the message of '{}' in the canvas takes {} bytes; at most {} are "
                                "allowed (store large data elsewhere and send a reference)",
                                call.message.task, bytes, kBytesMax));
    }
    return {};
}

/// What a canvas ends with and others will send: whoever holds its result asks for these ids, and
/// no message of ours leaves a sent-marker for them.
std::vector<std::string> sent_later(const std::shared_ptr<AppCore>& core, const Json& result,
                                    const std::vector<PlannedCall>& calls) {
    std::unordered_set<std::string_view> sent_now;
    for (const PlannedCall& call : calls) sent_now.insert(call.message.id);
    std::vector<std::string> later;
    for (const std::string& id : GroupResultBase{core, result}.task_ids()) {
        if (!sent_now.contains(id)) later.push_back(id);
    }
    return later;
}

/// For messages: "task 'add'", "chain 'celery.chain'".
std::string name_of(const Signature& signature) {
    return fmt::format("{} '{}'", to_string(signature.type), signature.task);
}

/// `new_id`: it was made for this canvas.
Result<void> plan_canvas(AppCore& core, Signature canvas, const SendOptions& options, bool new_id,
                         PreparedCanvas& prepared) {
    if (auto problem = problem_with(options, name_of(canvas))) {
        return std::unexpected{std::move(*problem)};
    }
    if (auto stamped = add_stamps(canvas, options.stamps); !stamped) return stamped;
    canvas.options.erase("task_id");  // prepared.id is that, or stands above it
    auto frozen = freeze(canvas, prepared.id, "canvas", prepared.id, core.client_id(),
                         new_id ? &prepared.new_groups : nullptr);
    if (!frozen) return frozen;
    auto result = result_tuple_of(canvas);
    if (!result) return std::unexpected{std::move(result.error())};
    prepared.result = std::move(*result);

    CanvasPlanner::Caller caller{{}, {}, wall_clock_now(), options.trace, true};
    if (TaskContext* const parent = TaskContext::current()) {
        caller.id = parent->id();
        caller.root_id = parent->request().root_id;
        if (caller.trace.empty()) caller.trace = parent->trace();
        prepared.trail = parent->trail();
    }
    CanvasPlanner planner{std::move(caller)};
    Json over = to_signature_options(options);
    over.erase("task_id");  // every call has its own by now
    auto planned = planner.call(std::move(canvas), {}, over, "canvas");
    if (!planned) return planned;
    prepared.plan = std::move(planner).take();
    return check_sizes(prepared.plan.calls);
}

PreparedCanvas prepare_canvas(const std::shared_ptr<AppCore>& core, Signature canvas,
                              SendOptions options) {
    if (options.task_id.empty()) options.task_id = canvas.task_id();
    const bool new_id = options.task_id.empty();
    if (new_id) options.task_id = uuid4();
    const auto timeout = options.timeout.value_or(core->settings().task_publish_timeout);
    PreparedCanvas prepared{options.task_id, {}, {}, {}, {}, Deadline::in(timeout), {}, {}};
    auto planned = plan_canvas(*core, std::move(canvas), options, new_id, prepared);
    if (!planned) {
        prepared.error = std::move(planned.error());
    } else if (core->settings().task_track_sent) {
        prepared.marks = sent_later(core, prepared.result, prepared.plan.calls);
    }
    return prepared;
}

/// The calls of a canvas on their way. On the app's loop.
struct Sending {
    std::shared_ptr<AppCore> core;
    std::vector<PlannedCall> calls;
    std::vector<std::string> marks;
    Deadline deadline;
    std::size_t accepted = 0;
    bool some_may_exist = false;
};

Awaitable<Result<void>> send_one(Sending* sending, std::size_t index) {
    TaskSend task = prepare_planned(*sending->core, std::move(sending->calls[index]));
    auto sent = co_await sending->core->client().send(std::move(task), sending->deadline);
    if (sent || sent.error().code == Errc::unknown_outcome) sending->some_may_exist = true;
    if (sent) ++sending->accepted;
    co_return sent;
}

Awaitable<Result<void>> send_calls(Sending* sending) {
    if (sending->calls.empty()) co_return Result<void>{};
    // The first one alone: it declares the queue, and when it is refused nothing exists.
    if (auto first = co_await send_one(sending, 0); !first) co_return first;
    const auto send_next = [sending](std::size_t i) { return send_one(sending, i + 1); };
    co_return co_await for_each_index(sending->calls.size() - 1, kAtOnce, send_next,
                                      OnFailure::finish);
}

/// After the calls: whoever asks for what the canvas ends with finds that it was sent.
Awaitable<Result<void>> mark_sent(Sending* sending) {
    const auto mark = [sending](std::size_t i) {
        return sending->core->client().mark_sent(sending->marks[i], sending->deadline);
    };
    auto marked = co_await for_each_index(sending->marks.size(), kAtOnce, mark, OnFailure::finish);
    if (!marked) {
        marked.error().detail =
            "the sent-marker of what it ends with was not stored: " + marked.error().detail;
    }
    co_return marked;
}

/// What throws is no reason to believe that nothing was sent.
Awaitable<Result<void>> try_send_calls(Sending* sending) {
    try {
        auto sent = co_await send_calls(sending);
        if (sent) sent = co_await mark_sent(sending);
        co_return sent;
    } catch (const std::exception& thrown) {
        sending->some_may_exist = true;
        co_return fail(Errc::unknown_outcome,
                       fmt::format("sending ended by an exception: {}", thrown.what()));
    }
}

Awaitable<Result<void>> start_chords(AppCore* core, std::vector<PlannedChord>* chords,
                                     Deadline deadline) {
    const auto start = [&](std::size_t i) {
        PlannedChord& chord = (*chords)[i];
        return core->client().start_chord(
            {chord.group_id, chord.size, std::move(chord.structure), std::move(chord.watch)},
            deadline);
    };
    co_return co_await for_each_index(chords->size(), kAtOnce, start, OnFailure::finish);
}

/// Chords of a canvas that does not exist: nobody shall watch them. Those of a canvas that may have
/// been sent before, under the same ids, are left alone. What cannot be ended now, since the result
/// backend is away, too, is watched until kChordKeptMost has passed.
Awaitable<void> end_chords(AppCore* core, const std::vector<PlannedChord>* chords,
                           const std::vector<std::string>* new_groups, Deadline deadline) {
    constexpr auto kLeast = 1s;  // the deadline may have passed with the attempt to send
    const Deadline until = Deadline::at(std::max(deadline.time(), Deadline::in(kLeast).time()));
    const std::unordered_set<std::string_view> made{new_groups->begin(), new_groups->end()};
    std::vector<std::string> in_vain;
    for (const PlannedChord& chord : *chords) {
        if (made.contains(chord.group_id)) in_vain.push_back(chord.group_id);
    }
    const auto end = [&](std::size_t i) { return core->client().end_chord(in_vain[i], until); };
    (void)co_await for_each_index(in_vain.size(), kAtOnce, end, OnFailure::finish);
}

/// The outcome, and why it is no other.
struct Ended {
    SendOutcome outcome = SendOutcome::rejected;
    std::optional<Error> error;
};

Awaitable<Ended> send_on_loop(std::shared_ptr<AppCore> core, CanvasPlan plan,
                              std::vector<std::string> new_groups, std::vector<std::string> marks,
                              Deadline deadline, std::shared_ptr<TaskContext::Trail> trail) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (!core->connected()) {
        auto connected = co_await core->connect(deadline);
        if (!connected) co_return Ended{SendOutcome::rejected, std::move(connected.error())};
    }
    auto started = co_await start_chords(core.get(), &plan.chords, deadline);
    if (!started) {
        co_await end_chords(core.get(), &plan.chords, &new_groups, deadline);
        co_return Ended{SendOutcome::rejected, std::move(started.error())};
    }
    Sending sending{core, std::move(plan.calls), std::move(marks), deadline};
    auto sent = co_await try_send_calls(&sending);
    if (trail && sending.some_may_exist) {
        for (const Json& child : plan.children) trail->add_result(to_json_text(child));
    }
    if (sent) co_return Ended{SendOutcome::accepted, std::nullopt};
    Error& problem = sent.error();
    if (!sending.some_may_exist) {
        co_await end_chords(core.get(), &plan.chords, &new_groups, deadline);
        co_return Ended{SendOutcome::rejected, std::move(problem)};
    }
    if (sending.calls.size() > 1) {
        problem.detail = fmt::format("{} of {} messages of the canvas were accepted: {}",
                                     sending.accepted, sending.calls.size(), problem.detail);
    }
    problem.code = Errc::unknown_outcome;
    co_return Ended{SendOutcome::unknown, std::move(problem)};
}

Awaitable<SentCanvas> run_canvas(std::shared_ptr<AppCore> core, PreparedCanvas prepared) {
    SentCanvas sent{SendOutcome::rejected, std::move(prepared.id), std::move(prepared.result),
                    std::move(prepared.error)};
    if (sent.error) co_return sent;
    Ended ended = co_await on_loop(
        core, send_on_loop(core, std::move(prepared.plan), std::move(prepared.new_groups),
                           std::move(prepared.marks), prepared.deadline, prepared.trail));
    sent.outcome = ended.outcome;
    sent.error = std::move(ended.error);
    co_return sent;
}

}  // namespace

// Not a coroutine: the current task is known on the calling thread only.
Awaitable<SentCanvas> send_canvas(const std::shared_ptr<AppCore>& core, Signature canvas,
                                  SendOptions options) {
    return run_canvas(core, prepare_canvas(core, std::move(canvas), std::move(options)));
}

Json send_canvas_blocking(const std::shared_ptr<AppCore>& core, Signature canvas,
                          SendOptions options) {
    if (TaskContext* const task = TaskContext::current()) task->checkpoint();
    SentCanvas sent =
        core->loop().run_blocking(send_canvas(core, std::move(canvas), std::move(options)));
    if (sent.outcome != SendOutcome::accepted) {
        throw SendError{sent.outcome, std::move(sent.id), std::move(*sent.error)};
    }
    return std::move(sent.result);
}

void set_options(Signature& signature, const SendOptions& options) {
    if (auto problem = problem_with(options, name_of(signature))) {
        throw LovageError{std::move(*problem)};
    }
    value_or_throw(add_stamps(signature, options.stamps));
    const Json all = to_signature_options(options);
    for (const auto& [name, value] : all.as_object()) signature.options.set(name, value);
}

Result<std::string> id_of_result(const Json& result) {
    // No deeper than the id: the parent beside it nests two levels for each ancestor.
    const Json* item = &result;
    std::array<Json, 2> opened;
    for (Json& level : opened) {
        if (item->is_raw()) {
            auto expanded = item->expanded();
            if (!expanded) return std::unexpected{std::move(expanded.error())};
            level = std::move(*expanded);
            item = &level;
        }
        if (!item->is_array() || item->as_array().empty()) break;
        item = &item->as_array().front();
    }
    if (item->is_raw() || !item->is_string() || item->as_string().empty()) {
        return fail(Errc::malformed, "this is no result: " + python_repr(result, 60));
    }
    return item->as_string();
}

}  // namespace lovage::detail
