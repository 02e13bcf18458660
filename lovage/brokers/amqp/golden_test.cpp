// What we put on the wire against what Celery put there.

#include <lovage/brokers/amqp/conversion.hpp>
#include <lovage/clients/amqp/session.hpp>
#include <tests/support/fixture.hpp>

#include <gmock/gmock.h>

#include <string>

namespace lovage::amqp_broker {
namespace {

using ::testing::HasSubstr;

struct NoEvents final : amqp::SessionEvents, amqp::ChannelEvents {
    void on_output() override {}
    void on_open() override {}
    void on_blocked(std::string_view) override {}
    void on_unblocked() override {}
    void on_closed(const Error&) override {}
    void on_channel_closed(const Error&) override {}
};

/// Channel 1 of an open session, and the bytes that leave it.
class OpenChannel {
public:
    OpenChannel() : session_{{}, events_} {
        session_.start({});
        peer(0, amqp::connection::Start{.mechanisms = "PLAIN"});
        peer(0, amqp::connection::Tune{.channel_max = 2047, .frame_max = 131'072});
        peer(0, amqp::connection::OpenOk{});
        channel_ = session_.open_channel(events_);
        peer(1, amqp::channel::OpenOk{});
        (void)written();
    }
    [[nodiscard]] amqp::Channel& channel() { return *channel_; }
    std::string written() {
        std::string out;
        session_.take_output(out, {});
        return out;
    }

private:
    template <class Method>
    void peer(std::uint16_t channel, const Method& method) {
        std::string bytes;
        EXPECT_EQ(amqp::append_method(bytes, channel, method), "");
        EXPECT_EQ(session_.receive(bytes, {}), bytes.size());
    }
    NoEvents events_;
    amqp::Session session_;
    amqp::Channel* channel_ = nullptr;
};

std::string hex(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const char byte : bytes) {
        text += kDigits[static_cast<std::uint8_t>(byte) >> 4U];
        text += kDigits[static_cast<std::uint8_t>(byte) & 0xFU];
    }
    return text;
}

/// The frame Celery sent, in hexadecimal digits.
std::string celery(const std::string& name) {
    static const Json fixture = testing_support::load_fixture("celery_amqp_frames.json");
    return fixture.find("frames")->find(name)->as_string();
}

std::string sent(amqp::Request request) {
    OpenChannel open;
    open.channel().call(std::move(request), [](const Result<amqp::Reply>&) {});
    return hex(open.written());
}

TEST(AmqpGolden, DeclarationsEqualCelerys) {
    EXPECT_EQ(sent(amqp::declare_request(exchange_spec({.name = "celery"}))),
              celery("exchange.declare"));
    EXPECT_EQ(sent(amqp::declare_request(queue_spec({.name = "celery"}))), celery("queue.declare"));
    EXPECT_EQ(sent(amqp::bind_request(
                  {.queue = "celery", .exchange = "celery", .routing_key = "celery"})),
              celery("queue.bind"));
}

TEST(AmqpGolden, APublishEqualsCelerys) {
    const std::string id = "11111111-1111-4111-8111-111111111111";
    Publication publication{.routing_key = "celery", .mandatory = false};
    Message& message = publication.message;
    message.properties.correlation_id = id;
    message.properties.reply_to = "3b4b9845-2687-35de-93ff-334aab18357f";
    message.properties.priority = 0;
    message.headers = Json::raw(
        R"J({"lang": "py", "task": "tasks.add", "id": ")J" + id +
        R"J(", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, )J"
        R"J("retries": 0, "timelimit": [null, null], "root_id": ")J" +
        id +
        R"J(", "parent_id": null, "argsrepr": "(2, 3)", "kwargsrepr": "{}", )J"
        R"J("origin": "gen31584@capture", "ignore_result": false})J");
    message.body =
        R"([[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])";

    const amqp::Outgoing out = outgoing(std::move(publication));
    OpenChannel open;
    ASSERT_TRUE(open.channel().publish(
        {.exchange = out.exchange, .routing_key = out.routing_key, .mandatory = out.mandatory},
        out.properties, out.body));
    EXPECT_EQ(hex(open.written()),
              celery("basic.publish") + celery("content header") + celery("content body"));
}

TEST(AmqpGolden, QueueArgumentsAreKombus) {
    const auto spec = queue_spec({.name = "q",
                                  .max_priority = 10,
                                  .expires = std::chrono::seconds{10},
                                  .message_ttl = std::chrono::seconds{300},
                                  .arguments = Json::object({{"x-queue-type", "quorum"}})});
    EXPECT_EQ(to_json_text(spec.arguments),
              R"({"x-expires": 10000, "x-message-ttl": 300000, "x-max-priority": 10, )"
              R"("x-queue-type": "quorum"})");
}

TEST(AmqpConversion, AnExpiryBeyondWhatRabbitMqTakesIsLeftOut) {
    const auto expiration = [](std::chrono::milliseconds of) {
        return outgoing({.message = {.properties = {.expiration = of}}}).properties.expiration;
    };
    EXPECT_EQ(expiration(std::chrono::milliseconds{315'360'000'000}), "315360000000");
    EXPECT_EQ(expiration(std::chrono::milliseconds{315'360'000'001}), std::nullopt);
    EXPECT_EQ(expiration(std::chrono::hours{24 * 365 * 74}), std::nullopt);
    EXPECT_EQ(expiration(std::chrono::milliseconds{-1}), "0");
}

TEST(AmqpConversion, ARefusedDeclarationSaysWhatToDo) {
    const auto told = [](std::string text) {
        return declaration_error({Errc::conflict, std::move(text)}, "queue", "q").detail;
    };
    EXPECT_EQ(told("406 PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'q' in "
                   "vhost '/': received the value '6' of type 'signedint' but current is none"),
              "queue 'q' exists with max_priority (setting task_queue_max_priority) none, not 6: "
              "declare it alike, or delete it first (it keeps what it was made with)");
    EXPECT_EQ(told("406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost "
                   "'/': received 'false' but current is 'true'"),
              "queue 'q' exists with durable true, not false: declare it alike, or delete it first "
              "(it keeps what it was made with)");
    EXPECT_THAT(told("405 RESOURCE_LOCKED - cannot obtain exclusive access"),
                HasSubstr("another connection"));
    EXPECT_THAT(told("406 PRECONDITION_FAILED - invalid arg 'x-max-priority'"),
                HasSubstr("invalid arg 'x-max-priority'"));
}

}  // namespace
}  // namespace lovage::amqp_broker
