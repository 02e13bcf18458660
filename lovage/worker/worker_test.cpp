#include <lovage/worker/worker.hpp>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/worker/quarantine.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;

TEST(Worker, RunsATaskAndStoresItsResult) {
    App app{"test", memory_settings()};
    auto multiply =
        app.task("multiply", [](int x, int y) { return x * y; }, arg("x"), arg("y") = 2);
    RunningWorker worker{app};

    EXPECT_EQ(multiply.delay(21).get(kLong), 42);
    EXPECT_TRUE(worker.worker().ready());
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
    EXPECT_EQ(status_of(app, "celery").unsettled, 0U);
}

TEST(Worker, RunsManyTasksOnSeveralSlots) {
    App app{"test", memory_settings()};
    auto square = app.task("square", [](int x) { return x * x; }, arg("x"));
    RunningWorker worker{app, 4};
    std::vector<AsyncResult<int>> results;
    for (int i = 0; i < 500; ++i) results.push_back(square.delay(i));
    for (int i = 0; i < 500; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(kLong), i * i);
}

TEST(Worker, AFailureReachesTheCallerAsPythonsException) {
    App app{"test", memory_settings()};
    auto fail_task = app.task("fail", [] { throw std::invalid_argument{"boom"}; });
    RunningWorker worker{app};
    const auto result = fail_task.delay();
    try {
        result.get(kLong);
        FAIL() << "succeeded";
    } catch (const LovageError& error) {
        ASSERT_TRUE(error.error().failure);
        EXPECT_EQ(error.error().failure->exc_type, "ValueError");
        EXPECT_EQ(error.error().failure->exc_message, "boom");
    }
}

TEST(Worker, WrongArgumentsFailTheTaskOnly) {
    App app{"test", memory_settings()};
    auto add = app.task("add", [](int x, int y) { return x + y; }, arg("x"), arg("y"));
    RunningWorker worker{app};
    const auto wrong = app.send_task("add", Json::Array{1});
    EXPECT_THROW((void)wrong.get(kLong), LovageError);
    EXPECT_EQ(add.delay(1, 2).get(kLong), 3);
}

TEST(Worker, AnUnknownTaskFailsAndItsMessageIsKept) {
    App app{"test", memory_settings()};
    RunningWorker worker{app};
    const auto result = app.send_task("not.registered", Json::Array{1});

    const Message kept = take_quarantined(app);
    EXPECT_EQ(read_note(kept)->reason, "not-registered");
    const TaskMeta meta = result.wait(kLong);
    EXPECT_EQ(meta.status, "FAILURE");
    EXPECT_EQ(meta.failure()->exc_type, "NotRegistered");
}

TEST(Worker, AnUndecodableMessageIsKeptAndTheNextOneRuns) {
    App app{"test", memory_settings()};
    auto ok = app.task("ok", [] { return 1; });
    RunningWorker worker{app};
    Message broken;
    broken.headers = Json::object({{"task", "ok"}, {"id", "broken-1"}});
    broken.body = "this is no JSON";
    publish(app, broken);

    const Message kept = take_quarantined(app);
    EXPECT_EQ(kept.body, broken.body);
    EXPECT_EQ(read_note(kept)->reason, "undecodable");
    EXPECT_EQ(app.async_result("broken-1").wait(kLong).status, "FAILURE");
    EXPECT_EQ(ok.delay().get(kLong), 1);
}

TEST(Worker, ATaskWhoseFollowUpsCannotBeReadIsKeptNotRunWithoutThem) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("t", [&runs] { ++runs; });
    RunningWorker worker{app};
    Message message;
    message.headers = Json::object({{"task", "t"}, {"id", "step-1"}});
    message.properties.content_type = "application/json";
    message.body = R"([[], {}, {"callbacks": null, "errbacks": [], "chain": [{"tusk": "next"}]}])";
    publish(app, message);

    EXPECT_EQ(read_note(take_quarantined(app))->reason, "invalid-message");
    const TaskMeta meta = app.async_result("step-1").wait(kLong);
    EXPECT_EQ(meta.failure()->exc_type, "InvalidTaskError");
    EXPECT_THAT(meta.failure()->exc_message, ::testing::HasSubstr("has no 'task'"));
    EXPECT_EQ(runs, 0);
}

TEST(Worker, EmptyFollowUpsAreNone) {
    App app{"test", memory_settings()};
    app.task("t", [] { return 1; });
    RunningWorker worker{app};
    Message message;
    message.headers = Json::object({{"task", "t"}, {"id", "alone-1"}});
    message.properties.content_type = "application/json";
    message.body = R"([[], {}, {"chain": [], "chord": null}])";
    publish(app, message);
    EXPECT_EQ(app.async_result("alone-1").wait(kLong).status, "SUCCESS");
}

TEST(Worker, AnExpiredTaskIsRevokedNotRun) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("t", [&runs] { ++runs; });
    const auto result = task.apply_async({}, {.expires = TimePoint{1s}});
    RunningWorker worker{app};
    const TaskMeta meta = result.wait(kLong);
    EXPECT_EQ(meta.status, "REVOKED");
    EXPECT_EQ(meta.failure()->exc_message, "expired");
    EXPECT_EQ(runs, 0);
}

