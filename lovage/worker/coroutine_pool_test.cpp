#include <lovage/worker/coroutine_pool.hpp>

#include <lovage/app/coroutine_task.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using RequestPtr = std::shared_ptr<TaskRequest>;

Awaitable<void> pause(std::chrono::milliseconds length) {
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, length};
    co_await timer.async_wait(boost::asio::use_awaitable);
}

RequestPtr request_for(const TaskDefinition& task, std::string id, const char* args = "[]") {
    auto request = std::make_shared<TaskRequest>();
    request->message.id = id;
    request->message.task = task.name;
    request->message.args = Json::raw(args);
    request->message.kwargs = Json::raw("{}");
    request->definition = &task;
    request->context =
        std::make_shared<TaskContext>(TaskContext::Request{.id = std::move(id), .task = task.name});
    return request;
}

/// A pool on a loop that the test turns by hand until enough tasks have ended.
class CoroutinePoolTest : public testing::Test {
protected:
    void start(std::size_t slots) {
        pool_ = std::make_unique<CoroutinePool>(loop_.get_executor(), slots);
        pool_->start({.started = [this](const RequestPtr& request) { started_.push_back(request); },
                      .finished =
                          [this](std::vector<FinishedTask> ended) {
                              std::ranges::move(ended, std::back_inserter(ended_));
                          }});
    }
    void wait_for(std::size_t ends) {
        turn_until([&] { return ended_.size() >= ends; });
        ASSERT_EQ(ended_.size(), ends);
    }
    void turn_until(const std::function<bool()>& done) {
        const auto work = boost::asio::make_work_guard(loop_);
        loop_.restart();
        while (!done() && loop_.run_one_for(20s) != 0) {
        }
    }
    const TaskOutcome& outcome(std::size_t i = 0) { return ended_.at(i).outcome; }

    boost::asio::io_context loop_{1};
    std::unique_ptr<CoroutinePool> pool_;
    std::vector<RequestPtr> started_;
    std::vector<FinishedTask> ended_;
};

// Definitions keep their lambdas, and requests their arguments and contexts, until the coroutine is
// over: that tasks may be written like this is part of what is tested.
// NOLINTBEGIN(cppcoreguidelines-avoid-capturing-lambda-coroutines)
// NOLINTBEGIN(cppcoreguidelines-avoid-reference-coroutine-parameters)
TEST_F(CoroutinePoolTest, RunsACoroutineWithConvertedArguments) {
    const auto task = make_coroutine_definition(
        "add",
        [](int x, const std::string& text) -> Awaitable<std::string> {
            co_await pause(1ms);
            co_return text + std::to_string(x);
        },
        arg("x"), arg("text") = "n");
    start(2);
    pool_->submit({request_for(task, "a", "[7]")});
    wait_for(1);
    EXPECT_EQ(outcome().ending, Ending::succeeded);
    EXPECT_EQ(outcome().value, Json{"n7"});
}

TEST_F(CoroutinePoolTest, WhatItThrowsBecomesTheOutcome) {
    const auto failing = make_coroutine_definition("failing", []() -> Awaitable<void> {
        co_await pause(1ms);
        throw std::invalid_argument{"bad"};
    });
    const auto again =
        make_coroutine_definition("again", [](TaskContext& context) -> Awaitable<void> {
            co_await pause(1ms);
            context.retry({.countdown = 0ms});
        });
    start(2);
    pool_->submit(
        {request_for(failing, "a"), request_for(again, "b"), request_for(failing, "c", "[1]")});
    wait_for(3);
    std::map<std::string, TaskOutcome> outcomes;
    for (const auto& ended : ended_) outcomes[ended.request->message.id] = ended.outcome;
    EXPECT_EQ(outcomes["a"].failure->exc_type, "ValueError");
    EXPECT_EQ(outcomes["b"].ending, Ending::retry);
    EXPECT_EQ(outcomes["c"].failure->exc_type, "TypeError");
}

TEST_F(CoroutinePoolTest, EachTaskHasItsOwnContextAfterEveryWait) {
    const auto task = make_coroutine_definition("who", []() -> Awaitable<bool> {
        const std::string before = TaskContext::current()->id();
        for (int i = 0; i < 3; ++i) {
            co_await pause(1ms);
            if (TaskContext::current()->id() != before) co_return false;
        }
        co_return true;
    });
    start(50);
    std::vector<RequestPtr> requests;
    for (int i = 0; i < 50; ++i) requests.push_back(request_for(task, std::to_string(i)));
    pool_->submit(std::move(requests));
    wait_for(50);
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(outcome(i).value, Json{true});
}

TEST_F(CoroutinePoolTest, RunsNoMoreAtATimeThanItHasSlots) {
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    const auto task = make_coroutine_definition("task", [&]() -> Awaitable<void> {
        most = std::max(most.load(), ++running);
        co_await pause(1ms);
        --running;
    });
    start(3);
    std::vector<RequestPtr> requests;
    for (int i = 0; i < 20; ++i) requests.push_back(request_for(task, std::to_string(i)));
    pool_->submit(std::move(requests));
    wait_for(20);
    EXPECT_EQ(most, 3);
}

