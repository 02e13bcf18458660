// Tasks that shall run later, and what may come in between.

#include "both_brokers.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include <tests/support/metric_value.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

/// When each task ran; any thread.
class RunTimes {
public:
    void note(int task) {
        const std::lock_guard lock{mutex_};
        times_[task].push_back(wall_clock_now());
    }
    [[nodiscard]] std::size_t tasks() const {
        const std::lock_guard lock{mutex_};
        return times_.size();
    }
    /// How many seconds each task ran after its moment in `since`. Each must have run once.
    [[nodiscard]] std::vector<double> seconds(const std::vector<TimePoint>& since) const {
        const std::lock_guard lock{mutex_};
        std::vector<double> all;
        for (const auto& [task, runs] : times_) {
            EXPECT_THAT(runs, SizeIs(1)) << "task " << task;
            const auto late = runs.front() - since.at(static_cast<std::size_t>(task));
            all.push_back(std::chrono::duration<double>(late).count());
        }
        std::ranges::sort(all);
        return all;
    }

private:
    mutable std::mutex mutex_;
    std::map<int, std::vector<TimePoint>> times_;
};

class Delays : public BothBrokers {
protected:
    Delays() { settings_.worker_eta_horizon = 1s; }

    /// Waits until `done`, while looking at how many tasks the worker holds; returns the most.
    template <class Done>
    static double most_held(Done done) {
        double most = 0;
        const Deadline deadline = Deadline::in(5 * kLong);
        while (!done() && !deadline.passed()) {
            most = std::max(most, metric_value("lovage_worker_waiting").value_or(0));
            std::this_thread::sleep_for(10ms);
        }
        return most;
    }
    /// `count` tasks due evenly within `span`, each of which must run once and on time.
    void expect_all_on_time(App& app, int count, std::chrono::milliseconds span, double held_most);
};
LOVAGE_ON_BOTH_BROKERS(Delays);

void Delays::expect_all_on_time(App& app, int count, std::chrono::milliseconds span,
                                double held_most) {
    RunTimes runs;
    auto task = app.task("task", [&](int number) { runs.note(number); }, arg("number"));
    const RunningWorker worker{app, 2};
    const TimePoint start = wall_clock_now() + 1s;
    std::vector<TimePoint> due;
    std::vector<TimePoint> possible;  // where the machine is so slow that they are sent too late
    for (int i = 0; i < count; ++i) {
        due.push_back(start + span * i / count);
        task.apply_async({i}, {.eta = due.back()});
        possible.push_back(std::max(due.back(), wall_clock_now()));
    }
    const auto all = static_cast<std::size_t>(count);
    EXPECT_LE(most_held([&] { return runs.tasks() == all; }), held_most);
    EXPECT_EQ(runs.tasks(), all);
    EXPECT_THAT(runs.seconds(due), Each(Ge(0.0)));
    // A busy machine makes some late, but not most of them.
    const auto late = runs.seconds(possible);
    ASSERT_EQ(late.size(), all);
    EXPECT_LE(late[all / 2], 1.0);
    EXPECT_LE(late.back(), 10.0);
}

TEST_P(Delays, TasksRunOnTimeAndOnlyNearOnesAreHeld) {
    App app{"test", settings_};
    // 40 a second, held for the second of the horizon and what a rung's end brings together.
    expect_all_on_time(app, 400, 10s, 160);
}

TEST_P(Delays, MoreThanTheWorkerMayHoldWaitWithTheBroker) {
    settings_.worker_eta_horizon = 15min;
    settings_.worker_eta_task_limit = 10;
    App app{"test", settings_};
    std::atomic<int> runs{0};
    std::atomic<int> early{0};
    const TimePoint due = wall_clock_now() + 4s;
    auto task = app.task("task", [&] {
        early += wall_clock_now() < due ? 1 : 0;
        ++runs;
    });
    const RunningWorker worker{app};
    for (int i = 0; i < 100; ++i) task.apply_async({}, {.eta = due});
    EXPECT_LE(most_held([&] { return runs == 100; }), 10);
    EXPECT_EQ(runs, 100);
    EXPECT_EQ(early, 0);
}

