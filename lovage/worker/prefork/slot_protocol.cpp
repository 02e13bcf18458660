#include <lovage/worker/prefork/slot_protocol.hpp>

#include <lovage/worker/prefork/byte_codec.hpp>
#include <lovage/worker/prefork/message_parts.hpp>

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
