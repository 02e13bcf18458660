#include <lovage/events/sent_event.hpp>

#include <lovage/core/task_message.hpp>
#include <lovage/events/event.hpp>
#include <tests/support/fixture.hpp>

#include <gtest/gtest.h>

#include <string>

namespace lovage {
namespace {

using testing_support::load_fixture;

const std::string kQueue = "celery";
const std::string kNoExchange;

/// The recorded `task-sent` of `tasks.add` with (2, 3).
Json recorded_event() {
    for (const Json& recording : load_fixture("celery_events.json").find("events")->as_array()) {
        const Json& event = *recording.find("event");
        if (event.find("type")->as_string() == "task-sent") return event;
    }
    return {};
}

TaskMessage addition(const std::string& id) {
    TaskMessage task;
    task.id = id;
    task.task = "tasks.add";
    task.args = Json::array({2, 3});
    return task;
}

TEST(SentEvent, HasTheFieldsThatCeleryWasRecordedSending) {
    Json theirs = recorded_event();
    const Message message = encode_task_message(addition(theirs.find("uuid")->as_string()));
    const auto made = sent_event({message.headers, kQueue, kNoExchange}, "gen26211@capture", 1,
                                 TimePoint{std::chrono::microseconds{1'795'278'500'984'744}});
    ASSERT_TRUE(made);
    EXPECT_EQ(made->routing_key, "task.sent");
    EXPECT_EQ(made->message.properties.delivery_mode, 1);
    auto ours = parse_json(made->message.body);
    ASSERT_TRUE(ours);
    ASSERT_EQ(ours->as_object().size(), theirs.as_object().size());
    for (std::size_t i = 0; i < theirs.as_object().size(); ++i) {
        const auto& [name, value] = theirs.as_object()[i];
        EXPECT_EQ(ours->as_object()[i].first, name);
        // Our process, our time zone; Python's clock is finer than a microsecond.
        if (name == "pid" || name == "utcoffset" || name == "timestamp") continue;
        EXPECT_EQ(ours->as_object()[i].second, value) << name;
    }
}

TEST(SentEvent, NamesTheTimesOfATask) {
    TaskMessage task = addition("a");
    task.eta = TimePoint{std::chrono::seconds{1'800'000'000}};
    const Message message = encode_task_message(task);
    const auto made = sent_event({message.headers, kQueue, kNoExchange}, "gen1@h", 1, TimePoint{});
    ASSERT_TRUE(made);
    const auto batch = decode_events(made->message);
    EXPECT_EQ(batch->events.at(0).text("eta"), to_iso8601(*task.eta));
}

TEST(SentEvent, OfATaskThroughAnExchangeNamesNoQueue) {
    const Message message = encode_task_message(addition("a"));
    const std::string exchange = "mine";
    const auto made = sent_event({message.headers, kQueue, exchange}, "gen1@h", 1, TimePoint{});
    ASSERT_TRUE(made);
    const auto batch = decode_events(made->message);
    const Event& event = batch->events.at(0);
    EXPECT_TRUE(event.fields.find("queue")->is_null());
    EXPECT_EQ(event.text("exchange"), "mine");
    EXPECT_EQ(event.text("routing_key"), "celery");
}

TEST(SentEvent, IsOnlyMadeOfATasksHeaders) {
    EXPECT_FALSE(sent_event({Json{}, kQueue, kNoExchange}, "gen1@h", 1, TimePoint{}));
    EXPECT_FALSE(sent_event({Json::raw("[1"), kQueue, kNoExchange}, "gen1@h", 1, TimePoint{}));
}

}  // namespace
}  // namespace lovage
