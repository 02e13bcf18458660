#pragma once

// What the bare loops on RabbitMQ share: librabbitmq, and the message that they move.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <amqp.h>
#include <amqp_tcp_socket.h>

namespace bench {

/// With headers and properties a message is 1 KiB, as a task's is whose payload is kPayloadBytes.
inline constexpr std::size_t kBodyBytes = 344;
inline constexpr std::size_t kArgsreprBytes = 261;
inline constexpr long kUnconfirmedMax = 200;

[[noreturn]] inline void give_up(const char* what) {
    std::fprintf(stderr, "bare loop: %s\n", what);
    std::exit(1);
}

struct Address {
    std::string host;
    int port;
    explicit Address(const std::string& text)
        : host{text.substr(0, text.rfind(':'))},
          port{std::atoi(text.c_str() + text.rfind(':') + 1)} {}
};

inline amqp_bytes_t bytes(std::string_view text) {
    return {text.size(), const_cast<char*>(text.data())};
}

/// One connection with one channel.
class Amqp {
public:
    explicit Amqp(const Address& address) : state_{amqp_new_connection()} {
        amqp_socket_t* socket = amqp_tcp_socket_new(state_);
        if (amqp_socket_open(socket, address.host.c_str(), address.port) != 0) {
            give_up("cannot connect to RabbitMQ");
        }
        constexpr int kFrameMax = 131'072;
        amqp_login(state_, "/", 0, kFrameMax, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
        amqp_channel_open(state_, 1);
        check("no channel");
    }
    ~Amqp() {
        amqp_connection_close(state_, AMQP_REPLY_SUCCESS);
        amqp_destroy_connection(state_);
    }
    Amqp(const Amqp&) = delete;
    Amqp& operator=(const Amqp&) = delete;
    [[nodiscard]] amqp_connection_state_t state() const { return state_; }
    /// Ends the program with `what` if the last call was refused.
    void check(const char* what) const {
        if (amqp_get_rpc_reply(state_).reply_type != AMQP_RESPONSE_NORMAL) give_up(what);
    }

private:
    amqp_connection_state_t state_;
};

inline void fresh_queue(const Amqp& amqp, std::string_view queue) {
    amqp_queue_delete(amqp.state(), 1, bytes(queue), 0, 0);
    amqp_queue_declare(amqp.state(), 1, bytes(queue), 0, 1, 0, 0, amqp_empty_table);
}

/// Celery's header table, with the id first in nothing but name: librabbitmq writes it anew for
/// every message, as any client must.
class Headers {
public:
    Headers() {
        constexpr std::array<std::string_view, 7> kTexts = {
            "lang", "task", "id", "root_id", "argsrepr", "kwargsrepr", "origin"};
        constexpr std::array<std::string_view, 9> kNulls = {
            "shadow",    "eta",       "expires", "group",          "group_index",
            "parent_id", "timelimit", "stamps",  "stamped_headers"};
        for (const auto name : kTexts) {
            entries_.push_back({bytes(name), {AMQP_FIELD_KIND_UTF8, {}}});
            entries_.back().value.value.bytes = name == "argsrepr"
                                                    ? bytes(argsrepr_)
                                                    : bytes("8e4c6bc7-e8b0-49d1-8ab7-3b8ffb362a9d");
        }
        for (const auto name : kNulls)
            entries_.push_back({bytes(name), {AMQP_FIELD_KIND_VOID, {}}});
        for (const auto name : {"retries", "replaced_task_nesting", "ignore_result"}) {
            entries_.push_back({bytes(name), {AMQP_FIELD_KIND_I32, {}}});
        }
        properties_._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG |
                             AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG |
                             AMQP_BASIC_CORRELATION_ID_FLAG;
        properties_.content_type = bytes("application/json");
        properties_.content_encoding = bytes("utf-8");
        properties_.correlation_id = bytes("8e4c6bc7-e8b0-49d1-8ab7-3b8ffb362a9d");
        properties_.delivery_mode = 2;
        properties_.headers.num_entries = static_cast<int>(entries_.size());
        properties_.headers.entries = entries_.data();
    }
    [[nodiscard]] const amqp_basic_properties_t& properties() const { return properties_; }

private:
    const std::string argsrepr_ = std::string(kArgsreprBytes, 'x');
    std::vector<amqp_table_entry_t> entries_;
    amqp_basic_properties_t properties_{};
};

/// Persistent, mandatory publishes to one queue and their confirms, one line of both.
class ConfirmedPublisher {
public:
    ConfirmedPublisher(const Amqp& amqp, std::string_view queue) : amqp_{amqp}, queue_{queue} {
        amqp_confirm_select(amqp.state(), 1);
    }
    /// Returns once all are confirmed; never more than `unconfirmed_max` are open.
    void publish(long count, long unconfirmed_max = kUnconfirmedMax) {
        for (long i = 0; i < count; ++i) publish_one(unconfirmed_max);
        await_confirms(0);
    }
    /// Returns once at most `unconfirmed_max` - 1 are open.
    void publish_one(long unconfirmed_max) {
        amqp_basic_publish(amqp_.state(), 1, amqp_empty_bytes, bytes(queue_), 1, 0,
                           &headers_.properties(), bytes(body_));
        ++published_;
        await_confirms(unconfirmed_max - 1);
    }
    /// What is published from now on has a body of so many bytes.
    void set_body(std::size_t bytes) { body_.resize(bytes, 'x'); }

private:
    /// Reads confirms until at most `most` are open.
    void await_confirms(long most) {
        while (published_ - confirmed_ > most) {
            amqp_frame_t frame;
            if (amqp_simple_wait_frame(amqp_.state(), &frame) < 0) {
                give_up("the connection was lost");
            }
            if (frame.frame_type == AMQP_FRAME_METHOD &&
                frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
                const auto* ack = static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
                confirmed_ = static_cast<long>(ack->delivery_tag);
                amqp_maybe_release_buffers(amqp_.state());
            }
        }
    }

    const Amqp& amqp_;
    std::string queue_;
    const Headers headers_;
    std::string body_ = std::string(kBodyBytes, 'x');
    long published_ = 0;
    long confirmed_ = 0;
};

}  // namespace bench
