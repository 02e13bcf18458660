#include <lovage/events/event.hpp>

#include <lovage/events/event_fields.hpp>
#include <tests/support/fixture.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace lovage {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing_support::load_fixture;

const Json& recorded() {
    static const Json events = load_fixture("celery_events.json");
    return events;
}

Message message_of(std::string body) {
    return event_message("worker@capture", std::move(body));
}

TEST(Event, IsReadFromEveryMessageThatCeleryWasRecordedSending) {
    for (const Json& recording : recorded().find("messages")->as_array()) {
        SCOPED_TRACE(recording.find("name")->as_string());
        const auto batch = decode_events(message_of(recording.find("body")->as_string()));
        ASSERT_TRUE(batch) << batch.error().message();
        EXPECT_EQ(batch->refused, 0U);
        EXPECT_FALSE(batch->events.empty());
    }
}

TEST(Event, IsWrittenByteForByteAsCeleryWritesIt) {
    for (const Json& recording : recorded().find("messages")->as_array()) {
        SCOPED_TRACE(recording.find("name")->as_string());
        const std::string& body = recording.find("body")->as_string();
        const auto batch = decode_events(message_of(body));
        ASSERT_TRUE(batch) << batch.error().message();
        EXPECT_EQ(body.starts_with('[') ? encode_events(batch->events)
                                        : encode_event(batch->events.at(0)),
                  body);
    }
}

TEST(Event, TravelsUnderCelerysKeysAndProperties) {
    for (const Json& recording : recorded().find("messages")->as_array()) {
        SCOPED_TRACE(recording.find("name")->as_string());
        const auto batch = decode_events(message_of(recording.find("body")->as_string()));
        ASSERT_TRUE(batch);
        const Event& event = batch->events.at(0);
        const bool list = recording.find("body")->as_string().starts_with('[');
        const std::string key =
            list ? std::string{kTaskBatchRoutingKey} : event_routing_key(event.type);
        EXPECT_EQ(key, recording.find("routing_key")->as_string());

        const Message ours = event_message(event.hostname, "");
        const Json& properties = *recording.find("properties");
        EXPECT_EQ(ours.headers, *recording.find("headers"));
        EXPECT_EQ(ours.properties.content_type, properties.find("content_type")->as_string());
        EXPECT_EQ(ours.properties.content_encoding,
                  properties.find("content_encoding")->as_string());
        EXPECT_EQ(ours.properties.delivery_mode, properties.find("delivery_mode")->as_int64());
        EXPECT_EQ(ours.properties.priority, properties.find("priority")->as_int64());
        EXPECT_TRUE(ours.properties.correlation_id.empty());
    }
}

TEST(Event, KeepsEveryFieldThatCeleryWasRecordedSending) {
    for (const Json& recording : recorded().find("events")->as_array()) {
        const Json& wire = *recording.find("event");
        SCOPED_TRACE(to_json_text(wire));
        const auto batch = decode_events(message_of(to_json_text(wire)));
        ASSERT_TRUE(batch);
        ASSERT_THAT(batch->events, SizeIs(1));
        const auto again = parse_json(encode_event(batch->events.at(0)));
        ASSERT_TRUE(again);
        EXPECT_EQ(*again, wire);
    }
}

TEST(Event, IsTakenFromAListOrAloneUnderAnyKey) {
    const std::string one =
        R"({"type": "task-started", "hostname": "w@h", "timestamp": 1, "uuid": "a"})";
    EXPECT_THAT(decode_events(message_of(one))->events, SizeIs(1));
    EXPECT_THAT(decode_events(message_of("[" + one + "," + one + "]"))->events, SizeIs(2));
    EXPECT_THAT(decode_events(message_of("[]"))->events, SizeIs(0));
}

TEST(Event, ElementsThatAreNoEventsAreLeftOutAndCounted) {
    const auto batch = decode_events(message_of(
        R"([{"type": "task-started", "hostname": "w@h", "timestamp": 1}, 7, {}, [],
            {"type": "", "hostname": "w@h", "timestamp": 1},
            {"type": "x", "hostname": "w@h", "timestamp": NaN},
            {"type": "x", "hostname": "w@h", "timestamp": "1"},
            {"type": "x", "timestamp": 1}])"));
    ASSERT_TRUE(batch);
    EXPECT_THAT(batch->events, SizeIs(1));
    EXPECT_EQ(batch->refused, 7U);
}

TEST(Event, OddNumbersCountAsNone) {
    const auto batch = decode_events(message_of(
        R"({"type": "x", "hostname": "w@h", "timestamp": 1, "clock": "7", "pid": null,
            "utcoffset": 99999999999999999999999999})"));
    ASSERT_TRUE(batch);
    const Event& event = batch->events.at(0);
    EXPECT_EQ(event.clock, 0);
    EXPECT_EQ(event.pid, 0);
    EXPECT_EQ(event.utcoffset, 0);
}

TEST(Event, WhatCannotBeReadSaysWhy) {
    Message pickled = message_of("x");
    pickled.properties.content_type = "application/x-python-serialize";
    EXPECT_THAT(decode_events(pickled).error().detail, HasSubstr("x-python-serialize"));
    EXPECT_EQ(decode_events(message_of("{")).error().code, Errc::malformed);
    EXPECT_EQ(decode_events(message_of("{}    "), {.body_bytes = 4}).error().code, Errc::too_large);
    EXPECT_EQ(decode_events(message_of("[1,2,3]"), {.events = 2}).error().code, Errc::too_large);
}

TEST(EventFields, WritesEachKindOfValue) {
    EventFields fields;
    fields.text("uuid", "a\"b").text_or_null("eta", "").text_or_null("name", "n");
    fields.integer("retries", 2).real("runtime", 0.25).boolean("requeue", true);
    fields.json("loadavg", Json::array({1.5, 2.0}));
    EXPECT_EQ(fields.members(),
              R"("uuid": "a\"b", "eta": null, "name": "n", "retries": 2, "runtime": 0.25, )"
              R"("requeue": true, "loadavg": [1.5, 2.0])");
}

TEST(UtcOffset, IsPositiveWestOfGreenwichAndRoundedDown) {
    struct Zone {
        const char* name;
        std::int64_t hours;
    };
    const char* const before = std::getenv("TZ");
    const std::string kept = before != nullptr ? before : "";
    // POSIX's sign is the same as Celery's: positive is west.
    for (const Zone zone : {Zone{"UTC0", 0}, Zone{"CET-1", -1}, Zone{"EST5", 5},
                            Zone{"IST-5:30", -6}, Zone{"NST3:30", 3}}) {
        ::setenv("TZ", zone.name, 1);
        ::tzset();
        EXPECT_EQ(utc_offset(TimePoint{}), zone.hours) << zone.name;
    }
    before != nullptr ? ::setenv("TZ", kept.c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
}

}  // namespace
}  // namespace lovage
