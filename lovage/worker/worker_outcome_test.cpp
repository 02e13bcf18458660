// How attempts end, from the message to its acknowledgement, on the embedded memory broker.

#include <lovage/worker/worker.hpp>

#include <lovage/worker/quarantine.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using testing::HasSubstr;

class ConnectionLost : public std::runtime_error {
    using runtime_error::runtime_error;
};

TEST(Retry, RunsAgainUnderTheSameIdWithOneRetryMore) {
    App app{"test", memory_settings()};
    auto flaky = app.task("flaky", [](TaskContext& context) {
        if (context.retries() < 2) context.retry({.countdown = 0ms});
        return context.retries();
    });
    RunningWorker worker{app};
    EXPECT_EQ(flaky.delay().get(kLong), 2);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST(Retry, WhileItWaitsTheStateIsRetryWithItsCause) {
    App app{"test", memory_settings()};
    auto flaky = app.task("flaky", [](TaskContext& context) {
        try {
            throw std::runtime_error{"try again"};
        } catch (const std::exception&) {
            context.retry({.countdown = 1h});
        }
    });
    RunningWorker worker{app};
    const auto result = flaky.delay();
    while (result.state() != "RETRY") std::this_thread::yield();
    const TaskMeta meta = result.meta();
    EXPECT_EQ(
        to_json_text(meta.result),
        R"({"exc_type": "RuntimeError", "exc_message": ["try again"], "exc_module": "builtins"})");
    EXPECT_THAT(meta.traceback.value_or(""),
                HasSubstr("celery.exceptions.Retry: Retry in 3600s: RuntimeError('try again')"));
    EXPECT_FALSE(meta.date_done);
    EXPECT_EQ(to_json_text(meta.children), R"([[[")" + result.id() + R"(", null], null]])");
}

TEST(Retry, NewArgumentsReplaceTheOldOnes) {
    App app{"test", memory_settings()};
    auto task = app.task(
        "task",
        [](TaskContext& context, int x) {
            if (x < 3) context.retry({.countdown = 0ms, .args = Json::array({x + 1})});
            return x;
        },
        arg("x"));
    RunningWorker worker{app};
    EXPECT_EQ(task.delay(1).get(kLong), 3);
}

TEST(Retry, WhenRetriesAreUsedUpTheCauseIsTheFailure) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("task", [&](TaskContext& context) {
        ++runs;
        context.retry({.countdown = 0ms,
                       .cause = std::make_exception_ptr(std::invalid_argument{"still bad"})});
    });
    task.max_retries(2);
    RunningWorker worker{app};
    const TaskMeta meta = task.delay().wait(kLong);
    EXPECT_EQ(meta.status, "FAILURE");
    EXPECT_EQ(meta.failure()->exc_type, "ValueError");
    EXPECT_EQ(runs, 3);
}

TEST(Retry, WithoutACauseTheFailureNamesTheCall) {
    App app{"test", memory_settings()};
    auto task = app.task(
        "task", [](TaskContext& context, int) { context.retry({.max_retries = 0}); }, arg("x"));
    RunningWorker worker{app};
    const auto result = task.delay(7);
    const auto failure = result.wait(kLong).failure();
    EXPECT_EQ(failure->exc_type, "MaxRetriesExceededError");
    EXPECT_EQ(failure->exc_module, "celery.exceptions");
    EXPECT_EQ(failure->exc_message, "Can't retry task[" + result.id() + "] args:(7,) kwargs:{}");
}

TEST(Retry, HappensByItselfForTheTypesATaskNames) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("task", [&] {
        if (++runs < 3) throw ConnectionLost{"gone"};
        return 1;
    });
    task.autoretry_for<ConnectionLost>().retry_backoff(1ms);
    auto other = app.task("other", [] { throw std::runtime_error{"no"}; });
    other.autoretry_for<ConnectionLost>();
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().get(kLong), 1);
    EXPECT_EQ(runs, 3);
    EXPECT_EQ(other.delay().wait(kLong).status, "FAILURE");
}

