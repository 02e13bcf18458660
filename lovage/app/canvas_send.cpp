#include <lovage/app/canvas_send.hpp>

#include <algorithm>
#include <array>
#include <chrono>
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
#include <lovage/core/python_repr.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/task_scope.hpp>

namespace lovage::detail {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Messages of a canvas under way at a time: their confirms come together.
constexpr std::size_t kSendsAtOnce = 512;

/// A canvas turned into messages.
struct PreparedCanvas {
    std::string id;
    CanvasPlan plan;
    Json result;
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

Result<void> plan_canvas(AppCore& core, Signature canvas, const SendOptions& options,
                         PreparedCanvas& prepared) {
    if (auto problem = problem_with(options)) return std::unexpected{std::move(*problem)};
    canvas.options.erase("task_id");  // prepared.id is that, or stands above it
    auto frozen = freeze(canvas, prepared.id, "canvas", prepared.id, core.client_id());
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
    if (options.task_id.empty()) options.task_id = uuid4();
    const auto timeout = options.timeout.value_or(core->settings().task_publish_timeout);
    PreparedCanvas prepared{options.task_id, {}, {}, {}, Deadline::in(timeout), {}, {}};
    auto planned = plan_canvas(*core, std::move(canvas), options, prepared);
    if (!planned) {
        prepared.error = std::move(planned.error());
    } else if (core->settings().task_track_sent) {
        prepared.marks = sent_later(core, prepared.result, prepared.plan.calls);
    }
    return prepared;
}

/// The calls of a canvas, taken by several coroutines one after the other. On the app's loop.
struct Sending {
    std::shared_ptr<AppCore> core;
    std::vector<PlannedCall> calls;
    std::vector<std::string> marks;
    Deadline deadline;
    std::shared_ptr<TaskContext::Trail> trail;
    std::size_t next = 0;
    std::size_t next_mark = 0;
    std::size_t accepted = 0;
    bool some_may_exist = false;
    std::optional<Error> problem;  ///< The first one; nothing more is sent then.
};

Awaitable<void> send_next(Sending* sending) {
    PlannedCall call = std::move(sending->calls[sending->next++]);
    TaskSend task = prepare_planned(*sending->core, std::move(call));
    const std::string id = task.task_id;
    auto sent = co_await sending->core->client().send(std::move(task), sending->deadline);
    const bool may_exist = sent || sent.error().code == Errc::unknown_outcome;
    if (may_exist && sending->trail) sending->trail->add(id);
    sending->some_may_exist = sending->some_may_exist || may_exist;
    if (sent) {
        ++sending->accepted;
    } else if (!sending->problem) {
        sending->problem = std::move(sent.error());
    }
}

Awaitable<void> mark_next(Sending* sending) {
    const std::string& id = sending->marks[sending->next_mark++];
    auto marked = co_await sending->core->client().mark_sent(id, sending->deadline);
    if (!marked && !sending->problem) {
        sending->problem =
            Error{Errc::unknown_outcome, "the sent-marker of what it ends with was not stored: " +
                                             marked.error().message()};
    }
}

Awaitable<void> send_rest(Sending* sending) {
    while (!sending->problem && sending->next < sending->calls.size()) {
        co_await send_next(sending);
    }
    while (!sending->problem && sending->next_mark < sending->marks.size()) {
        co_await mark_next(sending);
    }
}

Awaitable<void> send_calls(Sending* sending) {
    // The first one alone: it declares the queue, and when it is refused nothing exists.
    if (!sending->calls.empty()) co_await send_next(sending);
    const Executor executor = co_await asio::this_coro::executor;
    TaskScope scope{executor};
    const std::size_t left = sending->calls.size() - sending->next + sending->marks.size();
    const std::size_t senders = sending->problem ? 0 : std::min(kSendsAtOnce, left);
    for (std::size_t i = 0; i < senders; ++i) scope.spawn("send a canvas", send_rest(sending));
    while (!co_await scope.join(Deadline::in(1h))) {
    }
}

/// The outcome, and why it is no other.
struct Ended {
    SendOutcome outcome = SendOutcome::rejected;
    std::optional<Error> error;
};

Awaitable<Ended> send_on_loop(std::shared_ptr<AppCore> core, CanvasPlan plan,
                              std::vector<std::string> marks, Deadline deadline,
                              std::shared_ptr<TaskContext::Trail> trail) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (!core->connected()) {
        auto connected = co_await core->connect(deadline);
        if (!connected) co_return Ended{SendOutcome::rejected, std::move(connected.error())};
    }
    for (PlannedChord& chord : plan.chords) {
        ChordStart start{std::move(chord.group_id), chord.size, std::move(chord.structure)};
        auto started = co_await core->client().start_chord(std::move(start), deadline);
        if (!started) co_return Ended{SendOutcome::rejected, std::move(started.error())};
    }
    Sending sending{core, std::move(plan.calls), std::move(marks), deadline, std::move(trail)};
    co_await send_calls(&sending);
    if (!sending.problem && sending.accepted < sending.calls.size()) {
        // A sender ended by an exception, which its scope has logged: where, nobody can say.
        sending.problem =
            Error{Errc::unknown_outcome, "sending ended by an exception; see the log"};
        sending.some_may_exist = true;
    }
    if (!sending.problem) co_return Ended{SendOutcome::accepted, std::nullopt};
    if (!sending.some_may_exist) co_return Ended{SendOutcome::rejected, std::move(sending.problem)};
    if (sending.calls.size() > 1) {
        sending.problem->detail =
            fmt::format("{} of {} messages of the canvas were accepted: {}", sending.accepted,
                        sending.calls.size(), sending.problem->detail);
    }
    sending.problem->code = Errc::unknown_outcome;
    co_return Ended{SendOutcome::unknown, std::move(sending.problem)};
}

Awaitable<SentCanvas> run_canvas(std::shared_ptr<AppCore> core, PreparedCanvas prepared) {
    SentCanvas sent{SendOutcome::rejected, std::move(prepared.id), std::move(prepared.result),
                    std::move(prepared.error)};
    if (sent.error) co_return sent;
    Ended ended = co_await on_loop(
        core, send_on_loop(core, std::move(prepared.plan), std::move(prepared.marks),
                           prepared.deadline, prepared.trail));
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
    if (auto problem = problem_with(options)) throw LovageError{std::move(*problem)};
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
