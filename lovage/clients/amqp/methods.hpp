#pragma once

#include <lovage/clients/amqp/table.hpp>
#include <lovage/clients/amqp/wire.hpp>
#include <lovage/core/json.hpp>

#include <cstdint>
#include <string_view>
#include <utility>

/// The methods of AMQP 0-9-1 with RabbitMQ's extensions that a client sends or receives.
///
/// Each is a plain struct; `fields()` describes its arguments once, for writing and for reading.
/// Texts are views: into the caller's strings when writing, into the frame when reading.
namespace lovage::amqp {

/// Class and method number as one key.
[[nodiscard]] constexpr std::uint32_t method_id(std::uint16_t class_id, std::uint16_t method) {
    return static_cast<std::uint32_t>(class_id) << 16U | method;
}

/// Runs a method's fields() to write them.
class FieldWriter {
public:
    explicit FieldWriter(WireWriter& out) : out_{out} {}
    void octet(std::uint8_t value) { out_.u8(value); }
    void number(std::uint16_t value) { out_.u16(value); }
    void number(std::uint32_t value) { out_.u32(value); }
    void number(std::uint64_t value) { out_.u64(value); }
    void text(std::string_view value) { out_.short_string(value); }
    void long_text(std::string_view value) { out_.long_string(value); }
    void table(const Json& value) { write_table(out_, value); }
    /// Consecutive bits share an octet, the first lowest (section 4.2.5.2).
    template <class... Bits>
    void bits(const Bits&... values) {
        unsigned packed = 0;
        unsigned position = 0;
        ((packed |= static_cast<unsigned>(values) << position++), ...);
        out_.u8(static_cast<std::uint8_t>(packed));
    }

private:
    WireWriter& out_;
};

/// Runs a method's fields() to read them.
class FieldReader {
public:
    explicit FieldReader(WireReader& in) : in_{in} {}
    void octet(std::uint8_t& value) { value = in_.u8(); }
    void number(std::uint16_t& value) { value = in_.u16(); }
    void number(std::uint32_t& value) { value = in_.u32(); }
    void number(std::uint64_t& value) { value = in_.u64(); }
    void text(std::string_view& value) { value = in_.short_string(); }
    void long_text(std::string_view& value) { value = in_.long_string(); }
    void table(Json& value) { value = read_table(in_); }
    template <class... Bits>
    void bits(Bits&... values) {
        const unsigned packed = in_.u8();
        unsigned position = 0;
        ((values = (packed >> position++ & 1U) != 0), ...);
    }

private:
    WireReader& in_;
};

template <class Method>
void write_method(WireWriter& out, const Method& method) {
    out.u32(Method::kId);
    FieldWriter writer{out};
    Method::fields(method, writer);
}

/// Reads the arguments, behind class and method number. Check `in.ok()` afterwards; what a newer
/// peer may have added behind them is left.
template <class Method>
[[nodiscard]] Method read_method(WireReader& in) {
    Method method;
    FieldReader reader{in};
    Method::fields(method, reader);
    return method;
}

// A method without arguments.
template <std::uint16_t Class, std::uint16_t Number>
struct EmptyMethod {
    static constexpr std::uint32_t kId = method_id(Class, Number);
    static void fields(auto& /*self*/, auto& /*codec*/) {}
};

namespace connection {

struct Start {
    static constexpr std::uint32_t kId = method_id(10, 10);
    std::uint8_t version_major = 0;
    std::uint8_t version_minor = 9;
    Json server_properties = Json::object();
    std::string_view mechanisms;  ///< Separated by blanks.
    std::string_view locales;
    static void fields(auto& self, auto& codec) {
        codec.octet(self.version_major);
        codec.octet(self.version_minor);
        codec.table(self.server_properties);
        codec.long_text(self.mechanisms);
        codec.long_text(self.locales);
    }
};
struct StartOk {
    static constexpr std::uint32_t kId = method_id(10, 11);
    Json client_properties = Json::object();
    std::string_view mechanism;
    std::string_view response;
    std::string_view locale = "en_US";
    static void fields(auto& self, auto& codec) {
        codec.table(self.client_properties);
        codec.text(self.mechanism);
        codec.long_text(self.response);
        codec.text(self.locale);
    }
};
template <std::uint16_t Number>
struct TuneFields {
    static constexpr std::uint32_t kId = method_id(10, Number);
    std::uint16_t channel_max = 0;  ///< 0: no limit.
    std::uint32_t frame_max = 0;    ///< 0: no limit.
    std::uint16_t heartbeat_s = 0;  ///< 0: none wanted.
    static void fields(auto& self, auto& codec) {
        codec.number(self.channel_max);
        codec.number(self.frame_max);
        codec.number(self.heartbeat_s);
    }
};
using Tune = TuneFields<30>;
using TuneOk = TuneFields<31>;
struct Open {
    static constexpr std::uint32_t kId = method_id(10, 40);
    std::string_view vhost;
    static void fields(auto& self, auto& codec) {
        std::string_view capabilities;
        bool insist = false;
        codec.text(self.vhost);
        codec.text(capabilities);
        codec.bits(insist);
    }
};
struct OpenOk {
    static constexpr std::uint32_t kId = method_id(10, 41);
    static void fields(auto& /*self*/, auto& codec) {
        std::string_view known_hosts;
        codec.text(known_hosts);
    }
};
struct Close {
    static constexpr std::uint32_t kId = method_id(10, 50);
    std::uint16_t code = 200;
    std::string_view text;
    std::uint16_t failing_class = 0;
    std::uint16_t failing_method = 0;
    static void fields(auto& self, auto& codec) {
        codec.number(self.code);
        codec.text(self.text);
        codec.number(self.failing_class);
        codec.number(self.failing_method);
    }
};
using CloseOk = EmptyMethod<10, 51>;
struct Blocked {
    static constexpr std::uint32_t kId = method_id(10, 60);
    std::string_view reason;
    static void fields(auto& self, auto& codec) { codec.text(self.reason); }
};
using Unblocked = EmptyMethod<10, 61>;

}  // namespace connection

namespace channel {

struct Open {
    static constexpr std::uint32_t kId = method_id(20, 10);
    static void fields(auto& /*self*/, auto& codec) {
        std::string_view out_of_band;
        codec.text(out_of_band);
    }
};
struct OpenOk {
    static constexpr std::uint32_t kId = method_id(20, 11);
    static void fields(auto& /*self*/, auto& codec) {
        std::string_view id;
        codec.long_text(id);
    }
};
template <std::uint16_t Number>
struct FlowFields {
    static constexpr std::uint32_t kId = method_id(20, Number);
    bool active = true;
    static void fields(auto& self, auto& codec) { codec.bits(self.active); }
};
using Flow = FlowFields<20>;
using FlowOk = FlowFields<21>;
struct Close {
    static constexpr std::uint32_t kId = method_id(20, 40);
    std::uint16_t code = 200;
    std::string_view text;
    std::uint16_t failing_class = 0;
    std::uint16_t failing_method = 0;
    static void fields(auto& self, auto& codec) { connection::Close::fields(self, codec); }
};
using CloseOk = EmptyMethod<20, 41>;

}  // namespace channel

namespace exchange {

struct Declare {
    static constexpr std::uint32_t kId = method_id(40, 10);
    std::string_view exchange;
    std::string_view type = "direct";
    bool passive = false;
    bool durable = false;
    bool auto_delete = false;
    bool internal = false;
    bool no_wait = false;
    Json arguments = Json::object();
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.exchange);
        codec.text(self.type);
        codec.bits(self.passive, self.durable, self.auto_delete, self.internal, self.no_wait);
        codec.table(self.arguments);
    }
};
using DeclareOk = EmptyMethod<40, 11>;
struct Delete {
    static constexpr std::uint32_t kId = method_id(40, 20);
    std::string_view exchange;
    bool if_unused = false;
    bool no_wait = false;
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.exchange);
        codec.bits(self.if_unused, self.no_wait);
    }
};
using DeleteOk = EmptyMethod<40, 21>;

}  // namespace exchange

