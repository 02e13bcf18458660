#include <lovage/worker/retry_message.hpp>

#include <string>

#include <gtest/gtest.h>

#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing_support::load_fixture;

/// A message recorded from Celery, by its name in tests/fixtures/celery_messages.json.
Message recorded(const std::string& name) {
    static const Json fixture = load_fixture("celery_messages.json");
    for (const Json& entry : fixture.find("messages")->as_array()) {
        if (entry.find("name")->as_string() != name) continue;
        Message message;
        const Json& properties = *entry.find("properties");
        message.properties.correlation_id = properties.find("correlation_id")->as_string();
        message.properties.reply_to = properties.find("reply_to")->as_string();
        if (const Json* priority = properties.find("priority")) {
            message.properties.priority = static_cast<std::uint8_t>(*priority->as_int64());
        }
        message.headers = *entry.find("headers");
        message.body = entry.find("body")->as_string();
        return message;
    }
    throw std::runtime_error{"no message named " + name};
}

/// The plan that gives the recorded retry its eta.
RetryPlan plan_of(const TaskMessage& retry) {
    return {.eta = retry.eta, .args = std::nullopt, .kwargs = std::nullopt};
}

/// Encoded headers are text; this reads them.
Json headers_of(const Message& message) {
    return value_or_throw(message.headers.fully_expanded());
}

class RecordedRetry : public testing::TestWithParam<const char*> {};

TEST_P(RecordedRetry, IsWhatWeSend) {
    const std::string name = GetParam();
    const auto first = decode_task_message(recorded(name + "#0"));
    const Message expected = recorded(name + "#1");
    const auto retry = decode_task_message(expected);
    ASSERT_TRUE(first);
    ASSERT_TRUE(retry);

    TaskMessage made = make_retry(*first, plan_of(*retry), {});
    made.origin = retry->origin;  // 5.2 puts its pool process there, 5.3 and later keep it
    const Message message = encode_task_message(made);

    EXPECT_EQ(message.body, expected.body);
    EXPECT_EQ(message.properties.correlation_id, expected.properties.correlation_id);
    EXPECT_EQ(message.properties.reply_to, expected.properties.reply_to);
    EXPECT_EQ(message.properties.priority, expected.properties.priority);
    const Json headers = headers_of(message);
    for (const auto& [header, value] : expected.headers.as_object()) {
        const Json* ours = headers.find(header);
        ASSERT_TRUE(ours) << header;
        EXPECT_EQ(to_json_text(*ours), to_json_text(value)) << header;
    }
}

INSTANTIATE_TEST_SUITE_P(Celery, RecordedRetry,
                         testing::Values("worker/retry_message", "v56/redis_retry"));

TaskMessage call() {
    TaskMessage message;
    message.id = "id-1";
    message.task = "flaky";
    message.args = Json::raw("[1]");
    message.kwargs = Json::raw("{}");
    message.argsrepr = "(1,)";
    return message;
}

TEST(RetryMessage, AParentThatIsThereStays) {
    TaskMessage message = call();
    EXPECT_EQ(make_retry(message, {}, {}).parent_id, "id-1");
    message.parent_id = "parent-1";
    EXPECT_EQ(make_retry(message, {}, {}).parent_id, "parent-1");
}

TEST(RetryMessage, NewArgumentsReplaceTheOldOnesAndTheirText) {
    const TaskMessage again =
        make_retry(call(), {.args = Json::array({7, 8}), .kwargs = Json::object({{"k", 1}})}, {});
    const Message message = encode_task_message(again);
    EXPECT_EQ(
        message.body,
        R"([[7, 8], {"k": 1}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])");
    const Json headers = headers_of(message);
    EXPECT_EQ(headers.find("argsrepr")->as_string(), "(7, 8)");
    EXPECT_EQ(headers.find("kwargsrepr")->as_string(), "{'k': 1}");
}

TEST(RetryMessage, WithoutAnEtaTheOldOneGoes) {
    TaskMessage message = call();
    message.eta = TimePoint{5s};
    EXPECT_EQ(make_retry(message, {}, {}).eta, std::nullopt);
}

TEST(RetryMessage, HeadersOfTheBrokerStayBehind) {
    TaskMessage message = call();
    message.user_headers = Json::object(
        {{"tenant", "a"}, {"x-death", Json::array()}, {"x-delivery-count", 2}, {"x-mine", 1}});
    EXPECT_EQ(to_json_text(make_retry(message, {}, {}).user_headers),
              R"({"tenant": "a", "x-mine": 1})");
}

TEST(RetryMessage, GoesToItsQueueWithItsExpiry) {
    const TaskDefinition task;
    TaskRequest request;
    request.message = call();
    request.message.expires = TimePoint{9s};
    request.message.priority = std::uint8_t{4};
    request.definition = &task;
    request.delivery.queue = "slow";
    const TaskSend send = make_retry_send(request, {.eta = TimePoint{5s}});
    EXPECT_EQ(send.queue, "slow");
    EXPECT_EQ(send.task_id, "id-1");
    EXPECT_EQ(send.eta, TimePoint{5s});
    EXPECT_EQ(send.expires, TimePoint{9s});
    EXPECT_EQ(send.message.properties.priority, 4);
}

}  // namespace
}  // namespace lovage
