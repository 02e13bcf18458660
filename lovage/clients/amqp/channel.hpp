#pragma once

#include <lovage/clients/amqp/frame.hpp>
#include <lovage/clients/amqp/methods.hpp>
#include <lovage/clients/amqp/properties.hpp>
#include <lovage/core/error.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace lovage::amqp {

class Session;

/// A message as basic.deliver brings it.
struct Delivered {
    std::string consumer_tag;
    std::uint64_t tag = 0;
    bool redelivered = false;
    std::string exchange;
    std::string routing_key;
    Properties properties;
    std::string body;
};

/// A `mandatory` message that no queue took (basic.return).
struct Returned {
    std::uint16_t code = 0;
    std::string text;
    std::string exchange;
    std::string routing_key;
    Properties properties;
    std::string body;
};

/// What the peer sends on a channel by itself. Called while bytes are being processed: writing to
/// channels is fine, destroying the session is not.
class ChannelEvents {
public:
    virtual ~ChannelEvents() = default;
    virtual void on_delivered(Delivered /*message*/) {}
    virtual void on_returned(Returned /*message*/) {}
    /// The peer took (`stored`) or refused the publish of that tag; with `multiple` all up to it.
    virtual void on_confirm(std::uint64_t /*tag*/, bool /*multiple*/, bool /*stored*/) {}
    /// The peer ended a consumer: its queue was deleted or is unreachable.
    virtual void on_consumer_cancelled(std::string_view /*consumer_tag*/) {}
    /// The last moment before the frames of this turn are written; see Channel::want_flush().
    virtual void on_flush() {}
    /// The channel is over, with the connection or by itself; the Channel is gone after this call.
    virtual void on_channel_closed(const Error& why) = 0;
};

/// An RPC's answer: the texts and counts of those methods that carry any.
struct Reply {
    std::string name;             ///< queue.declare-ok's queue, basic.consume-ok's tag.
    std::uint32_t messages = 0;   ///< queue.declare-ok, purge-ok, delete-ok.
    std::uint32_t consumers = 0;  ///< queue.declare-ok.
};

/// A method that is answered, encoded when it was made so that it needs nobody's strings any more.
struct Request {
    std::uint32_t id = 0;
    std::uint32_t reply_id = 0;
    std::string payload;
    std::string problem;  ///< Not empty: it has no form on the wire.

    template <class Method>
    [[nodiscard]] static Request make(const Method& method, std::uint32_t reply_id) {
        Request request{.id = Method::kId, .reply_id = reply_id};
        WireWriter writer{request.payload};
        write_method(writer, method);
        request.problem = writer.problem();
        return request;
    }
};

/// A request as messages for people name it: "queue.declare"; numbers for one that is never made.
[[nodiscard]] std::string method_name(std::uint32_t method_id);

/// One channel of a Session: the order of its RPCs, the assembly of its messages, its end.
///
/// Pure state: frames go in from the session, frames go out through it. Made by
/// Session::open_channel(), gone after ChannelEvents::on_channel_closed() or close().
class Channel {
public:
    /// Gets the answer. Errors: what the peer said when it closed the channel because of this
    /// request; cancelled when the channel was closed because of another (the request was not
    /// looked at); unknown_outcome when the connection was lost; invalid_argument.
    using OnReply = std::move_only_function<void(Result<Reply>)>;

    Channel(Session& session, std::uint16_t id, ChannelEvents* events)
        : session_{session}, id_{id}, events_{events} {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    /// Sends a request; requests of one kind are answered in order.
    void call(Request request, OnReply on_reply);
    /// Sends a method that is not answered. Returns why it has no form on the wire, or an empty
    /// text.
    template <class Method>
    std::string send(const Method& method);
    /// Sends basic.publish with its content. Errors: invalid_argument; nothing was sent.
    [[nodiscard]] Result<void> publish(const basic::Publish& method, const Properties& properties,
                                       std::string_view body);
    /// on_flush() will be called once before frames are written next.
    void want_flush();
    /// Begins to close. Nothing more is reported, unanswered requests are dropped; the pointer is
    /// not to be used any more. `on_closed`, if any, is called when the peer has agreed (what was
    /// unsettled is back in its queues then) or the connection was lost.
    void close(OnReply on_closed = {});

    [[nodiscard]] std::uint16_t id() const noexcept { return id_; }

private:
    friend class Session;
    struct Pending {
        std::uint32_t id;
        std::uint32_t reply_id;
        OnReply on_reply;
    };
    struct Content {
        enum class Stage : std::uint8_t { none, header, body };
        Stage stage = Stage::none;
        bool is_return = false;
        std::uint64_t bytes_missing = 0;
        Delivered delivered;
        Returned returned;
    };

    // From the session. False: the peer broke the protocol; `problem` says how.
    bool on_frame(const Frame& frame, std::string& problem);
    bool on_method(std::string_view payload, std::string& problem);
    bool on_content_method(std::uint32_t id, WireReader& in);
    bool on_own_method(std::uint32_t id, WireReader& in);
    bool on_reply(std::uint32_t id, WireReader& in, std::string& problem);
    bool on_header(std::string_view payload, std::string& problem);
    bool on_body(std::string_view payload, std::string& problem);
    void on_content_complete();
    void on_peer_close(WireReader& in);
    /// The connection is over.
    void lose(const Error& why);
    void flush();

    Session& session_;
    std::uint16_t id_;
    ChannelEvents* events_;  ///< Null once closing.
    bool closing_ = false;   ///< channel.close was sent; only its answer counts.
    bool closed_ = false;    ///< The session removes it.
    bool wants_flush_ = false;
    std::deque<Pending> pending_;
    OnReply on_closed_;
    Content content_;
};

}  // namespace lovage::amqp
