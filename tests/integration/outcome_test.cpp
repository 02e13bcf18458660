// Retries and revocations across the lives of workers.

#include "both_brokers.hpp"

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <gmock/gmock.h>

#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

class Outcome : public BothBrokers {};
LOVAGE_ON_BOTH_BROKERS(Outcome);

void await_state(const AsyncResultBase& result, std::string_view state) {
    const Deadline deadline = Deadline::in(kLong);
    while (result.state() != state && !deadline.passed()) std::this_thread::yield();
    ASSERT_EQ(result.state(), state);
}

TEST_P(Outcome, ARetryOutlivesTheWorkerThatAskedForIt) {
    const auto flaky = [](TaskContext& context) {
        if (context.retries() == 0) context.retry({.countdown = 4s});
        return context.request().hostname;
    };
    std::string id;
    {
        App app{"first", settings_};
        auto task = app.task("flaky", flaky);
        RunningWorker worker{app};
        const auto result = task.delay();
        id = result.id();
        await_state(result, "RETRY");
        EXPECT_TRUE(worker.stop());
    }
    App app{"second", settings_};
    app.task("flaky", flaky);
    EXPECT_EQ(app.async_result(id).state(), "RETRY");
    RunningWorker worker{app};
    EXPECT_EQ(app.async_result<std::string>(id).get(kLong), "w@test");
    EXPECT_EQ(app.async_result(id).meta().parent_id, id);
}

TEST_P(Outcome, AutomaticRetriesEndWithTheirCauseAndLeaveNothingBehind) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    auto task = app.task("task", [&] {
        ++runs;
        throw std::invalid_argument{"never"};
    });
    task.autoretry_for<std::invalid_argument>().retry_backoff(1ms).max_retries(3);
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().wait(kLong).failure()->exc_message, "never");
    EXPECT_EQ(runs, 4);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(messages_in(app, "celery"), 0U);
}

TEST_P(Outcome, ARevocationHoldsForARetryThatWaits) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    auto task = app.task("task", [&](TaskContext& context) {
        ++runs;
        context.retry({.countdown = 3s});
    });
    auto later = app.task("later", [] {});
    RunningWorker worker{app};
    const auto result = task.delay();
    await_state(result, "RETRY");
    result.revoke();
    later.apply_async({}, {.countdown = 4s}).get(kLong);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(result.state(), "REVOKED");
}

TEST_P(Outcome, ATerminatedTaskEndsAndItsMessageIsGone) {
    App app{"test", settings_};
    std::latch started{1};
    auto endless = app.task("endless", [&](TaskContext& context) {
        started.count_down();
        while (true) context.checkpoint();
    });
    auto next = app.task("next", [] {});
    RunningWorker worker{app};
    const auto result = endless.delay();
    started.wait();
    result.revoke({.terminate = true});
    next.delay().get(kLong);  // the only slot is free again
    EXPECT_EQ(result.meta().failure()->exc_message, "terminated");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST_P(Outcome, ARejectedMessageIsKeptAndARequeuedOneComesBack) {
    App app{"test", settings_};
    auto rejects = app.task("rejects", [] { throw Reject{.reason = "not mine"}; });
    auto returns = app.task("returns", [](TaskContext& context) {
        if (!context.request().redelivered) throw Reject{.requeue = true};
    });
    RunningWorker worker{app};
    const auto kept = rejects.delay();
    EXPECT_EQ(kept.wait(kLong).failure()->exc_message, "not mine");
    EXPECT_EQ(take_quarantined(app).properties.correlation_id, kept.id());
    returns.delay().get(kLong);
}

TEST_P(Outcome, TheQuorumProfileRunsAndRetriesTasks) {
    settings_.delivery = DeliveryProfile::quorum;
    App app{"test", settings_};
    auto task = app.task("task", [](TaskContext& context) {
        if (context.retries() == 0) context.retry({.countdown = 0ms});
        return context.retries();
    });
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().get(kLong), 1);
}

}  // namespace
}  // namespace lovage::integration
