// Messages that come again after their task has succeeded (worker_deduplicate_successful_tasks): a
// worker died between storing the record and acknowledging.

#include <lovage/app/canvas.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/worker/worker.hpp>

#include <atomic>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/event_follower.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

Settings settings_with(bool deduplicate) {
    Settings settings = memory_settings();
    settings.worker_deduplicate_successful_tasks = deduplicate;
    return settings;
}

/// What a worker leaves that dies before it acknowledges: these messages come again, and have a
/// record of that state.
void deliver_and_die(App& app, std::uint32_t messages, std::string_view state, std::int64_t value) {
    const auto deliver = [](std::shared_ptr<AppCore> core, std::uint32_t count,
                            TaskMeta record) -> Awaitable<void> {
        const Deadline deadline = Deadline::in(kLong);
        auto consumer =
            value_or_throw(co_await core->broker().consume({{"celery"}, count, "dies"}, deadline));
        for (std::uint32_t done = 0; done < count;) {
            const auto deliveries = value_or_throw(co_await consumer->receive(deadline));
            for (const Delivery& delivery : deliveries) {
                record.task_id = decode_task_message(delivery.message).value().id;
                value_or_throw(co_await core->results().store(record, deadline));
                ++done;
            }
        }
        co_await consumer->close(deadline);
    };
    TaskMeta record;
    record.status = state;
    record.result = value;
    app.core()->loop().run_blocking(deliver(app.core(), messages, std::move(record)));
}

/// An app whose task counts how often it runs.
struct Counted {
    explicit Counted(bool deduplicate) : app{"test", settings_with(deduplicate)} {}

    App app;
    std::atomic<int> runs{0};

    auto register_count() {
        return app.task(
            "count",
            [this](std::int64_t x) {
                ++runs;
                return x;
            },
            arg("x"));
    }
};

TEST(DoneBefore, WhatHasSucceededIsAcknowledgedWithoutARun) {
    Counted tasks{true};
    const auto count = tasks.register_count();
    const auto result = count.delay(1);
    deliver_and_die(tasks.app, 1, states::kSuccess, 41);
    RunningWorker worker{tasks.app};
    wait_for([&] { return messages_in(tasks.app, "celery") == 0; });
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(tasks.runs, 0);
    EXPECT_EQ(messages_in(tasks.app, "celery"), 0U);
    EXPECT_EQ(result.get(kLong), 41);
}

TEST(DoneBefore, MonitorsHearOfTheSuccessThatItsWorkerDidNotTell) {
    Settings settings = settings_with(true);
    settings.worker_send_task_events = true;
    App app{"test", settings};
    const auto number = app.task("number", [] { return 1; });
    const auto result = number.delay();
    deliver_and_die(app, 1, states::kSuccess, 41);
    EventFollower follower{app};
    RunningWorker worker{app};
    follower.until_ended(result.id());
    EXPECT_THAT(follower.of(result.id()), testing::ElementsAre("received", "succeeded"));
    EXPECT_EQ(follower.events.back().text("result"), "41");
}

TEST(DoneBefore, RunsAgainUnlessTheSettingIsOn) {
    Counted tasks{false};
    const auto count = tasks.register_count();
    count.delay(1);
    deliver_and_die(tasks.app, 1, states::kSuccess, 41);
    RunningWorker worker{tasks.app};
    wait_for([&] { return tasks.runs == 1; });
}

TEST(DoneBefore, WhatHasNotSucceededRuns) {
    Counted tasks{true};
    const auto count = tasks.register_count();
    const auto result = count.delay(1);
    deliver_and_die(tasks.app, 1, states::kStarted, 0);
    RunningWorker worker{tasks.app};
    EXPECT_EQ(result.get(kLong), 1);
    EXPECT_EQ(tasks.runs, 1);
}

TEST(DoneBefore, AMessageThatComesForTheFirstTimeRuns) {
    Counted tasks{true};
    const auto count = tasks.register_count();
    RunningWorker worker{tasks.app};
    const SendOptions same{.task_id = "once-more"};
    EXPECT_EQ(count.apply_async({1}, same).get(kLong), 1);
    count.apply_async({1}, same);
    wait_for([&] { return tasks.runs == 2; });
}

TEST(DoneBefore, APartOfAChordReturnsWithTheValueItHad) {
    Counted tasks{true};
    const auto count = tasks.register_count();
    const auto total = tasks.app.task(
        "total",
        [](const std::vector<std::int64_t>& all) {
            return std::accumulate(all.begin(), all.end(), std::int64_t{0});
        },
        arg("all"));
    const auto body = (group({count.s(1), count.s(2)}) | total.s()).delay();
    deliver_and_die(tasks.app, 2, states::kSuccess, 50);
    RunningWorker worker{tasks.app};
    EXPECT_EQ(body.get(kLong), 100);
    EXPECT_EQ(tasks.runs, 0);
}

}  // namespace
}  // namespace lovage