TEST(Worker, ARevokedTaskDoesNotRun) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("t", [&runs] { ++runs; });
    auto marker = app.task("marker", [] {});
    task.delay().revoke();
    RunningWorker worker{app};
    marker.delay().get(kLong);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(runs, 0);
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST(Worker, ARevokedTaskIsKnownByTheIdInItsBody) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    app.task("t", [&runs] { ++runs; });
    Message message;  // Celery's first protocol
    message.properties.content_type = "application/json";
    message.body = R"({"task": "t", "id": "first-1", "args": [], "kwargs": {}})";
    app.async_result("first-1").revoke();
    publish(app, message);
    RunningWorker worker{app};
    const TaskMeta meta = app.async_result("first-1").wait(kLong);
    EXPECT_EQ(meta.status, "REVOKED");
    EXPECT_EQ(runs, 0);
}

TEST(Worker, ARevokedTaskIsFoundAmongManyThatComeTogether) {
    App app{"test", memory_settings()};
    std::atomic<int> runs{0};
    auto task = app.task("t", [&runs] { ++runs; });
    std::vector<AsyncResult<void>> results;
    for (int i = 0; i < 40; ++i) results.push_back(task.delay());
    results[30].revoke();
    {
        RunningWorker worker{app, 40};
        for (int i = 0; i < 40; ++i) {
            EXPECT_EQ(results[i].wait(kLong).status, i == 30 ? "REVOKED" : "SUCCESS");
        }
    }
    EXPECT_EQ(runs, 39);
}

TEST(Worker, ATaskWithAnEtaRunsNotBeforeIt) {
    App app{"test", memory_settings()};
    auto now = app.task("now", [] {
        return std::chrono::duration_cast<std::chrono::microseconds>(
                   wall_clock_now().time_since_epoch())
            .count();
    });
    RunningWorker worker{app};
    const TimePoint eta = wall_clock_now() + 150ms;
    EXPECT_GE(now.apply_async({}, {.eta = eta}).get(kLong), eta.time_since_epoch().count());
}

TEST(Worker, AStopReturnsWhatHasNotStartedAndFinishesWhatRuns) {
    App app{"test", memory_settings()};
    std::latch started{1};
    std::binary_semaphore go{0};
    auto blocking = app.task(
        "blocking",
        [&](int x) {
            started.count_down();
            go.acquire();
            return x;
        },
        arg("x"));
    std::vector<AsyncResult<int>> results;
    RunningWorker worker{app};
    results.push_back(blocking.delay(0));
    started.wait();
    for (int i = 1; i < 5; ++i) results.push_back(blocking.delay(i));

    worker.request_stop();
    go.release();
    EXPECT_TRUE(worker.wait_stopped());
    EXPECT_EQ(results[0].get(kLong), 0);
    EXPECT_EQ(status_of(app, "celery").ready, 4U);
    EXPECT_EQ(worker.worker().left_behind(), 0U);
}

TEST(Worker, ASecondStopGivesRunningTasksBack) {
    // The slot is left behind: what it may touch stays until the process ends.
    static std::binary_semaphore go{0};
    static App& app = *new App{"test", memory_settings()};
    std::latch started{1};
    std::promise<void> asked_to_stop;
    auto blocking = app.task("blocking", [&](TaskContext& context) {
        const std::stop_callback noticed{context.stop_token(), [&] { asked_to_stop.set_value(); }};
        started.count_down();
        go.acquire();
    });
    RunningWorker worker{app};
    blocking.delay();
    started.wait();

    worker.request_stop();
    worker.request_stop();
    EXPECT_TRUE(worker.wait_stopped());
    EXPECT_EQ(asked_to_stop.get_future().wait_for(0s), std::future_status::ready);
    EXPECT_EQ(status_of(app, "celery").ready, 1U);
    EXPECT_EQ(worker.worker().left_behind(), 1U);
    go.release();
}

TEST(Worker, IgnoredResultsAreNotStored) {
    App app{"test", memory_settings()};
    auto quiet = app.task("quiet", [] { return 1; });
    quiet.ignore_result();
    auto marker = app.task("marker", [] {});
    RunningWorker worker{app};
    const auto result = quiet.delay();
    marker.delay().get(kLong);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(result.state(), "PENDING");
}

TEST(Worker, StartedIsStoredWhenAskedFor) {
    Settings settings = memory_settings();
    settings.task_track_started = true;
    App app{"test", settings};
    std::binary_semaphore go{0};
    auto blocking = app.task("blocking", [&] { go.acquire(); });
    RunningWorker worker{app};
    const auto result = blocking.delay();
    while (result.state() == "PENDING") std::this_thread::yield();
    EXPECT_EQ(result.state(), "STARTED");
    go.release();
    result.get(kLong);
    EXPECT_EQ(result.state(), "SUCCESS");
}

}  // namespace
}  // namespace lovage
