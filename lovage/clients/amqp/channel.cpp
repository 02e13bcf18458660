#include <lovage/clients/amqp/channel.hpp>

#include <lovage/clients/amqp/reply_code.hpp>
#include <lovage/clients/amqp/session.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lovage::amqp {

namespace {

/// A peer may announce any size; memory is taken as the bytes arrive.
constexpr std::size_t kReserveBytesMax = std::size_t{1} << 20U;

Reply read_reply(std::uint32_t id, WireReader& in) {
    Reply reply;
    switch (id) {
        case queue::DeclareOk::kId: {
            const auto method = read_method<queue::DeclareOk>(in);
            reply.name = method.queue;
            reply.messages = method.message_count;
            reply.consumers = method.consumer_count;
            break;
        }
        case queue::PurgeOk::kId:
        case queue::DeleteOk::kId:
            reply.messages = read_method<queue::PurgeOk>(in).message_count;
            break;
        case basic::ConsumeOk::kId:
        case basic::CancelOk::kId:
            reply.name = read_method<basic::ConsumeOk>(in).consumer_tag;
            break;
        default:
            break;  // the answer says no more than "done"
    }
    return reply;
}

}  // namespace

std::string method_name(std::uint32_t method_id) {
    switch (method_id) {
        case channel::Flow::kId:
            return "channel.flow";
        case channel::Close::kId:
            return "channel.close";
        case exchange::Declare::kId:
            return "exchange.declare";
        case queue::Declare::kId:
            return "queue.declare";
        case queue::Bind::kId:
            return "queue.bind";
        case queue::Purge::kId:
            return "queue.purge";
        case queue::Delete::kId:
            return "queue.delete";
        case basic::Consume::kId:
            return "basic.consume";
        case basic::Cancel::kId:
            return "basic.cancel";
        default:
            return fmt::format("method {}.{}", method_id >> 16U, method_id & 0xFFFFU);
    }
}

void Channel::call(Request request, OnReply on_reply) {
    if (!request.problem.empty()) {
        on_reply(fail(Errc::invalid_argument, std::move(request.problem)));
        return;
    }
    if (closing_ || closed_) {
        on_reply(fail(Errc::cancelled, "the channel is closed"));
        return;
    }
    std::string& out = session_.output();
    FrameScope frame{out, FrameType::method, id_};
    out.append(request.payload);
    frame.finish();
    pending_.push_back({request.id, request.reply_id, std::move(on_reply)});
}

Result<void> Channel::publish(const basic::Publish& method, const Properties& properties,
                              std::string_view body) {
    std::string& out = session_.output();
    const std::size_t start = out.size();
    if (std::string problem = append_method(out, id_, method); !problem.empty()) {
        return fail(Errc::invalid_argument, std::move(problem));
    }
    FrameScope header{out, FrameType::header, id_};
    WireWriter writer{out};
    write_content_header(writer, properties, body.size());
    const bool too_large = header.payload_bytes() + kFrameOverhead > session_.frame_bytes_max();
    if (!writer.ok() || too_large) {
        const std::size_t bytes = header.payload_bytes();
        out.resize(start);
        if (!writer.ok()) return fail(Errc::invalid_argument, writer.problem());
        return fail(Errc::too_large,
                    fmt::format("message headers of {} bytes; the broker takes {} (frame_max)",
                                bytes, session_.frame_bytes_max() - kFrameOverhead));
    }
    header.finish();
    append_body(out, id_, body, session_.frame_bytes_max());
    return {};
}

void Channel::want_flush() {
    if (wants_flush_) return;
    wants_flush_ = true;
    session_.wants_flush_ = true;
    session_.announce_output();
}

void Channel::flush() {
    if (std::exchange(wants_flush_, false) && events_ != nullptr) events_->on_flush();
}

void Channel::close(OnReply on_closed) {
    events_ = nullptr;
    pending_.clear();
    if (closing_ || closed_) {
        if (on_closed) on_closed(Reply{});
        return;
    }
    closing_ = true;
    on_closed_ = std::move(on_closed);
    (void)send(channel::Close{.text = "done"});
}

void Channel::lose(const Error& why) {
    closed_ = true;
    for (Pending& request : std::exchange(pending_, {})) {
        request.on_reply(fail(Errc::unknown_outcome, why.detail));
    }
    if (on_closed_) std::exchange(on_closed_, {})(Reply{});
    if (ChannelEvents* const events = std::exchange(events_, nullptr)) {
        events->on_channel_closed(why);
    }
}

bool Channel::on_frame(const Frame& frame, std::string& problem) {
    if (closing_) {
        // What was under way when we closed is of no interest; the answer to our close is, and a
        // peer that closes at the same time wants its own answered.
        if (frame.type != FrameType::method) return true;
        WireReader in{frame.payload};
        const std::uint32_t id = in.u32();
        if (id == channel::CloseOk::kId) {
            closed_ = true;
            if (on_closed_) std::exchange(on_closed_, {})(Reply{});
        }
        if (id == channel::Close::kId) (void)send(channel::CloseOk{});
        return true;
    }
    switch (frame.type) {
        case FrameType::method:
            return on_method(frame.payload, problem);
        case FrameType::header:
            return on_header(frame.payload, problem);
        case FrameType::body:
            return on_body(frame.payload, problem);
        case FrameType::heartbeat:
            break;
    }
    problem = "a heartbeat on a channel";
    return false;
}

