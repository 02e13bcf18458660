#include <lovage/worker/prefork/slot_protocol.hpp>

#include <lovage/worker/prefork/byte_codec.hpp>

#include <fmt/format.h>

#include <utility>

namespace lovage::slot {

namespace {

std::unexpected<Error> malformed(const char* what) {
    return fail(Errc::malformed, fmt::format("a {} message between worker and slot", what));
}

/// Appends a frame whose payload `write` writes; false, with `out` as it was, when it is too long.
/// What `write` throws leaves `out` as it was, too: half a frame would be read as a whole one.
template <class Write>
bool append_frame(std::string& out, FrameKind kind, Write write) {
    const std::size_t start = out.size();
    append_whole(out, [&](ByteWriter& writer) {
        writer.number<std::uint32_t>(0);
        writer.number(static_cast<std::uint8_t>(kind));
        write(writer);
    });
    const std::size_t payload = out.size() - start - kFrameHeaderBytes;
    if (payload > kPayloadBytesMax) {
        out.resize(start);
        return false;
    }
    for (std::size_t i = 0; i < 4; ++i) out[start + i] = static_cast<char>(payload >> (8 * i));
    return true;
}

// Parts of messages.

void write_failure(ByteWriter& out, const TaskFailure& failure) {
    out.text(failure.exc_type);
    out.text(failure.exc_message);
    out.text(failure.exc_module);
    out.text(failure.traceback);
}
TaskFailure read_failure(ByteReader& in) {
    TaskFailure failure;
    failure.exc_type = in.text();
    failure.exc_message = in.text();
    failure.exc_module = in.text();
    failure.traceback = in.text();
    return failure;
}

void write_error(ByteWriter& out, const Error& error) {
    out.number(static_cast<std::uint8_t>(error.code));
    out.text(error.detail);
    out.optional(error.failure, [&](const TaskFailure& failure) { write_failure(out, failure); });
}
Error read_error(ByteReader& in) {
    Error error;
    const auto code = in.number<std::uint8_t>();
    if (code > static_cast<std::uint8_t>(Errc::internal)) in.refuse();
    error.code = static_cast<Errc>(code);
    error.detail = in.text();
    error.failure = in.optional([&] { return read_failure(in); });
    return error;
}

void write_json(ByteWriter& out, const Json& value) {
    if (value.is_raw()) {
        out.text(value.raw_text());
    } else {
        out.text(to_json_text(value));
    }
}
/// Validated, and kept raw.
Json read_json(ByteReader& in) {
    auto value = parse_json_shallow(in.view(), 0, {.depth = 512, .bytes = kPayloadBytesMax});
    if (value) return std::move(*value);
    in.refuse();
    return {};
}

Json read_opened_json(ByteReader& in) {
    auto value = read_json(in).fully_expanded();
    if (value) return std::move(*value);
    in.refuse();
    return {};
}

void write_signature(ByteWriter& out, const Signature& signature) {
    write_json(out, encode_signature(signature));
}
Signature read_signature(ByteReader& in) {
    auto signature = decode_signature(read_json(in), "a signature of a slot");
    if (signature) return std::move(*signature);
    in.refuse();
    return {};
}

void write_time(ByteWriter& out, TimePoint time) {
    out.signed_number(time.time_since_epoch().count());
}
TimePoint read_time(ByteReader& in) {
    return TimePoint{TimePoint::duration{in.signed_number()}};
}

void write_steady(ByteWriter& out, std::chrono::steady_clock::time_point time) {
    out.signed_number(time.time_since_epoch().count());
}
/// All processes of a machine share the clock.
std::chrono::steady_clock::time_point read_steady(ByteReader& in) {
    using Clock = std::chrono::steady_clock;
    return Clock::time_point{Clock::duration{in.signed_number()}};
}

void write_context(ByteWriter& out, const TaskContext::Request& context) {
    out.text(context.id);
    out.text(context.task);
    out.text(context.root_id);
    out.text(context.parent_id);
    out.signed_number(context.retries);
    out.text(context.queue);
    out.text(context.hostname);
    out.text(context.correlation_id);
    out.text(context.reply_to);
    out.text(context.group);
    out.boolean(context.in_chord);
    out.signed_number(context.replaced_task_nesting);
    write_json(out, context.stamps);
    out.boolean(context.redelivered);
    write_json(out, context.headers);
    out.text(context.argsrepr);
    out.text(context.kwargsrepr);
}
TaskContext::Request read_context(ByteReader& in) {
    TaskContext::Request context;
    context.id = in.text();
    context.task = in.text();
    context.root_id = in.text();
    context.parent_id = in.text();
    context.retries = in.signed_number();
    context.queue = in.text();
    context.hostname = in.text();
    context.correlation_id = in.text();
    context.reply_to = in.text();
    context.group = in.text();
    context.in_chord = in.boolean();
    context.replaced_task_nesting = in.signed_number();
    context.stamps = read_opened_json(in);
    context.redelivered = in.boolean();
    context.headers = read_opened_json(in);
    context.argsrepr = in.text();
    context.kwargsrepr = in.text();
    return context;
}

void write_outcome(ByteWriter& out, const TaskOutcome& outcome) {
    out.number(static_cast<std::uint8_t>(outcome.ending));
    write_json(out, outcome.value);
    out.optional(outcome.failure, [&](const TaskFailure& failure) { write_failure(out, failure); });
    out.optional(outcome.retry.eta, [&](TimePoint time) { write_time(out, time); });
    out.optional(outcome.retry.args, [&](const Json& args) { write_json(out, args); });
    out.optional(outcome.retry.kwargs, [&](const Json& kwargs) { write_json(out, kwargs); });
    out.optional(outcome.replacement,
                 [&](const Signature& signature) { write_signature(out, signature); });
    out.list(outcome.chord_additions, [&](const TaskContext::ChordAddition& addition) {
        out.text(addition.id);
        write_signature(out, addition.signature);
    });
    out.text(outcome.reason);
    write_steady(out, outcome.started);
    write_steady(out, outcome.ended);
}
TaskOutcome read_task_outcome(ByteReader& in) {
    TaskOutcome outcome;
    const auto ending = in.number<std::uint8_t>();
    // What only the worker can say of a slot is no slot's to say.
    if (ending > static_cast<std::uint8_t>(Ending::revoked)) in.refuse();
    outcome.ending = static_cast<Ending>(ending);
    outcome.value = read_json(in);
    outcome.failure = in.optional([&] { return read_failure(in); });
    outcome.retry.eta = in.optional([&] { return read_time(in); });
    outcome.retry.args = in.optional([&] { return read_json(in); });
    outcome.retry.kwargs = in.optional([&] { return read_json(in); });
    outcome.replacement = in.optional([&] { return read_signature(in); });
    in.list([&] {
        std::string id = in.text();
        outcome.chord_additions.push_back({std::move(id), read_signature(in)});
    });
    outcome.reason = in.text();
    outcome.started = read_steady(in);
    outcome.ended = read_steady(in);
    if (outcome.ending == Ending::failed && !outcome.failure) in.refuse();
    if (outcome.ending == Ending::replaced && !outcome.replacement) in.refuse();
    if (outcome.ended < outcome.started) in.refuse();
    return outcome;
}

void write_message(ByteWriter& out, const Message& message) {
    const MessageProperties& properties = message.properties;
    out.text(properties.content_type);
    out.text(properties.content_encoding);
    out.text(properties.correlation_id);
    out.text(properties.reply_to);
    out.optional(properties.priority, [&](std::uint8_t priority) { out.number(priority); });
    out.number(properties.delivery_mode);
    out.optional(properties.expiration,
                 [&](std::chrono::milliseconds time) { out.signed_number(time.count()); });
    write_json(out, message.headers);
    out.text(message.body);
}
Message read_message(ByteReader& in) {
    Message message;
    MessageProperties& properties = message.properties;
    properties.content_type = in.text();
    properties.content_encoding = in.text();
    properties.correlation_id = in.text();
    properties.reply_to = in.text();
    properties.priority = in.optional([&] { return in.number<std::uint8_t>(); });
    properties.delivery_mode = in.number<std::uint8_t>();
    properties.expiration =
        in.optional([&] { return std::chrono::milliseconds{in.signed_number()}; });
    message.headers = read_json(in);
    message.body = in.text();
    return message;
}

void write_unique(ByteWriter& out, const UniqueCall& call) {
    out.text(call.key);
    out.number(call.states);
    out.optional(call.period,
                 [&](std::chrono::milliseconds period) { out.signed_number(period.count()); });
    write_time(out, call.sent);
}
UniqueCall read_unique(ByteReader& in) {
    UniqueCall call;
    call.key = in.text();
    call.states = in.number<std::uint8_t>();
    call.period = in.optional([&] { return std::chrono::milliseconds{in.signed_number()}; });
    call.sent = read_time(in);
    return call;
}

void write_send(ByteWriter& out, const TaskSend& send) {
    out.text(send.task_id);
    out.text(send.queue);
    out.text(send.exchange);
    write_message(out, send.message);
    out.optional(send.eta, [&](TimePoint time) { write_time(out, time); });
    out.optional(send.expires, [&](TimePoint time) { write_time(out, time); });
    out.boolean(send.mark_sent);
    out.optional(send.unique, [&](const UniqueCall& call) { write_unique(out, call); });
}
TaskSend read_send(ByteReader& in) {
    TaskSend send;
    send.task_id = in.text();
    send.queue = in.text();
    send.exchange = in.text();
    send.message = read_message(in);
    send.eta = in.optional([&] { return read_time(in); });
    send.expires = in.optional([&] { return read_time(in); });
    send.mark_sent = in.boolean();
    send.unique = in.optional([&] { return read_unique(in); });
    return send;
}

}  // namespace

void append(std::string& out, const Setup& message) {
    const bool fits = append_frame(out, FrameKind::setup, [&](ByteWriter& writer) {
        writer.text(message.hostname);
        writer.number(message.index);
        writer.number(message.registry_hash);
        writer.number(message.log.level);
        writer.number(message.log.format);
        writer.boolean(message.log.terminal);
        writer.boolean(message.log.color);
        writer.list(message.settings, [&](const auto& setting) {
            writer.text(setting.first);
            writer.text(setting.second);
        });
    });
    LOVAGE_ASSERT(fits);
}

Result<Setup> read_setup(std::string_view payload) {
    ByteReader in{payload};
    Setup setup;
    setup.hostname = in.text();
    setup.index = in.number<std::uint32_t>();
    setup.registry_hash = in.number<std::uint64_t>();
    setup.log.level = in.number<std::uint8_t>();
    setup.log.format = in.number<std::uint8_t>();
    setup.log.terminal = in.boolean();
    setup.log.color = in.boolean();
    in.list([&] {
        std::string name = in.text();
        setup.settings.insert_or_assign(std::move(name), in.text());
    });
    if (!in.complete()) return malformed("setup");
    return setup;
}

void append(std::string& out, const Ready& message) {
    const bool fits = append_frame(out, FrameKind::ready, [&](ByteWriter& writer) {
        writer.number(message.registry_hash);
        writer.text(message.refusal);
        writer.list(message.tasks, [&](const std::string& task) { writer.text(task); });
    });
    LOVAGE_ASSERT(fits);
}

Result<Ready> read_ready(std::string_view payload) {
    ByteReader in{payload};
    Ready ready;
    ready.registry_hash = in.number<std::uint64_t>();
    ready.refusal = in.text();
    in.list([&] { ready.tasks.push_back(in.text()); });
    if (!in.complete()) return malformed("ready");
    return ready;
}

bool append(std::string& out, std::uint64_t sequence, const TaskContext::Request& context,
            const Json& args, const Json& kwargs) {
    return append_frame(out, FrameKind::request, [&](ByteWriter& writer) {
        writer.number(sequence);
        write_context(writer, context);
        write_json(writer, args);
        write_json(writer, kwargs);
    });
}

bool append(std::string& out, const Request& message) {
    return append(out, message.sequence, message.context, Json::raw(message.args),
                  Json::raw(message.kwargs));
}

Result<Request> read_request(std::string_view payload) {
    ByteReader in{payload};
    Request request;
    request.sequence = in.number<std::uint64_t>();
    request.context = read_context(in);
    request.args = in.text();
    request.kwargs = in.text();
    if (!in.complete()) return malformed("request");
    return request;
}

bool append(std::string& out, const Progress& message) {
    return append_frame(out, FrameKind::progress, [&](ByteWriter& writer) {
        writer.number(message.sequence);
        writer.text(message.state);
        write_json(writer, message.meta);
    });
}

Result<Progress> read_progress(std::string_view payload) {
    ByteReader in{payload};
    Progress progress;
    progress.sequence = in.number<std::uint64_t>();
    progress.state = in.text();
    progress.meta = read_json(in);
    if (!in.complete()) return malformed("progress");
    return progress;
}

bool append(std::string& out, const Event& message) {
    return append_frame(out, FrameKind::event, [&](ByteWriter& writer) {
        writer.number(message.sequence);
        writer.text(message.type);
        write_json(writer, message.fields);
    });
}

Result<Event> read_event(std::string_view payload) {
    ByteReader in{payload};
    Event event;
    event.sequence = in.number<std::uint64_t>();
    event.type = in.text();
    event.fields = read_json(in);
    if (!in.complete()) return malformed("event");
    return event;
}

bool append(std::string& out, const Outcome& message) {
    return append_frame(out, FrameKind::outcome, [&](ByteWriter& writer) {
        writer.number(message.sequence);
        write_outcome(writer, message.outcome);
        writer.list(message.children, [&](const std::string& child) { writer.text(child); });
    });
}

Result<Outcome> read_outcome(std::string_view payload) {
    ByteReader in{payload};
    Outcome message;
    message.sequence = in.number<std::uint64_t>();
    message.outcome = read_task_outcome(in);
    in.list([&] { message.children.push_back(in.text()); });
    if (!in.complete()) return malformed("outcome");
    return message;
}

void append(std::string& out, const Interrupt& message) {
    const bool fits = append_frame(out, FrameKind::interrupt, [&](ByteWriter& writer) {
        writer.number(message.sequence);
        writer.number(static_cast<std::uint8_t>(message.reason));
    });
    LOVAGE_ASSERT(fits);
}

Result<Interrupt> read_interrupt(std::string_view payload) {
    ByteReader in{payload};
    Interrupt interrupt;
    interrupt.sequence = in.number<std::uint64_t>();
    const auto reason = in.number<std::uint8_t>();
    if (reason > static_cast<std::uint8_t>(StopReason::shutdown)) in.refuse();
    interrupt.reason = static_cast<StopReason>(reason);
    if (!in.complete()) return malformed("interrupt");
    return interrupt;
}

bool append(std::string& out, const Call& message) {
    return append_frame(out, FrameKind::call, [&](ByteWriter& writer) {
        writer.number(message.id);
        writer.number(static_cast<std::uint8_t>(message.kind));
        writer.signed_number(message.timeout.count());
        if (message.kind == Call::Kind::send) {
            write_send(writer, message.send);
        } else if (message.kind == Call::Kind::start_chord) {
            writer.text(message.chord.group_id);
            writer.signed_number(message.chord.size);
            write_json(writer, message.chord.structure);
            write_json(writer, message.chord.watch);
        } else if (message.kind == Call::Kind::save_group) {
            writer.text(message.task_id);
            write_json(writer, message.result);
        } else {
            writer.text(message.task_id);
            writer.boolean(message.revoke.terminate);
            writer.number(static_cast<std::uint8_t>(message.revoke.signal));
        }
    });
}

Result<Call> read_call(std::string_view payload) {
    ByteReader in{payload};
    Call call;
    call.id = in.number<std::uint64_t>();
    const auto kind = in.number<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(Call::Kind::mark_sent)) in.refuse();
    call.kind = static_cast<Call::Kind>(kind);
    call.timeout = std::chrono::milliseconds{in.signed_number()};
    if (call.timeout.count() < 0) in.refuse();
    if (call.kind == Call::Kind::send) {
        call.send = read_send(in);
    } else if (call.kind == Call::Kind::start_chord) {
        call.chord.group_id = in.text();
        call.chord.size = in.signed_number();
        if (call.chord.size < 1) in.refuse();
        for (Json* const part : {&call.chord.structure, &call.chord.watch}) {
            *part = read_json(in);
            if (part->python_type_name() == "None") *part = {};
        }
    } else if (call.kind == Call::Kind::save_group) {
        call.task_id = in.text();
        call.result = read_json(in);
    } else {
        call.task_id = in.text();
        call.revoke.terminate = in.boolean();
        call.revoke.signal = in.number<std::uint8_t>();
        if (call.revoke.signal < 1 || call.revoke.signal > 64) in.refuse();
    }
    if (!in.complete()) return malformed("call");
    return call;
}

bool append(std::string& out, const Answer& message) {
    return append_frame(out, FrameKind::answer, [&](ByteWriter& writer) {
        writer.number(message.id);
        writer.optional(message.error, [&](const Error& error) { write_error(writer, error); });
        writer.optional(message.meta, [&](const std::string& meta) { writer.text(meta); });
        writer.boolean(message.flag);
    });
}

Result<Answer> read_answer(std::string_view payload) {
    ByteReader in{payload};
    Answer answer;
    answer.id = in.number<std::uint64_t>();
    answer.error = in.optional([&] { return read_error(in); });
    answer.meta = in.optional([&] { return in.text(); });
    answer.flag = in.boolean();
    if (!in.complete()) return malformed("answer");
    return answer;
}

void append_quit(std::string& out) {
    const bool fits = append_frame(out, FrameKind::quit, [](ByteWriter&) {});
    LOVAGE_ASSERT(fits);
}

}  // namespace lovage::slot
