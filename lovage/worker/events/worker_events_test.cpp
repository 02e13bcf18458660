// The events of a whole worker, as who follows them sees them.

#include <lovage/worker/worker.hpp>

#include <lovage/events/event_receiver.hpp>
#include <lovage/events/event_state.hpp>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/soon.hpp>

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

/// Follows the events of an app's broker on the app's loop, from its construction on.
class Follower {
public:
    explicit Follower(App& app) : core_{app.core()} { core_->loop().run_blocking(open()); }
    ~Follower() { core_->loop().run_blocking(receiver_->close(soon())); }
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    /// Follows until `enough` says so of all events so far.
    void until(const std::function<bool(const std::vector<Event>&)>& enough) {
        while (!enough(events)) {
            auto more = core_->loop().run_blocking(receiver_->receive(soon()));
            if (!more) throw LovageError{more.error()};
            for (Event& event : *more) {
                state.apply(event, wall_clock_now());
                events.push_back(std::move(event));
            }
        }
    }
    void until_one(const std::string& type) {
        until([&](const auto& all) {
            return std::ranges::find(all, type, &Event::type) != all.end();
        });
    }
    /// The types of a task's events in their order, without "task-".
    [[nodiscard]] std::vector<std::string> of(const std::string& task_id) const {
        std::vector<std::string> types;
        for (const Event& event : events) {
            if (event.text("uuid") == task_id) types.push_back(event.type.substr(5));
        }
        return types;
    }
    void until_ended(const std::string& task_id) {
        until([&](const auto&) {
            const TaskView* const task = state.task(task_id);
            return task != nullptr && task->ready();
        });
    }

    std::vector<Event> events;
    EventState state;

private:
    Awaitable<void> open() {
        (void)co_await core_->connect(soon());
        receiver_.emplace(core_->broker(), core_->clock(), EventReceiverOptions{});
        auto opened = co_await receiver_->open(soon());
        if (!opened) throw LovageError{opened.error()};
    }
    std::shared_ptr<AppCore> core_;
    std::optional<EventReceiver> receiver_;
};

TEST(WorkerEvents, TellOfATaskFromReceiptToEnd) {
    App app{"test", with_events()};
    auto add = app.task("add", [](int a, int b) { return a + b; }, arg("a"), arg("b"));
    Follower follower{app};
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
    Follower follower{app};
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
    Follower follower{app};
    RunningWorker worker{app};
    const std::string id = flaky.delay().id();
    follower.until_ended(id);
    auto types = follower.of(id);
    // The next attempt's message is sent before the retry is over.
    EXPECT_THAT(types, Contains("retried"));
    std::erase(types, "retried");
    EXPECT_THAT(types, ElementsAre("received", "started", "received", "started", "succeeded"));
    EXPECT_EQ(follower.state.task(id)->retries, 1);
}

TEST(WorkerEvents, TellOfRevocations) {
    App app{"test", with_events()};
    auto add = app.task("add", [](int a) { return a; }, arg("a"));
    Follower follower{app};
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
    Follower follower{app};
    RunningWorker worker{app};
    const std::string id = app.send_task("no.such").id();
    follower.until_ended(id);
    EXPECT_THAT(follower.of(id), ElementsAre("failed"));
    EXPECT_EQ(follower.state.task(id)->exception, "NotRegistered('no.such')");
}

TEST(WorkerEvents, TellOfTheWorkerFromItsStartToItsEnd) {
    App app{"test", memory_settings()};
    auto add = app.task("add", [](int a) { return a; }, arg("a"));
    Follower follower{app};
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
    Follower follower{app};
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

TEST(WorkerEvents, ATaskMayKeepOutOfThem) {
    App app{"test", with_events()};
    auto quiet = app.task("quiet", [](int a) { return a; }, arg("a"));
    quiet.send_events(false);
    auto loud = app.task("loud", [](int a) { return a; }, arg("a"));
    Follower follower{app};
    RunningWorker worker{app};
    const auto first = quiet.delay(1);
    EXPECT_EQ(first.get(kLong), 1);
    follower.until_ended(loud.delay(2).id());
    EXPECT_TRUE(follower.of(first.id()).empty());
}

}  // namespace
}  // namespace lovage