bool Channel::on_method(std::string_view payload, std::string& problem) {
    if (content_.stage != Content::Stage::none) {
        problem = "a method in the middle of a message";
        return false;
    }
    WireReader in{payload};
    const std::uint32_t id = in.u32();
    if (id == channel::Close::kId) {
        on_peer_close(in);
        return true;
    }
    if (on_content_method(id, in) || on_own_method(id, in) || on_reply(id, in, problem)) {
        if (!in.ok()) problem = fmt::format("method {}.{} is cut short", id >> 16U, id & 0xFFFFU);
        return in.ok();
    }
    return false;
}

bool Channel::on_content_method(std::uint32_t id, WireReader& in) {
    if (id == basic::Deliver::kId) {
        const auto method = read_method<basic::Deliver>(in);
        Delivered& message = content_.delivered;
        message.consumer_tag = method.consumer_tag;
        message.tag = method.delivery_tag;
        message.redelivered = method.redelivered;
        message.exchange = method.exchange;
        message.routing_key = method.routing_key;
    } else if (id == basic::Return::kId) {
        const auto method = read_method<basic::Return>(in);
        Returned& message = content_.returned;
        message.code = method.code;
        message.text = method.text;
        message.exchange = method.exchange;
        message.routing_key = method.routing_key;
    } else {
        return false;
    }
    content_.is_return = id == basic::Return::kId;
    content_.stage = Content::Stage::header;
    return true;
}

bool Channel::on_own_method(std::uint32_t id, WireReader& in) {
    switch (id) {
        case basic::Ack::kId: {
            const auto method = read_method<basic::Ack>(in);
            if (in.ok()) events_->on_confirm(method.delivery_tag, method.multiple, true);
            return true;
        }
        case basic::Nack::kId: {
            const auto method = read_method<basic::Nack>(in);
            if (in.ok()) events_->on_confirm(method.delivery_tag, method.multiple, false);
            return true;
        }
        case basic::Cancel::kId: {
            const auto method = read_method<basic::Cancel>(in);
            if (!in.ok()) return true;
            if (!method.no_wait) (void)send(basic::CancelOk{.consumer_tag = method.consumer_tag});
            events_->on_consumer_cancelled(method.consumer_tag);
            return true;
        }
        case channel::Flow::kId:
            // Of old brokers; RabbitMQ blocks connections instead. Answered so that nobody waits.
            (void)send(channel::FlowOk{.active = read_method<channel::Flow>(in).active});
            return true;
        default:
            return false;
    }
}

bool Channel::on_reply(std::uint32_t id, WireReader& in, std::string& problem) {
    // Replies come in order, but for basic.consume-ok: RabbitMQ's queue sends that one, not its
    // channel.
    const auto request = std::ranges::find(pending_, id, &Pending::reply_id);
    if (request == pending_.end()) {
        problem = fmt::format("method {}.{} answers nothing", id >> 16U, id & 0xFFFFU);
        return false;
    }
    Reply reply = read_reply(id, in);
    if (!in.ok()) return true;  // reported by the caller
    OnReply on_reply = std::move(request->on_reply);
    pending_.erase(request);
    on_reply(std::move(reply));
    return true;
}

void Channel::on_peer_close(WireReader& in) {
    const auto method = read_method<channel::Close>(in);
    const Error why = reply_error(method.code, method.text);
    (void)send(channel::CloseOk{});
    closed_ = true;
    const std::uint32_t culprit = method_id(method.failing_class, method.failing_method);
    bool found = false;
    for (Pending& request : std::exchange(pending_, {})) {
        if (!found && request.id == culprit) {
            found = true;
            request.on_reply(std::unexpected{why});
        } else {
            request.on_reply(fail(Errc::cancelled, why.detail));
        }
    }
    if (ChannelEvents* const events = std::exchange(events_, nullptr)) {
        events->on_channel_closed(why);
    }
}

bool Channel::on_header(std::string_view payload, std::string& problem) {
    if (content_.stage != Content::Stage::header) {
        problem = "a content header that belongs to no message";
        return false;
    }
    WireReader in{payload};
    ContentHeader header = read_content_header(in);
    if (!in.ok()) {
        problem = "a content header that cannot be read";
        return false;
    }
    if (header.body_bytes > session_.options_.body_bytes_max) {
        problem = fmt::format("a message of {} bytes; at most {} are taken", header.body_bytes,
                              session_.options_.body_bytes_max);
        return false;
    }
    content_.bytes_missing = header.body_bytes;
    content_.stage = Content::Stage::body;
    std::string& body = content_.is_return ? content_.returned.body : content_.delivered.body;
    (content_.is_return ? content_.returned.properties : content_.delivered.properties) =
        std::move(header.properties);
    body.clear();
    body.reserve(std::min<std::size_t>(header.body_bytes, kReserveBytesMax));
    if (header.body_bytes == 0) on_content_complete();
    return true;
}

bool Channel::on_body(std::string_view payload, std::string& problem) {
    if (content_.stage != Content::Stage::body || payload.size() > content_.bytes_missing) {
        problem = "more message body than was announced";
        return false;
    }
    (content_.is_return ? content_.returned.body : content_.delivered.body).append(payload);
    content_.bytes_missing -= payload.size();
    if (content_.bytes_missing == 0) on_content_complete();
    return true;
}

void Channel::on_content_complete() {
    content_.stage = Content::Stage::none;
    if (content_.is_return) {
        events_->on_returned(std::exchange(content_.returned, {}));
    } else {
        events_->on_delivered(std::exchange(content_.delivered, {}));
    }
}

}  // namespace lovage::amqp
