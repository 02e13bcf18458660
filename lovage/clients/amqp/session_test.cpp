// The connection's state machine against a scripted server: no socket, no clock.

#include <lovage/clients/amqp/session.hpp>

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

namespace lovage::amqp {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Session::Instant at(std::chrono::milliseconds time) {
    return Session::Instant{} + 1h + time;
}

struct Events final : SessionEvents {
    void on_output() override { ++outputs; }
    void on_open() override { opened = true; }
    void on_blocked(std::string_view reason) override { blocked = reason; }
    void on_unblocked() override { blocked.clear(); }
    void on_closed(const Error& why) override { closed = why; }
    int outputs = 0;
    bool opened = false;
    std::string blocked;
    std::optional<Error> closed;
};

struct ChannelLog final : ChannelEvents {
    void on_delivered(Delivered message) override { delivered.push_back(std::move(message)); }
    void on_returned(Returned message) override { returned.push_back(std::move(message)); }
    void on_confirm(std::uint64_t tag, bool multiple, bool stored) override {
        confirms.push_back(std::to_string(tag) + (multiple ? "+" : "") + (stored ? "" : "!"));
    }
    void on_consumer_cancelled(std::string_view tag) override { cancelled.emplace_back(tag); }
    void on_channel_closed(const Error& why) override { closed = why; }
    std::vector<Delivered> delivered;
    std::vector<Returned> returned;
    std::vector<std::string> confirms;
    std::vector<std::string> cancelled;
    std::optional<Error> closed;
};

/// A session and what its peer says and sees.
class Script {
public:
    explicit Script(SessionOptions options = {}) : session{std::move(options), events} {
        session.start(at(0ms));
    }