TEST(Retry, HappensByItselfForPythonNamesAndEndsWithTheFailure) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("task", [&] {
        ++runs;
        throw TaskError{"OutOfStock", "no mint", "shop.errors"};
    });
    task.autoretry_for("OutOfStock").default_retry_delay(0ms).max_retries(1);
    RunningWorker worker{app};
    const auto failure = task.delay().wait(kLong).failure();
    EXPECT_EQ(failure->exc_type, "OutOfStock");
    EXPECT_EQ(runs, 2);
}

TEST(Retry, OneThatCannotBeSentEndsAsAFailure) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [](TaskContext& context) {
        // More than a message can hold.
        context.retry({.countdown = 0ms, .args = Json::array({std::string(20U << 20U, 'x')})});
    });
    RunningWorker worker{app};
    const auto failure = task.delay().wait(kLong).failure();
    EXPECT_EQ(failure->exc_type, "Reject");
    EXPECT_THAT(failure->exc_message, HasSubstr("the retry could not be sent"));
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST(Ignore, LeavesTheStateAsItIs) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [] { throw Ignore{}; });
    auto marker = app.task("marker", [] {});
    RunningWorker worker{app};
    const auto result = task.delay();
    marker.delay().get(kLong);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(result.state(), "PENDING");
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST(Reject, KeepsTheMessageAndFails) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [] { throw Reject{.reason = "not for me"}; });
    RunningWorker worker{app};
    const auto result = task.delay();
    const auto failure = result.wait(kLong).failure();
    EXPECT_EQ(failure->exc_type, "Reject");
    EXPECT_EQ(failure->exc_message, "not for me");
    const auto note = read_note(take_quarantined(app));
    ASSERT_TRUE(note);
    EXPECT_EQ(note->reason, "rejected");
    EXPECT_EQ(note->detail, "not for me");
    EXPECT_EQ(note->queue, "celery");
}

TEST(Reject, UnderCelerysProfileTheMessageIsGone) {
    Settings settings = memory_settings();
    settings.delivery = DeliveryProfile::celery;
    settings.task_acks_late = true;
    App app{"test", settings};
    auto task = app.task("task", [] { throw Reject{.reason = "not for me"}; });
    auto marker = app.task("marker", [] {});
    RunningWorker worker{app};
    const auto result = task.delay();
    marker.delay().get(kLong);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(result.state(), "PENDING");
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
    EXPECT_EQ(status_of(app, "celery.quarantine").ready, 0U);
}

TEST(Reject, WithRequeueTheMessageComesAgain) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [](TaskContext& context) {
        if (!context.request().redelivered) throw Reject{.reason = "later", .requeue = true};
        return context.retries();
    });
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().get(kLong), 0);
}

TEST(Acknowledge, LateByDefaultAndEarlyUnderCelerysProfile) {
    for (const bool early : {false, true}) {
        Settings settings = memory_settings();
        if (early) settings.delivery = DeliveryProfile::celery;
        App app{"test", settings};
        std::binary_semaphore go{0};
        std::latch started{1};
        auto task = app.task("task", [&] {
            started.count_down();
            go.acquire();
        });
        RunningWorker worker{app};
        const auto result = task.delay();
        started.wait();
        if (early) {
            while (status_of(app, "celery").unsettled != 0) std::this_thread::yield();
        } else {
            EXPECT_EQ(status_of(app, "celery").unsettled, 1U);
        }
        go.release();
        result.get(kLong);
    }
}

TEST(Acknowledge, AFailureThatIsNotAcknowledgedIsKept) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [] { throw std::runtime_error{"bad day"}; });
    task.acks_on_failure_or_timeout(false);
    RunningWorker worker{app};
    const auto result = task.delay();
    EXPECT_EQ(result.wait(kLong).status, "FAILURE");
    const auto note = read_note(take_quarantined(app));
    ASSERT_TRUE(note);
    EXPECT_EQ(note->reason, "failed");
    EXPECT_EQ(note->detail, "RuntimeError: bad day");
}

TEST(SoftLimit, IsThrownAtTheNextCheckpoint) {
    App app{"test", memory_settings()};
    auto endless = app.task("endless", [](TaskContext& context) {
        while (true) context.checkpoint();
    });
    endless.soft_time_limit(20ms);
    RunningWorker worker{app};
    const TaskMeta meta = endless.delay().wait(kLong);
    EXPECT_EQ(
        to_json_text(meta.result),
        R"({"exc_type": "SoftTimeLimitExceeded", "exc_message": [], "exc_module": "billiard.exceptions"})");
}

