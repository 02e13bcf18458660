#include <lovage/control/control_message.hpp>

#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::load_fixture;

/// A message as the fixture tells of it.
Message captured(const Json& facts) {
    Message message;
    message.properties.priority = 0;
    message.properties.delivery_mode =
        static_cast<std::uint8_t>(*facts.find("properties")->find("delivery_mode")->as_int64());
    message.headers = *facts.find("headers");
    message.body = facts.find("body")->as_string();
    return message;
}

const Json::Array& records() {
    static const Json fixture = load_fixture("celery_control.json");
    return fixture.find("records")->as_array();
}

const Json& record(std::string_view name) {
    for (const Json& entry : records()) {
        if (entry.find("name")->as_string() == name) return entry;
    }
    throw std::runtime_error{"no such record"};
}

ControlRequest request_of(std::string_view name) {
    return value_or_throw(decode_control_request(captured(*record(name).find("request"))));
}

Message with_body(std::string_view body) {
    Message message;
    message.body = body;
    return message;
}

std::string fault(const Message& message) {
    const auto request = decode_control_request(message);
    return request ? "decoded" : request.error().detail;
}

TEST(ControlMessage, ReadsAndWritesEveryCapturedRequestByteForByte) {
    for (const Json& entry : records()) {
        SCOPED_TRACE(entry.find("name")->as_string());
        const Message original = captured(*entry.find("request"));
        const auto request = decode_control_request(original);
        ASSERT_TRUE(request) << request.error().detail;
        const Message written = encode_control_request(*request);
        EXPECT_EQ(written.body, original.body);
        EXPECT_EQ(written.headers, original.headers);
        EXPECT_EQ(written.properties.delivery_mode, original.properties.delivery_mode);
        EXPECT_EQ(written.properties.priority, 0);
    }
}

TEST(ControlMessage, ReadsAndWritesEveryCapturedReplyByteForByte) {
    std::size_t replies = 0;
    for (const Json& entry : records()) {
        SCOPED_TRACE(entry.find("name")->as_string());
        for (const Json& facts : entry.find("replies")->as_array()) {
            const Message original = captured(facts);
            const auto reply = decode_control_reply(original);
            ASSERT_TRUE(reply) << reply.error().detail;
            const Message written = encode_control_reply(*reply);
            EXPECT_EQ(written.body, original.body);
            EXPECT_EQ(written.headers, original.headers);
            EXPECT_EQ(written.properties.delivery_mode, 1);
            ++replies;
        }
    }
    EXPECT_GT(replies, 60U);
}

TEST(ControlMessage, KnowsTheFieldsOfARequest) {
    const ControlRequest request = request_of("inspect_ping");
    EXPECT_EQ(request.method, "ping");
    EXPECT_EQ(request.arguments, Json::object());
    EXPECT_THAT(request.destination, ElementsAre("worker@capture"));
    EXPECT_EQ(request.clock, 1U);
    EXPECT_EQ(request.ticket, "fa24197b-809e-47ff-b3c7-d26c63123cde");
    ASSERT_TRUE(request.reply_to);
    EXPECT_EQ(request.reply_to->exchange, "reply.celery.pidbox");
    EXPECT_EQ(request.reply_to->routing_key, "f6b53e3d-9e98-3e71-99c3-2dc562ceec8a");
    EXPECT_FALSE(request_of("control_heartbeat_cast").reply_to);
}

TEST(ControlMessage, AddressesAsKombuDoes) {
    EXPECT_TRUE(addressed_to(request_of("ping_all"), "anyone@anywhere"));
    EXPECT_TRUE(addressed_to(request_of("inspect_ping"), "worker@capture"));
    EXPECT_FALSE(addressed_to(request_of("inspect_ping"), "Worker@capture"));
    EXPECT_TRUE(addressed_to(request_of("pattern_glob"), "worker9@capture"));
    EXPECT_FALSE(addressed_to(request_of("pattern_glob"), "other@capture"));
    EXPECT_TRUE(addressed_to(request_of("pattern_pcre"), "worker@capture"));
    EXPECT_FALSE(addressed_to(request_of("pattern_nomatch"), "worker@capture"));
}

TEST(ControlMessage, ADestinationBeatsAPattern) {
    EXPECT_FALSE(addressed_to({.method = "ping",
                               .destination = {"other@h"},
                               .pattern = "w*",
                               .matcher = NodeMatcher::glob},
                              "w@h"));
    EXPECT_TRUE(addressed_to({.method = "ping", .pattern = "x"}, "w@h"));
    EXPECT_FALSE(
        addressed_to({.method = "ping", .pattern = "(a+)+$", .matcher = NodeMatcher::pcre},
                     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@h"));
}

TEST(ControlMessage, TellsWhatIsWrongWithARequest) {
    EXPECT_THAT(fault(with_body("")), HasSubstr("expected"));
    EXPECT_EQ(fault(with_body("[]")), "'body' should be a map, not list");
    EXPECT_EQ(fault(with_body("{}")), "'method' is missing");
    EXPECT_EQ(fault(with_body(R"({"method": 1})")), "'method' should be a text, not int");
    EXPECT_EQ(fault(with_body(R"({"method": "ping", "arguments": []})")),
              "'arguments' should be a map, not list");
    EXPECT_EQ(fault(with_body(R"({"method": "ping", "destination": [1]})")),
              "'destination' should be a list of texts, not int");
    EXPECT_EQ(fault(with_body(R"({"method": "ping", "matcher": "soundex"})")),
              "'matcher' should be glob or pcre");
    EXPECT_EQ(fault(with_body(R"({"method": "ping", "reply_to": {"exchange": "x"}})")),
              "'reply_to' should be a map with exchange and routing_key, not dict");
    Message pickled = with_body("{}");
    pickled.properties.content_type = "application/x-python-serialize";
    EXPECT_THAT(fault(pickled), HasSubstr("application/x-python-serialize"));
}

TEST(ControlMessage, TakesWhatIsAbsentAsNull) {
    const auto request = decode_control_request(with_body(R"({"method": "ping"})"));
    ASSERT_TRUE(request);
    EXPECT_EQ(*request, ControlRequest{.method = "ping"});
    EXPECT_EQ(decode_control_request(with_body(R"({"method": "ping", "arguments": null})")),
              *request);
}

TEST(ControlMessage, IgnoresAClockThatIsNone) {
    Message message = with_body(R"({"method": "ping"})");
    for (const Json& clock : {Json{"x"}, Json{-1}, Json{1.5}, Json{}}) {
        message.headers = Json::object({{"clock", clock}, {"expires", "soon"}});
        EXPECT_EQ(value_or_throw(decode_control_request(message)).clock, 0U);
    }
}

TEST(ControlMessage, PublishesWithoutAskingForAListener) {
    const Publication asked = control_publication(ControlNames{}, {.method = "ping"});
    EXPECT_EQ(asked.exchange, "celery.pidbox");
    EXPECT_EQ(asked.routing_key, "");
    EXPECT_FALSE(asked.mandatory);
    EXPECT_TRUE(asked.aside);
    const Publication reply =
        reply_publication({.exchange = "reply.celery.pidbox", .routing_key = "oid"},
                          {.ticket = "t", .node = "w@h", .value = Json{}, .clock = 3});
    EXPECT_EQ(reply.exchange, "reply.celery.pidbox");
    EXPECT_EQ(reply.routing_key, "oid");
    EXPECT_EQ(reply.message.body, R"({"w@h": null})");
    EXPECT_FALSE(reply.mandatory);
}

}  // namespace
}  // namespace lovage