TEST_P(Delays, AFarTaskHoldsUpNobodyAndIsRevocable) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    auto far = app.task("far", [&] { ++runs; });
    auto near = app.task("near", [] { return 1; });
    const double delayed = metric_value("lovage_worker_delayed_total").value_or(0);
    RunningWorker worker{app};
    std::vector<AsyncResult<void>> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(far.apply_async({}, {.countdown = 6s}));
    EXPECT_EQ(near.delay().get(kLong), 1);
    for (const auto& each : waiting) each.revoke();
    for (const auto& each : waiting) EXPECT_EQ(each.wait(kLong).status, "REVOKED");
    if (GetParam() == std::string{"rabbitmq"}) {
        EXPECT_GE(metric_value("lovage_worker_delayed_total").value_or(0) - delayed, 5);
    }
    // Their messages end as well.
    const auto last = far.apply_async({}, {.countdown = 6s});
    EXPECT_EQ(last.wait(kLong).status, "SUCCESS");
    EXPECT_EQ(runs, 1);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(messages_in(app, "celery"), 0U);
}

std::uint64_t purge(App& app) {
    const auto empty = [](std::shared_ptr<AppCore> core) -> Awaitable<std::uint64_t> {
        auto purged = co_await core->broker().purge("celery", Deadline::in(kLong));
        co_return value_or_throw(std::move(purged));
    };
    return app.core()->loop().run_blocking(empty(app.core()));
}

TEST_P(Delays, ATaskOfTheYear9999WaitsWithTheBroker) {
    App app{"test", settings_};
    auto far = app.task("far", [] {});
    auto near = app.task("near", [] {});
    RunningWorker worker{app};
    far.apply_async({}, {.eta = *parse_iso8601("9999-12-31T23:59:59+00:00")});
    near.delay().get(kLong);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
    EXPECT_EQ(purge(app), 1U);
}

TEST_P(Delays, ATaskThatExpiresBeforeItsTimeIsRevokedThen) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    auto task = app.task("task", [&] { ++runs; });
    const RunningWorker worker{app};
    const auto start = std::chrono::steady_clock::now();
    const auto result = task.apply_async({}, {.countdown = 4s, .expires = 1500ms});
    const TaskMeta meta = result.wait(kLong);
    EXPECT_EQ(meta.status, "REVOKED");
    EXPECT_EQ(meta.failure()->exc_message, "expired");
    EXPECT_GE(std::chrono::steady_clock::now() - start, 1500ms);
    EXPECT_EQ(runs, 0);
}

TEST_P(Delays, WhatIsHandedOverWhileTheWorkerStopsIsNeitherLostNorDoubled) {
    constexpr int kTasks = 500;
    std::atomic<int> runs{0};
    const auto count = [&runs] { ++runs; };
    std::vector<AsyncResult<void>> results;
    App first{"first", settings_};
    auto task = first.task("task", count);
    const TimePoint due = wall_clock_now() + 5s;
    for (int i = 0; i < kTasks; ++i) results.push_back(task.apply_async({}, {.eta = due}));
    for (int i = 0; i < 3; ++i) {
        RunningWorker worker{first};
        EXPECT_TRUE(worker.stop());
    }
    App second{"second", settings_};
    second.task("task", count);
    RunningWorker worker{second};
    for (const auto& each : results) EXPECT_EQ(each.wait(kLong).status, "SUCCESS");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(runs, kTasks);
}

TEST_P(Delays, ADelayedTaskAndItsRetryShowNothingOfIt) {
    settings_.task_queue_max_priority = 9;
    App app{"test", settings_};
    std::string headers;
    auto task = app.task("task", [&](TaskContext& context) {
        if (context.retries() == 0) context.retry({.countdown = 3s});
        headers = to_json_text(context.request().headers);
    });
    const RunningWorker worker{app};
    const auto result = task.apply_async({}, {.countdown = 3s, .priority = 7});
    EXPECT_EQ(result.wait(kLong).status, "SUCCESS");
    EXPECT_THAT(headers, Not(HasSubstr("death")));
}

}  // namespace
}  // namespace lovage::integration
