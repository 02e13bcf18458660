// Tasks whose rate is limited, beside others.

#include "both_brokers.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

class RateLimits : public BothBrokers {};
LOVAGE_ON_BOTH_BROKERS(RateLimits);

using Clock = std::chrono::steady_clock;

/// When tasks ran; any thread.
class Runs {
public:
    void note() {
        const std::lock_guard lock{mutex_};
        times_.push_back(Clock::now());
    }
    [[nodiscard]] std::vector<Clock::time_point> times() const {
        const std::lock_guard lock{mutex_};
        return times_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<Clock::time_point> times_;
};

TEST_P(RateLimits, HoldTheirOwnTasksOnly) {
    App app{"test", settings_};
    Runs runs;
    auto slow = app.task("slow", [&] { runs.note(); });
    slow.rate_limit("5/s");
    Runs others;
    auto quick = app.task("quick", [&] { others.note(); });
    std::vector<AsyncResult<void>> results;
    for (int i = 0; i < 11; ++i) results.push_back(slow.delay());
    for (int i = 0; i < 10; ++i) results.push_back(quick.delay());
    const auto begin = Clock::now();
    const RunningWorker worker{app};
    for (const auto& each : results) each.get(kLong);
    const auto times = runs.times();
    ASSERT_EQ(times.size(), 11U);
    for (const auto& each : others.times())
        EXPECT_LT(each, times.back()) << "nobody waits for them";
    // A turn is exact; the run that follows it may be late by what a busy machine takes.
    EXPECT_GE(times.back() - begin, 2s);
    EXPECT_LE(times.back() - times.front(), 10s);
}

TEST_P(RateLimits, ThoseWaitingCanBeRevokedAndGoBackWhenTheWorkerStops) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    auto slow = app.task("slow", [&] { ++runs; });
    slow.rate_limit("12/m");
    RunningWorker worker{app};
    slow.delay().get(kLong);
    const auto unwanted = slow.delay();
    const auto next = slow.delay();
    unwanted.revoke();
    EXPECT_EQ(unwanted.wait(kLong).status, "REVOKED");
    next.get(kLong);
    for (int i = 0; i < 3; ++i) slow.delay();
    EXPECT_TRUE(worker.stop());
    const QueueStatus left = status_of(app, "celery");
    EXPECT_EQ(left.unsettled, 0U);
    EXPECT_EQ(left.ready + static_cast<std::uint64_t>(runs), 5U);
}

TEST_P(RateLimits, WhatFindsNoRoomComesBackFromTheBroker) {
    settings_.worker_eta_task_limit = 1;
    App app{"test", settings_};
    Runs runs;
    auto slow = app.task("slow", [&] { runs.note(); });
    slow.rate_limit("4/s");
    const auto begin = Clock::now();
    const RunningWorker worker{app};
    std::vector<AsyncResult<void>> results;
    for (int i = 0; i < 10; ++i) results.push_back(slow.delay());
    for (const auto& each : results) each.get(5 * kLong);
    const auto times = runs.times();
    ASSERT_EQ(times.size(), 10U);
    EXPECT_GE(times.back() - begin, 2250ms);
}

TEST_P(RateLimits, ComeFromTheSettingsWhereATaskSaysNothing) {
    settings_.task_default_rate_limit = RateLimit{2};
    App app{"test", settings_};
    Runs runs;
    auto limited = app.task("limited", [&] { runs.note(); });
    auto unlimited = app.task("unlimited", [] {});
    unlimited.rate_limit("0");
    const auto begin = Clock::now();
    const RunningWorker worker{app};
    std::vector<AsyncResult<void>> results;
    for (int i = 0; i < 3; ++i) results.push_back(limited.delay());
    for (int i = 0; i < 20; ++i) unlimited.delay().get(kLong);
    for (const auto& each : results) each.get(kLong);
    EXPECT_GE(runs.times().back() - begin, 1s);
}

TEST_P(RateLimits, CanBeTurnedOff) {
    settings_.worker_disable_rate_limits = true;
    App app{"test", settings_};
    auto slow = app.task("slow", [] {});
    slow.rate_limit("1/h");
    const RunningWorker worker{app};
    for (int i = 0; i < 3; ++i) slow.delay().get(kLong);
}

}  // namespace
}  // namespace lovage::integration