TEST(SoftLimit, ATaskMayEndWellAfterIt) {
    App app{"test", memory_settings()};
    auto careful = app.task("careful", [](TaskContext& context) {
        try {
            while (true) context.checkpoint();
        } catch (const SoftTimeLimitExceeded&) {
            context.checkpoint();
            return std::string{"half"};
        }
    });
    RunningWorker worker{app};
    EXPECT_EQ(careful.apply_async({}, {.soft_time_limit = 20ms}).get(kLong), "half");
}

TEST(SoftLimit, IsNoticedWhileATaskWaitsForAnotherOne) {
    App app{"test", memory_settings()};
    auto waiting = app.task("waiting", [&app] { app.async_result("nobody").wait(1h); });
    waiting.soft_time_limit(20ms);
    RunningWorker worker{app};
    EXPECT_EQ(waiting.delay().wait(kLong).failure()->exc_type, "SoftTimeLimitExceeded");
}

TEST(HardLimit, IsRefusedAtTheStartByAPoolThatCannotKeepIt) {
    Settings settings = memory_settings();
    settings.task_time_limit = 5s;
    settings.origins["task_time_limit"] = "LOVAGE_TASK_TIME_LIMIT";
    App app{"test", settings};
    Worker worker{app, {}};
    const auto ended = app.core()->loop().run_blocking(worker.run());
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().detail, HasSubstr("task_time_limit (LOVAGE_TASK_TIME_LIMIT)"));
    EXPECT_THAT(ended.error().detail, HasSubstr("'threads'"));
}

TEST(SlotLimits, AreRefusedAtTheStartByAPoolWithoutProcesses) {
    for (const std::string pool : {"threads", "coroutine", "solo"}) {
        for (const bool memory : {true, false}) {
            Settings settings = memory_settings();
            (memory ? settings.worker_max_memory_per_child : settings.worker_max_tasks_per_child) =
                100'000;
            App app{"test", settings};
            Worker worker{app, {.pool = pool}};
            const auto ended = app.core()->loop().run_blocking(worker.run());
            ASSERT_FALSE(ended) << pool;
            EXPECT_THAT(ended.error().detail, HasSubstr(memory ? "worker_max_memory_per_child"
                                                               : "worker_max_tasks_per_child"));
            EXPECT_THAT(ended.error().detail, HasSubstr("'" + pool + "'"));
        }
    }
}

TEST(HardLimit, OfAMessageIsASoftOneThere) {
    App app{"test", memory_settings()};
    auto endless = app.task("endless", [](TaskContext& context) {
        while (true) context.checkpoint();
    });
    RunningWorker worker{app};
    const TaskMeta meta = endless.apply_async({}, {.time_limit = 20ms}).wait(kLong);
    EXPECT_EQ(meta.failure()->exc_type, "SoftTimeLimitExceeded");
}

TEST(Hooks, SurroundEveryAttempt) {
    App app{"test", memory_settings()};
    std::mutex mutex;
    std::vector<std::string> calls;
    const auto note = [&](const std::string& what, const TaskContext& context) {
        const std::lock_guard lock{mutex};
        calls.push_back(what + " " + context.request().task);
    };
    app.before_task([&](TaskContext& context) { note("before", context); })
        .on_failure([&](TaskContext& context, const TaskEnd& end) {
            note("failure " + end.failure->exc_type, context);
        })
        .on_retry([&](TaskContext& context, const TaskEnd&) { note("retry", context); })
        .after_task([&](TaskContext& context, const TaskEnd& end) {
            note("after " + std::string{end.state}, context);
            throw std::runtime_error{"a hook's trouble is its own"};
        });
    auto good = app.task("good", [] {});
    auto bad = app.task("bad", [] { throw std::invalid_argument{"no"}; });
    bad.autoretry_for("ValueError").default_retry_delay(0ms).max_retries(1);
    RunningWorker worker{app};
    good.delay().get(kLong);
    EXPECT_EQ(bad.delay().wait(kLong).status, "FAILURE");
    EXPECT_TRUE(worker.stop());
    EXPECT_THAT(calls, testing::ElementsAre("before good", "after SUCCESS good", "before bad",
                                            "retry bad", "after RETRY bad", "before bad",
                                            "failure ValueError bad", "after FAILURE bad"));
}