    template <class Method>
    static std::string bytes(std::uint16_t channel, const Method& method) {
        std::string out;
        EXPECT_EQ(append_method(out, channel, method), "");
        return out;
    }
    template <class Method>
    void server(std::uint16_t channel, const Method& method, std::chrono::milliseconds time = 0ms) {
        feed(bytes(channel, method), time);
    }
    void feed(const std::string& input, std::chrono::milliseconds time = 0ms) {
        EXPECT_EQ(session.receive(input, at(time)), input.size());
    }
    /// The methods the client has written since the last call, as "class.method".
    std::vector<std::string> written(std::chrono::milliseconds time = 0ms) {
        std::string out;
        session.take_output(out, at(time));
        std::string_view rest = out;
        if (rest.starts_with("AMQP")) rest.remove_prefix(kProtocolHeader.size());
        std::vector<std::string> methods;
        Frame frame;
        while (read_frame(rest, 131'072, frame) == FrameStatus::complete) {
            rest.remove_prefix(frame.payload.size() + kFrameOverhead);
            if (frame.type == FrameType::heartbeat) {
                methods.emplace_back("heartbeat");
            } else if (frame.type == FrameType::method) {
                WireReader reader{frame.payload};
                const std::uint32_t id = reader.u32();
                methods.push_back(std::to_string(id >> 16U) + "." + std::to_string(id & 0xFFFFU));
            }
        }
        EXPECT_TRUE(rest.empty());
        return methods;
    }
    void open(std::uint16_t heartbeat_s = 60) {
        server(0, connection::Start{.mechanisms = "PLAIN AMQPLAIN", .locales = "en_US"});
        server(0, connection::Tune{
                      .channel_max = 100, .frame_max = 131'072, .heartbeat_s = heartbeat_s});
        server(0, connection::OpenOk{});
        EXPECT_TRUE(session.open());
        (void)written();
    }
    Channel& channel() {
        Channel* const opened = session.open_channel(log);
        EXPECT_NE(opened, nullptr);
        server(opened->id(), channel::OpenOk{});
        (void)written();
        return *opened;
    }

    Events events;
    ChannelLog log;
    Session session;
};

std::string message_bytes(std::uint16_t channel, std::uint64_t tag, std::string_view body) {
    std::string out = Script::bytes(
        channel, basic::Deliver{.consumer_tag = "c", .delivery_tag = tag, .routing_key = "q"});
    FrameScope header{out, FrameType::header, channel};
    WireWriter writer{out};
    write_content_header(writer, {}, body.size());
    header.finish();
    append_body(out, channel, body, 4096);
    return out;
}

TEST(AmqpSession, ShakesHands) {
    Script script{{.user = "me", .password = "secret", .vhost = "v"}};
    EXPECT_EQ(script.events.outputs, 1);
    EXPECT_THAT(script.written(), IsEmpty());  // the protocol header
    script.server(0, connection::Start{.mechanisms = "AMQPLAIN PLAIN", .locales = "en_US"});
    EXPECT_THAT(script.written(), ElementsAre("10.11"));
    script.server(0, connection::Tune{.channel_max = 10, .frame_max = 8192, .heartbeat_s = 60});
    EXPECT_THAT(script.written(), ElementsAre("10.31", "10.40"));
    EXPECT_FALSE(script.events.opened);
    script.server(0, connection::OpenOk{});
    EXPECT_TRUE(script.events.opened);
    EXPECT_EQ(script.session.heartbeat(), 10s) << "the shorter of both";
    EXPECT_EQ(script.session.frame_bytes_max(), 8192U);
}

TEST(AmqpSession, EveryCutOfTheStreamIsTheSame) {
    const std::string stream =
        Script::bytes(0, connection::Start{.mechanisms = "PLAIN", .locales = "en_US"}) +
        Script::bytes(0, connection::Tune{.channel_max = 10, .heartbeat_s = 1}) +
        Script::bytes(0, connection::OpenOk{}) +
        Script::bytes(0, connection::Blocked{.reason = "low on memory"});
    for (std::size_t slice = 1; slice < stream.size(); ++slice) {
        Script script;
        std::string buffer;
        for (std::size_t from = 0; from < stream.size(); from += slice) {
            buffer += stream.substr(from, slice);
            buffer.erase(0, script.session.receive(buffer, at(0ms)));
        }
        EXPECT_TRUE(script.session.open()) << slice;
        EXPECT_EQ(script.events.blocked, "low on memory") << slice;
    }
}

TEST(AmqpSession, RefusedLoginsSayWhy) {
    Script script;
    script.server(0, connection::Start{.mechanisms = "PLAIN"});
    script.server(0, connection::Close{.code = 403, .text = "ACCESS_REFUSED"});
    ASSERT_TRUE(script.events.closed);
    EXPECT_EQ(script.events.closed->code, Errc::rejected);
    EXPECT_THAT(script.events.closed->detail, HasSubstr("ACCESS_REFUSED"));

    Script other{{.mechanism = Mechanism::external}};
    other.server(0, connection::Start{.mechanisms = "PLAIN AMQPLAIN"});
    ASSERT_TRUE(other.events.closed);
    EXPECT_EQ(other.events.closed->code, Errc::rejected);
    EXPECT_THAT(other.events.closed->detail, HasSubstr("EXTERNAL"));
}

TEST(AmqpSession, SomethingElseThanAmqpIsRecognised) {
    Script script;
    (void)script.session.receive("HTTP/1.1 400 Bad Request\r\n", at(0ms));
    ASSERT_TRUE(script.events.closed);
    EXPECT_EQ(script.events.closed->code, Errc::malformed);
}

TEST(AmqpSession, SilenceEndsTheConnectionWithinTwoIntervals) {
    Script script;
    script.open();
    script.session.tick(at(5s));
    EXPECT_THAT(script.written(5s), ElementsAre("heartbeat"));
    std::string beat;
    append_heartbeat(beat);
    script.feed(beat, 9s);
    // What we send does not count.
    for (const auto time : {10s, 15s, 20s, 25s, 26s}) {
        script.session.tick(at(time));
        (void)script.written(time);
    }
    EXPECT_FALSE(script.events.closed);
    EXPECT_EQ(script.session.next_tick(), at(27s));
    script.session.tick(at(27s));
    ASSERT_TRUE(script.events.closed);
    EXPECT_EQ(script.events.closed->code, Errc::disconnected);
    EXPECT_THAT(script.events.closed->detail, HasSubstr("18 s"));
}

TEST(AmqpSession, ATickAlwaysMovesTheNextOne) {
    Script script;
    script.open();
    auto now = at(0ms);
    for (int i = 0; i < 3; ++i) {  // nobody takes the output: the socket is full
        now = script.session.next_tick();
        script.session.tick(now);
        if (!script.session.closed()) EXPECT_GT(script.session.next_tick(), now);
    }
}

TEST(AmqpSession, AChannelErrorEndsOneChannelOnly) {
    Script script;
    script.open();
    Channel& broken = script.channel();
    ChannelLog other_log;
    Channel* const other = script.session.open_channel(other_log);
    script.server(other->id(), channel::OpenOk{});
    std::vector<Errc> replies;
    const auto note = [&](const Result<Reply>& reply) {
        replies.push_back(reply ? Errc::internal : reply.error().code);
    };
    broken.call(Request::make(queue::Declare{.queue = "q"}, queue::DeclareOk::kId), note);
    broken.call(Request::make(queue::Purge{.queue = "p"}, queue::PurgeOk::kId), note);
    (void)script.written();
    script.server(
        broken.id(),
        channel::Close{
            .code = 406, .text = "PRECONDITION_FAILED", .failing_class = 50, .failing_method = 10});
    EXPECT_THAT(replies, ElementsAre(Errc::conflict, Errc::cancelled));
    EXPECT_TRUE(script.log.closed);
    EXPECT_THAT(script.written(), ElementsAre("20.41"));
    EXPECT_FALSE(other_log.closed);
    EXPECT_TRUE(script.session.open());
    EXPECT_EQ(script.session.channels(), 1U);
}

TEST(AmqpSession, RepliesFindTheirRequests) {
    Script script;
    script.open();
    Channel& channel = script.channel();
    std::vector<std::string> order;
    channel.call(Request::make(basic::Consume{.queue = "q"}, basic::ConsumeOk::kId),
                 [&](const Result<Reply>& reply) { order.push_back(reply->name); });
    channel.call(Request::make(queue::Declare{.queue = "q"}, queue::DeclareOk::kId),
                 [&](const Result<Reply>& reply) {
                     order.push_back(reply->name + std::to_string(reply->messages));
                 });
    script.server(channel.id(), queue::DeclareOk{.queue = "q", .message_count = 5});
    script.server(channel.id(), basic::ConsumeOk{.consumer_tag = "tag"});
    EXPECT_THAT(order, ElementsAre("q5", "tag"));
    script.server(channel.id(), queue::PurgeOk{});
    ASSERT_TRUE(script.events.closed) << "an answer to nothing";
    EXPECT_EQ(script.events.closed->code, Errc::malformed);
}

TEST(AmqpSession, MessagesAreAssembled) {
    Script script;
    script.open();
    Channel& channel = script.channel();
    const std::string large(10'000, 'x');
    script.feed(message_bytes(channel.id(), 1, large) + message_bytes(channel.id(), 2, ""));
    ASSERT_EQ(script.log.delivered.size(), 2U);
    EXPECT_EQ(script.log.delivered[0].body, large);
    EXPECT_EQ(script.log.delivered[0].tag, 1U);
    EXPECT_EQ(script.log.delivered[1].body, "");
    script.server(channel.id(), basic::Ack{.delivery_tag = 7, .multiple = true});
    script.server(channel.id(), basic::Nack{.delivery_tag = 8});
    EXPECT_THAT(script.log.confirms, ElementsAre("7+", "8!"));
    script.server(channel.id(), basic::Cancel{.consumer_tag = "c", .no_wait = true});
    EXPECT_THAT(script.log.cancelled, ElementsAre("c"));
}

TEST(AmqpSession, BrokenMessagesEndTheConnection) {
    const auto refused = [](const auto& tamper) {
        Script script;
        script.open();
        Channel& channel = script.channel();
        (void)script.session.receive(tamper(channel.id()), at(0ms));
        return script.events.closed && script.events.closed->code == Errc::malformed;
    };
    EXPECT_TRUE(refused([](std::uint16_t id) {
        std::string body;
        append_body(body, id, "out of nowhere", 4096);
        return body;
    }));
    EXPECT_TRUE(refused([](std::uint16_t id) {
        const auto deliver = Script::bytes(id, basic::Deliver{.delivery_tag = 1});
        return deliver + deliver;
    }));
    EXPECT_TRUE(refused([](std::uint16_t id) {
        std::string more = message_bytes(id, 1, "abc");
        append_body(more, id, "d", 4096);
        return more;
    }));
    EXPECT_TRUE(refused([](std::uint16_t id) {
        std::string out = Script::bytes(id, basic::Deliver{.delivery_tag = 1});
        FrameScope header{out, FrameType::header, id};
        WireWriter writer{out};
        write_content_header(writer, {}, ~0ULL);
        header.finish();
        return out;
    }));
    EXPECT_TRUE(refused([](std::uint16_t) { return Script::bytes(99, basic::Ack{}); }));
}

TEST(AmqpSession, ALostConnectionLeavesRequestsOpen) {
    Script script;
    script.open();
    Channel& channel = script.channel();
    std::optional<Errc> outcome;
    channel.call(Request::make(queue::Delete{.queue = "q"}, queue::DeleteOk::kId),
                 [&](const Result<Reply>& reply) { outcome = reply.error().code; });
    script.session.fail({Errc::disconnected, "reset"});
    EXPECT_EQ(outcome, Errc::unknown_outcome);
    EXPECT_TRUE(script.log.closed);
    EXPECT_TRUE(script.events.closed);
    EXPECT_THAT(script.written(), IsEmpty());
}

TEST(AmqpSession, ClosesInOrder) {
    Script script;
    script.open();
    Channel& channel = script.channel();
    bool channel_closed = false;
    channel.close([&](const Result<Reply>&) { channel_closed = true; });
    EXPECT_THAT(script.written(), ElementsAre("20.40"));
    script.feed(message_bytes(1, 1, "late"));
    script.server(1, channel::CloseOk{});
    EXPECT_TRUE(channel_closed);
    EXPECT_THAT(script.log.delivered, IsEmpty());
    EXPECT_EQ(script.session.channels(), 0U);
    script.session.close();
    EXPECT_THAT(script.written(), ElementsAre("10.50"));
    script.server(0, connection::CloseOk{});
    ASSERT_TRUE(script.events.closed);
    EXPECT_EQ(script.events.closed->code, Errc::closed);
}

TEST(AmqpSession, APublishWithoutAFormOnTheWireLeavesNothingBehind) {
    Script script;
    script.open();
    Channel& channel = script.channel();
    Properties properties;
    properties.correlation_id = std::string(256, 'c');
    const auto refused = channel.publish({.routing_key = "q"}, properties, "body");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    properties.correlation_id.reset();
    properties.headers = Json::object({{"h", std::string(200'000, 'x')}});
    EXPECT_EQ(channel.publish({.routing_key = "q"}, properties, "").error().code, Errc::too_large);
    EXPECT_THAT(script.written(), IsEmpty());
    const int before = script.events.outputs;
    EXPECT_TRUE(channel.publish({.routing_key = "q"}, {}, "body"));
    EXPECT_GT(script.events.outputs, before) << "it is announced, although a refused one was";
    EXPECT_THAT(script.written(), ElementsAre("60.40"));
}

}  // namespace
}  // namespace lovage::amqp
