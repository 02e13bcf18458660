#include <lovage/worker/events/task_events.hpp>

#include <tests/support/fixture.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::array kCommon{"hostname", "utcoffset", "pid", "clock", "timestamp", "type"};

Json fields_of(const EventText& event) {
    return value_or_throw(parse_json("{" + event.fields.members() + "}"));
}

/// The names and kinds of an event's own fields as Celery was recorded sending them, by type.
std::map<std::string, Json> recorded_fields() {
    std::map<std::string, Json> by_type;
    const Json fixture = testing_support::load_fixture("celery_events.json");
    for (const Json& recording : fixture.find("events")->as_array()) {
        Json event = *recording.find("event");
        const std::string type = event.find("type")->as_string();
        for (const char* const common : kCommon) event.erase(common);
        by_type.emplace(type, std::move(event));  // the first of its type
    }
    return by_type;
}

class TaskEvents : public ::testing::Test {
protected:
    TaskEvents() {
        request_.message.id = "an-id";
        request_.message.task = "add";
        request_.message.root_id = "a-root";
        request_.message.argsrepr = "(1, 2)";
        request_.message.kwargsrepr = "{}";
    }
    static TaskOutcome outcome(Ending ending, std::string reason = "") {
        TaskOutcome made;
        made.ending = ending;
        made.reason = std::move(reason);
        made.started = std::chrono::steady_clock::time_point{1s};
        made.ended = made.started + 1500ms;
        return made;
    }
    static TaskOutcome failure(Ending ending) {
        TaskOutcome made = outcome(ending);
        made.failure = TaskFailure{"ValueError", "it's", "builtins", "Traceback …"};
        return made;
    }
    [[nodiscard]] std::string type(const TaskOutcome& of) const {
        const auto event = ended_event(request_, of);
        return event ? std::string{event->type} : "none";
    }
    [[nodiscard]] Json fields(const TaskOutcome& of) const {
        return fields_of(ended_event(request_, of).value());
    }

    TaskRequest request_;
};

TEST_F(TaskEvents, HaveTheFieldsThatCeleryWasRecordedSending) {
    TaskOutcome succeeded = outcome(Ending::succeeded);
    succeeded.value = 3;
    std::vector<EventText> ours{received_event(request_), started_event(request_)};
    for (const TaskOutcome& end :
         {succeeded, failure(Ending::failed), failure(Ending::retry), outcome(Ending::rejected),
          outcome(Ending::revoked, "revoked")}) {
        ours.push_back(ended_event(request_, end).value());
    }
    const auto theirs = recorded_fields();
    for (const EventText& event : ours) {
        SCOPED_TRACE(event.type);
        const Json made = fields_of(event);
        const Json& recorded = theirs.at(std::string{event.type});
        ASSERT_THAT(made.as_object(), SizeIs(recorded.as_object().size()));
        for (std::size_t i = 0; i < recorded.as_object().size(); ++i) {
            EXPECT_EQ(made.as_object()[i].first, recorded.as_object()[i].first);
            EXPECT_EQ(made.as_object()[i].second.kind(), recorded.as_object()[i].second.kind())
                << recorded.as_object()[i].first;
        }
    }
}

TEST_F(TaskEvents, AReceiptDescribesTheTask) {
    request_.message.shadow = "shown";
    request_.message.parent_id = "a-parent";
    request_.message.eta = TimePoint{1s};
    request_.message.retries = 2;
    const Json fields = fields_of(received_event(request_));
    EXPECT_EQ(fields.find("name")->as_string(), "shown");
    EXPECT_EQ(fields.find("args")->as_string(), "(1, 2)");
    EXPECT_EQ(fields.find("root_id")->as_string(), "a-root");
    EXPECT_EQ(fields.find("parent_id")->as_string(), "a-parent");
    EXPECT_EQ(fields.find("eta")->as_string(), "1970-01-01T00:00:01+00:00");
    EXPECT_TRUE(fields.find("expires")->is_null());
    EXPECT_EQ(fields.find("retries")->as_int64(), 2);
}

