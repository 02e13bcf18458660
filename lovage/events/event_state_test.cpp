#include <lovage/events/event_state.hpp>

#include <tests/support/fixture.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include <malloc.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing_support::load_fixture;

constexpr TimePoint kStart{std::chrono::seconds{1'795'278'000}};

Event event_of(std::string type, double second = 0, Json fields = Json::object()) {
    Event event;
    event.type = std::move(type);
    event.hostname = "w@h";
    event.pid = 7;
    event.timestamp = unix_seconds(kStart) + second;
    event.fields = std::move(fields);
    return event;
}

Event task_event(const std::string& type, double second = 0, Json more = Json::object()) {
    Json fields = Json::object({{"uuid", "t"}});
    for (const auto& [name, value] : more.as_object()) fields.set(name, value);
    return event_of("task-" + type, second, std::move(fields));
}

class State : public ::testing::Test {
protected:
    EventState::Change apply(const Event& event, TimePoint when = kStart) {
        return state_.apply(event, when);
    }
    const TaskView& after(std::vector<std::string> types) {
        double second = 0;
        for (const std::string& type : types) apply(task_event(type, second++));
        return *state_.task("t");
    }
    EventState state_;
};

TEST_F(State, FollowsATaskThroughItsLife) {
    EXPECT_EQ(after({"sent"}).state, "PENDING");
    EXPECT_EQ(after({"received"}).state, "RECEIVED");
    EXPECT_EQ(after({"started"}).state, "STARTED");
    EXPECT_EQ(after({"succeeded"}).state, "SUCCESS");
    EXPECT_TRUE(state_.task("t")->ready());
    EXPECT_EQ(state_.tasks().size(), 1U);
}

TEST_F(State, EveryEventSetsTheTimeOfItsName) {
    const TaskView& task = after({"sent", "received", "started", "failed"});
    EXPECT_EQ(task.sent, unix_seconds(kStart));
    EXPECT_EQ(task.received, unix_seconds(kStart) + 1);
    EXPECT_EQ(task.started, unix_seconds(kStart) + 2);
    EXPECT_EQ(task.failed, unix_seconds(kStart) + 3);
    EXPECT_EQ(task.succeeded, 0);
}

TEST_F(State, AnyOrderOfATasksEventsGivesTheSame) {
    std::vector<std::string> types{"received", "sent", "started", "succeeded"};
    std::ranges::sort(types);
    do {
        EventState state;
        for (const std::string& type : types) {
            Json fields = Json::object();
            if (type == "received") fields.set("name", "add");
            if (type == "succeeded") fields.set("result", "3");
            state.apply(task_event(type, 0, fields), kStart);
        }
        const TaskView& task = *state.task("t");
        EXPECT_EQ(task.state, "SUCCESS");
        EXPECT_EQ(task.name, "add");
        EXPECT_EQ(task.result, "3");
        EXPECT_EQ(task.worker, "w@h");
    } while (std::ranges::next_permutation(types).found);
}

TEST_F(State, ALateReceiptGivesOnlyWhatDescribesTheTask) {
    apply(task_event("failed", 1, Json::object({{"exception", "E()"}})));
    const auto change = apply(task_event(
        "received", 0,
        Json::object({{"name", "add"}, {"args", "(1,)"}, {"retries", 2}, {"exception", "other"}})));
    EXPECT_TRUE(change.late);
    EXPECT_EQ(change.task->state, "FAILURE");
    EXPECT_EQ(change.task->name, "add");
    EXPECT_EQ(change.task->args, "(1,)");
    EXPECT_EQ(change.task->retries, 2);
    EXPECT_EQ(change.task->exception, "E()");
    EXPECT_EQ(change.task->timestamp, unix_seconds(kStart) + 1);
}

TEST_F(State, ARetryBeginsAnew) {
    EXPECT_EQ(after({"received", "started", "retried"}).state, "RETRY");
    EXPECT_EQ(after({"received"}).state, "RECEIVED");
    EXPECT_EQ(after({"started", "succeeded"}).state, "SUCCESS");
}

TEST_F(State, ARetryThatIsHeardOfAfterTheEndIsLate) {
    const TaskView& task = after({"received", "started", "received", "started", "succeeded"});
    const auto change = apply(task_event("retried", 9));
    EXPECT_TRUE(change.late);
    EXPECT_EQ(task.state, "SUCCESS");
    EXPECT_EQ(task.retried, unix_seconds(kStart) + 9);
}

TEST_F(State, OtherTasksEventsAreStatesOfTheirOwn) {
    EXPECT_EQ(after({"started", "progress"}).state, "PROGRESS");
    EXPECT_EQ(after({"succeeded"}).state, "SUCCESS");
    EXPECT_EQ(after({"progress"}).state, "SUCCESS");
}

TEST_F(State, RevocationsSayHow) {
    apply(task_event("revoked", 0, Json::object({{"terminated", true}, {"signum", 9}})));
    EXPECT_TRUE(state_.task("t")->terminated);
    EXPECT_EQ(state_.task("t")->signum, "9");
    apply(task_event("revoked", 0, Json::object({{"terminated", true}, {"signum", "SIGKILL"}})));
    EXPECT_EQ(state_.task("t")->signum, "SIGKILL");
}

TEST_F(State, AWorkerIsAliveForTwoOfItsHeartbeats) {
    apply(event_of("worker-heartbeat", 0, Json::object({{"freq", 2.0}})));
    const WorkerView& worker = *state_.worker("w@h");
    EXPECT_TRUE(worker.alive(kStart + 3999ms));
    EXPECT_FALSE(worker.alive(kStart + 4s));
    apply(event_of("worker-heartbeat", 4), kStart + 4s);
    EXPECT_TRUE(worker.alive(kStart + 7s));
    // What was received later but before that does not make it older.
    apply(event_of("worker-heartbeat", 2), kStart + 2s);
    EXPECT_TRUE(worker.alive(kStart + 7s));
}

TEST_F(State, AWorkerThatSaysItGoesIsNotAlive) {
    apply(event_of("worker-online"));
    EXPECT_TRUE(state_.worker("w@h")->alive(kStart));
    apply(event_of("worker-offline"));
    EXPECT_FALSE(state_.worker("w@h")->alive(kStart));
    Event stranger = event_of("worker-offline");
    stranger.hostname = "other@h";
    apply(stranger);
    EXPECT_EQ(state_.worker("other@h"), nullptr);
}

TEST_F(State, TasksEventsShowThatTheirWorkerIsAlive) {
    apply(task_event("started"));
    EXPECT_TRUE(state_.worker("w@h")->alive(kStart + 60s));
    apply(task_event("sent"));
    EXPECT_EQ(state_.workers().size(), 1U);
}

TEST_F(State, AClockThatIsOffIsSeen) {
    apply(event_of("worker-heartbeat", 0), kStart + 20s);
    EXPECT_EQ(state_.worker("w@h")->drift, 20);
    EXPECT_GT(state_.worker("w@h")->drift, WorkerView::kDriftMax);
    Event odd = event_of("worker-heartbeat");
    odd.timestamp = 1e300;  // found by fuzzing
    apply(odd);
    EXPECT_GT(state_.worker("w@h")->drift, WorkerView::kDriftMax);
}

TEST_F(State, ShowsWhatCelerysWorkerWasRecordedSaying) {
    for (const Json& recording : load_fixture("celery_events.json").find("events")->as_array()) {
        if (recording.find("celery")->as_string() != "5.6.3") continue;
        const auto batch =
            decode_events(event_message("worker@capture", to_json_text(*recording.find("event"))));
        ASSERT_TRUE(batch);
        apply(batch->events.at(0), kStart);
    }
    const TaskView* const added = state_.task("56000000-0000-4000-8000-000000000011");
    ASSERT_NE(added, nullptr);
    EXPECT_EQ(added->state, "SUCCESS");
    EXPECT_EQ(added->name, "tasks.add");
    EXPECT_EQ(added->args, "(2, 3)");
    EXPECT_EQ(added->result, "5");
    EXPECT_DOUBLE_EQ(*added->runtime, 0.007337989000006928);
    EXPECT_EQ(state_.task("56000000-0000-4000-8000-000000000012")->exception, "ValueError('boom')");
    const WorkerView& worker = *state_.worker("worker@capture");
    EXPECT_EQ(worker.processed, 15);
    EXPECT_EQ(worker.sw_ident, "py-celery");
    EXPECT_EQ(worker.loadavg, (std::array{1.36, 1.01, 0.89}));
}

TEST_F(State, ForgetsWhatWasLeastRecentlyHeardOf) {
    EventState state{{.workers = 2, .tasks = 3}};
    for (const char* uuid : {"a", "b", "c", "a", "d"}) {
        Event event = event_of("task-started", 0, Json::object({{"uuid", uuid}}));
        event.hostname = std::string{uuid} + "@h";
        state.apply(event, kStart);
    }
    EXPECT_NE(state.task("a"), nullptr);
    EXPECT_EQ(state.task("b"), nullptr);
    EXPECT_EQ(state.tasks().size(), 3U);
    EXPECT_EQ(state.tasks().front().uuid, "d");
    EXPECT_EQ(state.workers().size(), 2U);
    EXPECT_EQ(state.forgotten(), 4U);
    EXPECT_EQ(state.events(), 5U);
}

TEST_F(State, WhatIsNoTaskOrWorkerIsNothing) {
    EXPECT_EQ(apply(event_of("weather-rain")).task, nullptr);
    EXPECT_EQ(apply(event_of("task-started")).task, nullptr);
    EXPECT_EQ(apply(task_event("")).task, nullptr);
    EXPECT_EQ(apply(event_of("task-started", 0, Json::object({{"uuid", 7}}))).task, nullptr);
    EXPECT_TRUE(state_.tasks().empty());
}

/// A task with texts of that length, as one event after the other tells of it.
void tell(EventState& state, int number, std::size_t length) {
    const std::string uuid = "aaaaaaaa-0000-4000-8000-" + std::to_string(100'000'000'000 + number);
    const std::string text(length, 'x');
    state.apply(task_event("sent", 0,
                           Json::object({{"uuid", uuid},
                                         {"name", "project.tasks.add"},
                                         {"args", text},
                                         {"kwargs", text},
                                         {"root_id", uuid},
                                         {"queue", "celery"},
                                         {"routing_key", "celery"}})),
                kStart);
    state.apply(task_event("failed", 0,
                           Json::object({{"uuid", uuid},
                                         {"result", text},
                                         {"exception", text},
                                         {"traceback", text + text + text + text + text},
                                         {"parent_id", text},
                                         {"eta", text},
                                         {"expires", text},
                                         {"exchange", text},
                                         {"signum", text}})),
                kStart);
}

TEST_F(State, ATaskTakesNoMoreMemoryThanItSays) {
    const auto bytes_of_tasks = [](std::size_t length) {
        const auto before = ::mallinfo2();
        EventState state;
        for (int i = 0; i < 1'000; ++i) tell(state, i, length);
        EXPECT_EQ(state.tasks().size(), 1'000U);
        const auto after = ::mallinfo2();
        return (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / 1'000;
    };
    // A sanitizer's allocator tells nothing: both are 0 then.
    EXPECT_LE(bytes_of_tasks(10), 1'200U);
    EXPECT_LE(bytes_of_tasks(6'000), EventState::kTaskBytesMax);
}

TEST_F(State, LongTextsAreCutBetweenCharacters) {
    std::string snow;
    while (snow.size() < EventState::kTracebackBytesMax * 2) snow += "☃";
    apply(task_event("failed", 0, Json::object({{"exception", snow}, {"traceback", "a" + snow}})));
    const TaskView& task = *state_.task("t");
    EXPECT_LE(task.exception.size(), EventState::kTextBytesMax);
    EXPECT_EQ(task.exception.size() % 3, 0U);
    EXPECT_LE(task.traceback.size(), EventState::kTracebackBytesMax);
    EXPECT_EQ(task.traceback.size() % 3, 0U);
}

}  // namespace
}  // namespace lovage
