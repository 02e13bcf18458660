#include <lovage/worker/prefork/message_parts.hpp>

#include <lovage/worker/prefork/slot_protocol.hpp>

#include <chrono>
#include <string>
#include <utility>

namespace lovage::slot {

namespace {

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

}  // namespace

void write_json(ByteWriter& out, const Json& value) {
    if (value.is_raw()) {
        out.text(value.raw_text());
    } else {
        out.text(to_json_text(value));
    }
}
Json read_json(ByteReader& in) {
    auto value = parse_json_shallow(in.view(), 0, {.depth = 512, .bytes = kPayloadBytesMax});
    if (value) return std::move(*value);
    in.refuse();
    return {};
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

}  // namespace lovage::slot