TEST_F(TaskEvents, ASuccessShowsResultAndRunTime) {
    TaskOutcome end = outcome(Ending::succeeded);
    end.value = Json::array({1, "x", nullptr});
    EXPECT_EQ(fields(end).find("result")->as_string(), "[1, 'x', None]");
    EXPECT_EQ(fields(end).find("runtime")->as_real(), 1.5);
    // As they come out of a slot process.
    for (const auto& [raw, shown] : {std::pair{"5", "5"},
                                     {"\"it's\"", R"('it\'s')"},
                                     {"null", "None"},
                                     {R"({"a": [1.5]})", "{'a': [1.5]}"}}) {
        end.value = Json::raw(raw);
        EXPECT_EQ(fields(end).find("result")->as_string(), shown);
    }
}

TEST_F(TaskEvents, AnEnormousResultIsNotReadForItsFirstWords) {
    TaskOutcome end = outcome(Ending::succeeded);
    end.value = Json::raw("[" + std::string(1'000'000, '1') + "]");
    const std::string shown = fields(end).find("result")->as_string();
    EXPECT_THAT(shown, StartsWith("[111"));
    EXPECT_LE(shown.size(), 1'027U);
}

TEST_F(TaskEvents, FailuresAndRetriesSayWhatWasThrown) {
    EXPECT_EQ(type(failure(Ending::failed)), "task-failed");
    EXPECT_EQ(type(failure(Ending::retry)), "task-retried");
    EXPECT_EQ(fields(failure(Ending::failed)).find("exception")->as_string(),
              R"(ValueError("it's"))");
    EXPECT_EQ(fields(failure(Ending::retry)).find("traceback")->as_string(), "Traceback …");
    EXPECT_EQ(fields(outcome(Ending::retry)).find("exception")->as_string(), "None");
}

TEST_F(TaskEvents, ATaskKilledAtItsLimitFailsAsCelerysDoes) {
    TaskOutcome end = outcome(Ending::timed_out);
    end.time_limit = 2s;
    EXPECT_EQ(type(end), "task-failed");
    EXPECT_EQ(fields(end).find("exception")->as_string(), "TimeLimitExceeded(2,)");
    end.time_limit = 2500ms;
    EXPECT_EQ(fields(end).find("exception")->as_string(), "TimeLimitExceeded(2.5,)");
}

TEST_F(TaskEvents, RevocationsSayHow) {
    const Json before = fields(outcome(Ending::revoked, "revoked"));
    EXPECT_FALSE(before.find("terminated")->as_bool());
    EXPECT_TRUE(before.find("signum")->is_null());
    EXPECT_FALSE(before.find("expired")->as_bool());
    EXPECT_TRUE(fields(outcome(Ending::revoked, "expired")).find("expired")->as_bool());
    EXPECT_EQ(fields(outcome(Ending::revoked, "terminated")).find("signum")->as_int64(), SIGTERM);
    request_.terminated_with = SIGKILL;
    const Json killed = fields(outcome(Ending::revoked, "terminated"));
    EXPECT_TRUE(killed.find("terminated")->as_bool());
    EXPECT_EQ(killed.find("signum")->as_int64(), SIGKILL);
}

TEST_F(TaskEvents, WhatGoesBackIsRejectedWithRequeue) {
    EXPECT_FALSE(fields(outcome(Ending::rejected)).find("requeue")->as_bool());
    EXPECT_TRUE(fields(outcome(Ending::requeued)).find("requeue")->as_bool());
    request_.acknowledge.reject_on_worker_lost = true;
    EXPECT_EQ(type(failure(Ending::slot_lost)), "task-rejected");
    EXPECT_TRUE(fields(failure(Ending::slot_lost)).find("requeue")->as_bool());
    request_.acknowledge.reject_on_worker_lost = false;
    EXPECT_EQ(type(failure(Ending::slot_lost)), "task-failed");
}

TEST_F(TaskEvents, OfAnIgnoredTaskNothingIsSaid) {
    EXPECT_EQ(type(outcome(Ending::ignored)), "none");
}

TEST_F(TaskEvents, AnUnknownTaskFailsWithoutTraceback) {
    const EventText event = unknown_task_event("an-id", "no.such");
    EXPECT_EQ(event.type, "task-failed");
    EXPECT_EQ(event.fields.members(),
              R"x("uuid": "an-id", "exception": "NotRegistered('no.such')")x");
}

}  // namespace
}  // namespace lovage
