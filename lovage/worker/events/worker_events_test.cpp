// The events of a whole worker, as who follows them sees them.

#include <lovage/worker/worker.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/event_follower.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Settings with_events() {
    Settings settings = memory_settings();
    settings.worker_send_task_events = true;
    return settings;
}

TEST(WorkerEvents, TellOfATaskFromReceiptToEnd) {
    App app{"test", with_events()};
    auto add = app.task("add", [](int a, int b) { return a + b; }, arg("a"), arg("b"));
    EventFollower follower{app};
    RunningWorker worker{app};
    const std::string id = add.delay(2, 3).id();
    follower.until_ended(id);
    EXPECT_THAT(follower.of(id), ElementsAre("received", "started", "succeeded"));
    const TaskView& task = *follower.state.task(id);
    EXPECT_EQ(task.state, "SUCCESS");
    EXPECT_EQ(task.name, "add");
    EXPECT_EQ(task.args, "(2, 3)");
    EXPECT_EQ(task.kwargs, "{}");
    EXPECT_EQ(task.result, "5");
    EXPECT_EQ(task.root_id, id);
    EXPECT_EQ(task.worker, "w@test");
    EXPECT_TRUE(task.runtime);
}

TEST(WorkerEvents, TellWhyATaskFailed) {
    App app{"test", with_events()};
    auto fail_it = app.task("fail", [] { throw std::invalid_argument{"boom"}; });
    EventFollower follower{app};
    RunningWorker worker{app};
    const std::string id = fail_it.delay().id();
    follower.until_ended(id);
    EXPECT_THAT(follower.of(id), ElementsAre("received", "started", "failed"));
    EXPECT_EQ(follower.state.task(id)->exception, "ValueError('boom')");
    EXPECT_THAT(follower.state.task(id)->traceback, HasSubstr("ValueError: boom"));
}

TEST(WorkerEvents, TellOfRetries) {
    App app{"test", with_events()};
    auto flaky = app.task("flaky", [](TaskContext& context) {
        if (context.retries() == 0) context.retry({.countdown = 0ms});
        return 1;
    });
    EventFollower follower{app};
    RunningWorker worker{app};
    const std::string id = flaky.delay().id();
    follower.until_ended(id);
    EXPECT_THAT(follower.of(id),
                ElementsAre("received", "started", "retried", "received", "started", "succeeded"));
    EXPECT_EQ(follower.state.task(id)->retries, 1);
}

TEST(WorkerEvents, TellOfRevocations) {
    App app{"test", with_events()};
    auto add = app.task("add", [](int a) { return a; }, arg("a"));
    EventFollower follower{app};
    const auto result = add.delay(1);
    result.revoke();
    RunningWorker worker{app};
    follower.until_ended(result.id());
    EXPECT_EQ(follower.of(result.id()).back(), "revoked");
    EXPECT_THAT(follower.of(result.id()), Not(Contains("started")));
    EXPECT_EQ(follower.state.task(result.id())->state, "REVOKED");
}

TEST(WorkerEvents, TellOfTasksThatNobodyKnows) {
    App app{"test", with_events()};
    EventFollower follower{app};
    RunningWorker worker{app};
    const std::string id = app.send_task("no.such").id();
    follower.until_ended(id);
    EXPECT_THAT(follower.of(id), ElementsAre("failed"));
    EXPECT_EQ(follower.state.task(id)->exception, "NotRegistered('no.such')");
}

TEST(WorkerEvents, TellOfTheWorkerFromItsStartToItsEnd) {
    App app{"test", memory_settings()};
    auto add = app.task("add", [](int a) { return a; }, arg("a"));
    EventFollower follower{app};
    RunningWorker worker{app};
    follower.until_one("worker-online");
    EXPECT_TRUE(follower.state.worker("w@test")->alive(wall_clock_now()));
    EXPECT_EQ(add.delay(1).get(kLong), 1);
    EXPECT_TRUE(worker.stop());
    follower.until_one("worker-offline");
    EXPECT_FALSE(follower.state.worker("w@test")->alive(wall_clock_now()));
    EXPECT_EQ(follower.state.worker("w@test")->processed, 1);
    EXPECT_EQ(follower.state.worker("w@test")->active, 0);
    // Nobody asked for tasks' events.
    EXPECT_TRUE(std::ranges::none_of(follower.events, &Event::about_task));
}

TEST(WorkerEvents, ProducersTellOfWhatTheySend) {
    Settings settings = memory_settings();
    settings.task_send_sent_event = true;
    App app{"test", settings};
    auto add = app.task("add", [](int a) { return a; }, arg("a"));
    EventFollower follower{app};
    const std::string id = add.delay(1).id();
    follower.until_one("task-sent");
    const TaskView& task = *follower.state.task(id);
    EXPECT_EQ(task.state, "PENDING");
    EXPECT_EQ(task.name, "add");
    EXPECT_EQ(task.args, "(1,)");
    EXPECT_EQ(task.queue, "celery");
    EXPECT_EQ(task.client, app.core()->origin());
    EXPECT_EQ(task.worker, "");
}

TEST(WorkerEvents, ATaskTellsMoreOfItself) {
    App app{"test", with_events()};
    auto work = app.task("work", [](TaskContext& context) {
        context.send_event("task-progress", Json::object({{"done", 1}}));
        context.send_event("task-progress", Json::object({{"done", 2}}));
    });
    EventFollower follower{app};
    RunningWorker worker{app};
    const std::string id = work.delay().id();
    follower.until_ended(id);
    EXPECT_THAT(follower.of(id),
                ElementsAre("received", "started", "progress", "progress", "succeeded"));
    const auto progress = std::ranges::find(follower.events, "task-progress", &Event::type);
    EXPECT_EQ(progress->fields.find("done")->as_int64(), 1);
    EXPECT_EQ(progress->hostname, "w@test");
}

TEST(WorkerEvents, ATaskMayKeepOutOfThem) {
    App app{"test", with_events()};
    auto quiet = app.task("quiet", [](int a) { return a; }, arg("a"));
    quiet.send_events(false);
    auto loud = app.task("loud", [](int a) { return a; }, arg("a"));
    EventFollower follower{app};
    RunningWorker worker{app};
    const auto first = quiet.delay(1);
    EXPECT_EQ(first.get(kLong), 1);
    follower.until_ended(loud.delay(2).id());
    EXPECT_TRUE(follower.of(first.id()).empty());
}

}  // namespace
}  // namespace lovage