TEST(Hooks, TellWhenAWorkerStartsAndHasStopped) {
    App app{"test", memory_settings()};
    std::promise<std::string> ready;
    std::promise<std::string> stopped;
    app.on_worker_ready([&](const std::string& name) { ready.set_value(name); })
        .on_worker_shutdown([&](const std::string& name) { stopped.set_value(name); });
    RunningWorker worker{app};
    EXPECT_EQ(ready.get_future().get(), "w@test");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(stopped.get_future().get(), "w@test");
}

TEST(Progress, IsTheStateOfARunningTask) {
    App app{"test", memory_settings()};
    std::binary_semaphore go{0};
    auto task = app.task("task", [&](TaskContext& context) {
        context.update_state("PROGRESS", Json::object({{"done", 1}}));
        context.update_state("PROGRESS", Json::object({{"done", 2}}));
        go.acquire();
        return 3;
    });
    RunningWorker worker{app};
    const auto result = task.delay();
    while (result.state() != "PROGRESS") std::this_thread::yield();
    while (to_json_text(result.meta().result) != R"({"done": 2})") std::this_thread::yield();
    EXPECT_FALSE(result.meta().date_done);
    go.release();
    EXPECT_EQ(result.get(kLong), 3);
}

TEST(Progress, StaysAfterIgnoreHoweverSoonThatComes) {
    App app{"test", memory_settings()};
    auto task = app.task(
        "task",
        [](TaskContext& context, int x) {
            context.update_state("ELSEWHERE", x);
            throw Ignore{};
        },
        arg("x"));
    auto marker = app.task("marker", [] {});
    RunningWorker worker{app};
    std::vector<AsyncResult<void>> results;
    for (int i = 0; i < 50; ++i) results.push_back(task.delay(i));
    marker.delay().get(kLong);
    EXPECT_TRUE(worker.stop());
    for (const auto& result : results) EXPECT_EQ(result.state(), "ELSEWHERE");
}

TEST(Progress, AStateThatOnlyAnEndReachesIsRefused) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [](TaskContext& context) { context.update_state("SUCCESS"); });
    RunningWorker worker{app};
    EXPECT_THAT(task.delay().wait(kLong).failure()->exc_message, HasSubstr("'SUCCESS'"));
}

TEST(Terminate, ReachesARunningTask) {
    App app{"test", memory_settings()};
    std::latch started{1};
    auto endless = app.task("endless", [&](TaskContext& context) {
        started.count_down();
        while (true) context.checkpoint();
    });
    RunningWorker worker{app};
    const auto result = endless.delay();
    started.wait();
    result.revoke({.terminate = true});
    while (result.meta().failure()->exc_message != "terminated") std::this_thread::yield();
    EXPECT_EQ(result.state(), "REVOKED");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST(Revoke, ReachesATaskThatWaitsForASlot) {
    App app{"test", memory_settings()};
    std::binary_semaphore go{0};
    std::latch started{1};
    std::atomic<int> runs{0};
    auto blocking = app.task("blocking", [&] {
        started.count_down();
        go.acquire();
    });
    auto task = app.task("task", [&] { ++runs; });
    RunningWorker worker{app};
    const auto first = blocking.delay();
    started.wait();
    const auto second = task.delay();
    second.revoke();
    go.release();
    first.get(kLong);
    EXPECT_EQ(second.wait(kLong).status, "REVOKED");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(runs, 0);
}

TEST(Revoke, WithoutTerminateARunningTaskGoesOn) {
    App app{"test", memory_settings()};
    std::latch started{1};
    std::binary_semaphore go{0};
    auto task = app.task("task", [&] {
        started.count_down();
        go.acquire();
        return 1;
    });
    RunningWorker worker{app};
    const auto result = task.delay();
    started.wait();
    result.revoke();
    EXPECT_EQ(result.state(), "REVOKED");
    go.release();
    while (result.state() != "SUCCESS") std::this_thread::yield();
}

}  // namespace
}  // namespace lovage