TEST_F(CoroutinePoolTest, TenThousandWaitTogether) {
    const auto task =
        make_coroutine_definition("sleep", []() -> Awaitable<void> { co_await pause(1s); });
    start(10'000);
    std::vector<RequestPtr> requests;
    for (int i = 0; i < 10'000; ++i) requests.push_back(request_for(task, std::to_string(i)));
    const auto begin = std::chrono::steady_clock::now();
    pool_->submit(std::move(requests));
    wait_for(10'000);
    // One after the other it would be three hours. Optimised builds need little more than a second.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
}

TEST_F(CoroutinePoolTest, PlainFunctionsDoNotHoldCoroutinesUp) {
    std::mutex mutex;
    std::condition_variable changed;
    bool coroutine_ran = false;
    const auto plain = make_task_definition("plain", [&] {
        std::unique_lock lock{mutex};
        return changed.wait_for(lock, 20s, [&] { return coroutine_ran; });
    });
    const auto coroutine = make_coroutine_definition("coroutine", [&]() -> Awaitable<bool> {
        co_await pause(1ms);
        const std::lock_guard lock{mutex};
        coroutine_ran = true;
        changed.notify_all();
        co_return true;
    });
    start(1);
    pool_->submit({request_for(plain, "a"), request_for(coroutine, "b")});
    wait_for(2);
    EXPECT_EQ(outcome(0).value, Json{true});
    EXPECT_EQ(outcome(1).value, Json{true});
}

TEST_F(CoroutinePoolTest, AStopCancelsWhatATaskWaitsFor) {
    const auto task =
        make_coroutine_definition("long", []() -> Awaitable<void> { co_await pause(1h); });
    struct Row {
        StopReason reason;
        Ending ending;
    };
    const std::vector<Row> rows{{StopReason::terminated, Ending::revoked},
                                {StopReason::soft_time_limit, Ending::failed},
                                {StopReason::shutdown, Ending::requeued}};
    start(10);
    for (const Row& row : rows) {
        const auto request = request_for(task, "a");
        request->report_start = true;
        pool_->submit({request});
        turn_until([this] { return !started_.empty(); });
        pool_->request_stop(request, row.reason);
        wait_for(1);
        EXPECT_EQ(outcome().ending, row.ending);
        if (row.reason == StopReason::soft_time_limit) {
            EXPECT_EQ(outcome().failure->exc_type, "SoftTimeLimitExceeded");
        }
        started_.clear();
        ended_.clear();
    }
}

TEST_F(CoroutinePoolTest, ATaskThatWasTerminatedBeforeItsSlotCameDoesNotRun) {
    bool ran = false;
    const auto task = make_coroutine_definition("task", [&]() -> Awaitable<void> {
        ran = true;
        co_return;
    });
    start(1);
    const auto request = request_for(task, "a");
    request->context->request_stop(StopReason::terminated);
    pool_->submit({request});
    wait_for(1);
    EXPECT_EQ(outcome().ending, Ending::revoked);
    EXPECT_FALSE(ran);
}

TEST_F(CoroutinePoolTest, WhatWaitsForASlotCanBeTakenBack) {
    const auto task =
        make_coroutine_definition("long", []() -> Awaitable<void> { co_await pause(1h); });
    start(1);
    const auto first = request_for(task, "a");
    const auto second = request_for(task, "b");
    pool_->submit({first, second});
    EXPECT_THAT(pool_->take_unstarted(), testing::ElementsAre(second));
    pool_->request_stop(first, StopReason::shutdown);
    wait_for(1);
    EXPECT_EQ(pool_->stop(), 0U);
}

TEST(PoolByName, SoloIsOneThread) {
    Settings settings = memory_settings();
    settings.worker_pool = "solo";
    settings.worker_concurrency = 8;
    App app{"test", settings};
    auto who = app.task("who", [] { return 1; });
    RunningWorker worker{app, 0};
    EXPECT_EQ(worker.worker().pool(), "solo");
    EXPECT_EQ(worker.worker().concurrency(), 1U);
    EXPECT_EQ(who.delay().get(kLong), 1);
}

TEST(PoolByName, CoroutineRunsBothKindsOfTask) {
    Settings settings = memory_settings();
    settings.worker_pool = "coroutine";
    App app{"test", settings};
    auto plain = app.task("plain", [] { return 1; });
    auto waits = app.task(
        "waits",
        [](int x) -> Awaitable<int> {
            co_await pause(1ms);
            co_return 2 * x;
        },
        arg("x"));
    RunningWorker worker{app, 0};
    EXPECT_EQ(worker.worker().concurrency(), CoroutinePool::kDefaultSlots);
    std::vector<AsyncResult<int>> results;
    for (int i = 0; i < 200; ++i) results.push_back(waits.delay(i));
    EXPECT_EQ(plain.delay().get(kLong), 1);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(kLong), 2 * i);
}

TEST(RunCoroutineHere, RunsToItsEndOnTheCallingThread) {
    const auto task = make_coroutine_definition("f", []() -> Awaitable<std::string> {
        co_await pause(1ms);
        co_return TaskContext::current()->id();
    });
    EXPECT_EQ(run_task(*request_for(task, "id-7")).value, Json{"id-7"});
}

TEST(RunCoroutineHere, AStopFromElsewhereEndsItsWait) {
    std::atomic<bool> waiting{false};
    const auto task = make_coroutine_definition("f", [&]() -> Awaitable<void> {
        waiting = true;
        co_await pause(1h);
    });
    const auto request = request_for(task, "a");
    std::thread other{[&] {
        while (!waiting) std::this_thread::yield();
        request->context->request_stop(StopReason::soft_time_limit);
    }};
    const TaskOutcome outcome = run_task(*request);
    other.join();
    EXPECT_EQ(outcome.failure->exc_type, "SoftTimeLimitExceeded");
}

// NOLINTEND(cppcoreguidelines-avoid-reference-coroutine-parameters)
// NOLINTEND(cppcoreguidelines-avoid-capturing-lambda-coroutines)

}  // namespace
}  // namespace lovage