namespace queue {

struct Declare {
    static constexpr std::uint32_t kId = method_id(50, 10);
    std::string_view queue;
    bool passive = false;
    bool durable = false;
    bool exclusive = false;
    bool auto_delete = false;
    bool no_wait = false;
    Json arguments = Json::object();
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.queue);
        codec.bits(self.passive, self.durable, self.exclusive, self.auto_delete, self.no_wait);
        codec.table(self.arguments);
    }
};
struct DeclareOk {
    static constexpr std::uint32_t kId = method_id(50, 11);
    std::string_view queue;
    std::uint32_t message_count = 0;
    std::uint32_t consumer_count = 0;
    static void fields(auto& self, auto& codec) {
        codec.text(self.queue);
        codec.number(self.message_count);
        codec.number(self.consumer_count);
    }
};
struct Bind {
    static constexpr std::uint32_t kId = method_id(50, 20);
    std::string_view queue;
    std::string_view exchange;
    std::string_view routing_key;
    bool no_wait = false;
    Json arguments = Json::object();
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.queue);
        codec.text(self.exchange);
        codec.text(self.routing_key);
        codec.bits(self.no_wait);
        codec.table(self.arguments);
    }
};
using BindOk = EmptyMethod<50, 21>;
struct Purge {
    static constexpr std::uint32_t kId = method_id(50, 30);
    std::string_view queue;
    bool no_wait = false;
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.queue);
        codec.bits(self.no_wait);
    }
};
template <std::uint16_t Number>
struct CountFields {
    static constexpr std::uint32_t kId = method_id(50, Number);
    std::uint32_t message_count = 0;
    static void fields(auto& self, auto& codec) { codec.number(self.message_count); }
};
using PurgeOk = CountFields<31>;
struct Delete {
    static constexpr std::uint32_t kId = method_id(50, 40);
    std::string_view queue;
    bool if_unused = false;
    bool if_empty = false;
    bool no_wait = false;
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.queue);
        codec.bits(self.if_unused, self.if_empty, self.no_wait);
    }
};
using DeleteOk = CountFields<41>;
struct Unbind {
    static constexpr std::uint32_t kId = method_id(50, 50);
    std::string_view queue;
    std::string_view exchange;
    std::string_view routing_key;
    Json arguments = Json::object();
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.queue);
        codec.text(self.exchange);
        codec.text(self.routing_key);
        codec.table(self.arguments);
    }
};
using UnbindOk = EmptyMethod<50, 51>;

}  // namespace queue

