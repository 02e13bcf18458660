// What a worker tells of its tasks, over a broker on disk and over RabbitMQ.

#include "both_brokers.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <tests/support/event_follower.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using ::testing::ElementsAre;

class Events : public BothBrokers {
protected:
    Events() { settings_.worker_send_task_events = true; }
};
LOVAGE_ON_BOTH_BROKERS(Events);

TEST_P(Events, TellOfTasksFromReceiptToEnd) {
    settings_.task_send_sent_event = true;
    App app{"test", settings_};
    auto add = app.task("add", [](int a, int b) { return a + b; }, arg("a"), arg("b"));
    auto fail_it = app.task("fail", [] { throw std::invalid_argument{"boom"}; });
    EventFollower follower{app};
    const RunningWorker worker{app};
    const std::string good = add.delay(2, 3).id();
    const std::string bad = fail_it.delay().id();
    for (const std::string& id : {good, bad}) follower.until_ended(id);
    follower.until([&](const auto&) { return follower.of(bad).size() == 4; });
    // The producer's word comes by its own way.
    const auto told_by_worker = [&](const std::string& id) {
        auto types = follower.of(id);
        std::erase(types, "sent");
        return types;
    };
    EXPECT_THAT(told_by_worker(good), ElementsAre("received", "started", "succeeded"));
    EXPECT_THAT(told_by_worker(bad), ElementsAre("received", "started", "failed"));
    EXPECT_EQ(follower.state.task(good)->result, "5");
    EXPECT_EQ(follower.state.task(good)->client, app.core()->origin());
    EXPECT_EQ(follower.state.task(bad)->exception, "ValueError('boom')");
}

TEST_P(Events, LoseNothingWhenThereAreManyAndSomebodyListens) {
    App app{"test", settings_};
    auto add = app.task("add", [](int a, int b) { return a + b; }, arg("a"), arg("b"));
    EventFollower follower{app};
    const RunningWorker worker{app, 4};
    std::vector<AsyncResult<int>> results;
    for (int i = 0; i < 500; ++i) results.push_back(add.delay(i, 1));
    for (const auto& result : results) {
        follower.until_ended(result.id());
        EXPECT_EQ(follower.state.task(result.id())->state, "SUCCESS");
    }
}

TEST_P(Events, HoldNothingUpWhenNobodyListens) {
    App app{"test", settings_};
    auto add = app.task("add", [](int a, int b) { return a + b; }, arg("a"), arg("b"));
    RunningWorker worker{app};
    EXPECT_EQ(add.delay(1, 2).get(kLong), 3);
    EXPECT_TRUE(worker.stop());
}

TEST_P(Events, OfAProgramThatSendsAndEndsAreNotLost) {
    App app{"test", settings_};
    EventFollower follower{app};
    settings_.task_send_sent_event = true;
    std::string id;
    {
        App producer{"producer", settings_};
        id = producer.send_task("add", Json::array({1, 2})).id();
    }
    follower.until_one("task-sent");
    EXPECT_EQ(follower.state.task(id)->args, "(1, 2)");
}

TEST_P(Events, TellOfTheWorkersStartAndEnd) {
    App app{"test", settings_};
    EventFollower follower{app};
    RunningWorker worker{app};
    follower.until_one("worker-online");
    EXPECT_TRUE(worker.stop());
    follower.until_one("worker-offline");
    EXPECT_FALSE(follower.state.worker("w@test")->alive(wall_clock_now()));
}

}  // namespace
}  // namespace lovage::integration
