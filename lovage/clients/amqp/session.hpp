#pragma once

#include <lovage/clients/amqp/channel.hpp>
#include <lovage/clients/amqp/reply_code.hpp>
#include <lovage/core/error.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace lovage::amqp {

enum class Mechanism : std::uint8_t {
    plain,     ///< RFC 4616: user and password.
    external,  ///< RFC 4422: whoever the TLS certificate names.
};

struct SessionOptions {
    std::string user = "guest";
    std::string password = "guest";
    std::string vhost = "/";
    Mechanism mechanism = Mechanism::plain;
    /// Wanted; the shorter of this and the peer's counts, 0 of either means the other's.
    std::chrono::seconds heartbeat{10};
    std::uint32_t frame_bytes_max = 131'072;
    std::uint16_t channel_max = 2047;
    /// Larger messages end the connection. RabbitMQ 3's own limit by default.
    std::size_t body_bytes_max = std::size_t{128} << 20U;
    std::string name;  ///< Shown by RabbitMQ's tools as the connection's name.
};

/// What happens to a connection as a whole. Called while bytes are being processed.
class SessionEvents {
public:
    virtual ~SessionEvents() = default;
    /// There is something to write that was not there before.
    virtual void on_output() = 0;
    virtual void on_open() = 0;
    /// The peer is short of memory or disk: it reads nothing from connections that publish.
    virtual void on_blocked(std::string_view reason) = 0;
    virtual void on_unblocked() = 0;
    /// After this nothing is sent or received. Channels were told before.
    virtual void on_closed(const Error& why) = 0;
};

/// The client's side of one AMQP 0-9-1 connection (section 2.2.4): handshake, tuning, channels,
/// heartbeats, its end.
///
/// Pure state: bytes and the time go in, bytes and events come out; it owns no socket and reads no
/// clock. Not thread-safe.
class Session {
public:
    using Instant = std::chrono::steady_clock::time_point;

    Session(SessionOptions options, SessionEvents& events);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    /// Begins the handshake.
    void start(Instant now);
    /// Processes complete frames; returns how many bytes they took. The rest is to be given again,
    /// with more behind it.
    std::size_t receive(std::string_view bytes, Instant now);
    /// Sends a heartbeat when one is due, and ends a connection whose peer has been silent for
    /// almost two intervals: what is received decides, not what can be written.
    void tick(Instant now);
    /// When tick() has something to do; Instant::max() while there are no heartbeats.
    [[nodiscard]] Instant next_tick() const noexcept;
    /// Moves what is to be written into `out` (whose capacity is kept for the next turn).
    void take_output(std::string& out, Instant now);
    [[nodiscard]] bool has_output() const noexcept { return !output_.empty() || wants_flush_; }

    /// The transport ended, or its owner gives up.
    void fail(Error why);
    /// Begins an orderly end: events().on_closed() follows when the peer agrees.
    void close();

    /// Only while open. The channel can be used at once. Null: the peer allows no more channels.
    /// Lifetime: `events` until ChannelEvents::on_channel_closed() or Channel::close().
    [[nodiscard]] Channel* open_channel(ChannelEvents& events);

    [[nodiscard]] bool open() const noexcept { return phase_ == Phase::open; }
    [[nodiscard]] bool closed() const noexcept { return phase_ == Phase::closed; }
    [[nodiscard]] bool blocked() const noexcept { return blocked_; }
    [[nodiscard]] std::chrono::seconds heartbeat() const noexcept { return heartbeat_; }
    [[nodiscard]] std::uint32_t frame_bytes_max() const noexcept { return frame_bytes_max_; }
    [[nodiscard]] std::size_t channels() const noexcept { return channels_.size(); }
    /// From connection.start: "RabbitMQ 3.10.8".
    [[nodiscard]] const std::string& peer_product() const noexcept { return peer_product_; }

private:
    friend class Channel;
    enum class Phase : std::uint8_t {
        idle,
        awaiting_start,
        awaiting_tune,
        awaiting_open,
        open,
        closing,
        closed
    };

    bool on_frame(const Frame& frame, std::string& problem);
    bool on_connection_method(const Frame& frame, std::string& problem);
    bool on_start(WireReader& in, std::string& problem);
    bool on_tune(WireReader& in);
    void on_peer_close(WireReader& in);
    void refuse(ReplyCode code, std::string problem);
    template <class Method>
    void send(const Method& method);
    /// Where frames are appended; announces them.
    [[nodiscard]] std::string& output();
    void announce_output();
    void end(Error why);

    SessionOptions options_;
    SessionEvents& events_;
    Phase phase_ = Phase::idle;
    std::string output_;
    bool output_announced_ = false;
    bool wants_flush_ = false;
    using Channels = std::map<std::uint16_t, std::unique_ptr<Channel>>;
    Channels channels_;
    Channels lost_channels_;  ///< Kept: a frame on one of them may be what ended the session.
    std::uint16_t channel_max_;
    std::uint32_t frame_bytes_max_;
    std::chrono::seconds heartbeat_{0};
    Instant last_received_;
    Instant last_sent_;
    bool blocked_ = false;
    std::string peer_product_;
};

template <class Method>
std::string Channel::send(const Method& method) {
    return append_method(session_.output(), id_, method);
}

}  // namespace lovage::amqp