namespace basic {

struct Qos {
    static constexpr std::uint32_t kId = method_id(60, 10);
    std::uint16_t prefetch_count = 0;  ///< 0: no limit.
    bool global = false;  ///< RabbitMQ: the whole channel, else each consumer made from now on.
    static void fields(auto& self, auto& codec) {
        std::uint32_t prefetch_bytes = 0;
        codec.number(prefetch_bytes);
        codec.number(self.prefetch_count);
        codec.bits(self.global);
    }
};
using QosOk = EmptyMethod<60, 11>;
struct Consume {
    static constexpr std::uint32_t kId = method_id(60, 20);
    std::string_view queue;
    std::string_view consumer_tag;
    bool no_local = false;
    bool no_ack = false;
    bool exclusive = false;
    bool no_wait = false;
    Json arguments = Json::object();
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.queue);
        codec.text(self.consumer_tag);
        codec.bits(self.no_local, self.no_ack, self.exclusive, self.no_wait);
        codec.table(self.arguments);
    }
};
template <std::uint16_t Number>
struct TagFields {
    static constexpr std::uint32_t kId = method_id(60, Number);
    std::string_view consumer_tag;
    static void fields(auto& self, auto& codec) { codec.text(self.consumer_tag); }
};
using ConsumeOk = TagFields<21>;
struct Cancel {
    static constexpr std::uint32_t kId = method_id(60, 30);
    std::string_view consumer_tag;
    bool no_wait = false;
    static void fields(auto& self, auto& codec) {
        codec.text(self.consumer_tag);
        codec.bits(self.no_wait);
    }
};
using CancelOk = TagFields<31>;
struct Publish {
    static constexpr std::uint32_t kId = method_id(60, 40);
    std::string_view exchange;
    std::string_view routing_key;
    bool mandatory = false;
    bool immediate = false;
    static void fields(auto& self, auto& codec) {
        std::uint16_t ticket = 0;
        codec.number(ticket);
        codec.text(self.exchange);
        codec.text(self.routing_key);
        codec.bits(self.mandatory, self.immediate);
    }
};
struct Return {
    static constexpr std::uint32_t kId = method_id(60, 50);
    std::uint16_t code = 0;
    std::string_view text;
    std::string_view exchange;
    std::string_view routing_key;
    static void fields(auto& self, auto& codec) {
        codec.number(self.code);
        codec.text(self.text);
        codec.text(self.exchange);
        codec.text(self.routing_key);
    }
};
struct Deliver {
    static constexpr std::uint32_t kId = method_id(60, 60);
    std::string_view consumer_tag;
    std::uint64_t delivery_tag = 0;
    bool redelivered = false;
    std::string_view exchange;
    std::string_view routing_key;
    static void fields(auto& self, auto& codec) {
        codec.text(self.consumer_tag);
        codec.number(self.delivery_tag);
        codec.bits(self.redelivered);
        codec.text(self.exchange);
        codec.text(self.routing_key);
    }
};
struct Ack {
    static constexpr std::uint32_t kId = method_id(60, 80);
    std::uint64_t delivery_tag = 0;
    bool multiple = false;  ///< All up to and including the tag.
    static void fields(auto& self, auto& codec) {
        codec.number(self.delivery_tag);
        codec.bits(self.multiple);
    }
};
struct Reject {
    static constexpr std::uint32_t kId = method_id(60, 90);
    std::uint64_t delivery_tag = 0;
    bool requeue = false;
    static void fields(auto& self, auto& codec) {
        codec.number(self.delivery_tag);
        codec.bits(self.requeue);
    }
};
struct Nack {
    static constexpr std::uint32_t kId = method_id(60, 120);
    std::uint64_t delivery_tag = 0;
    bool multiple = false;
    bool requeue = false;
    static void fields(auto& self, auto& codec) {
        codec.number(self.delivery_tag);
        codec.bits(self.multiple, self.requeue);
    }
};

}  // namespace basic

namespace confirm {

struct Select {
    static constexpr std::uint32_t kId = method_id(85, 10);
    bool no_wait = false;
    static void fields(auto& self, auto& codec) { codec.bits(self.no_wait); }
};
using SelectOk = EmptyMethod<85, 11>;

}  // namespace confirm

}  // namespace lovage::amqp
