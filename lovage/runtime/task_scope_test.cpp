#include <lovage/runtime/task_scope.hpp>

#include <lovage/runtime/log.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

namespace asio = boost::asio;

const Deadline kPassed = Deadline::at(Deadline::Clock::time_point::min() + 1s);

class TaskScopeTest : public ::testing::Test {
protected:
    static Awaitable<void> wait_for_notification(TaskScopeTest* test) {
        co_await test->notifier.wait();
        ++test->finished;
    }
    /// Waits again and again, as a service's loop does, until a cancellation throws.
    static Awaitable<void> serve(TaskScopeTest* test) {
        while (true) {
            co_await test->notifier.wait();
            ++test->rounds;
        }
    }
    static Awaitable<void> end_at_once(TaskScopeTest* test) {
        ++test->finished;
        co_return;
    }
    static Awaitable<void> fail() {
        throw std::runtime_error{"out of cheese"};
        co_return;
    }
    static Awaitable<void> fail_when_cancelled(TaskScopeTest* test) {
        bool cancelled = false;
        try {
            while (true) co_await test->notifier.wait();
        } catch (const std::exception&) {
            cancelled = true;
        }
        if (cancelled) throw std::runtime_error{"could not clean up"};
    }
    static Awaitable<void> spawn_another(TaskScopeTest* test) {
        co_await test->notifier.wait();
        test->scope.spawn("child", serve(test));
    }
    static Awaitable<void> join(TaskScopeTest* test, Deadline deadline) {
        test->joined = co_await test->scope.join(deadline);
    }

    void start_joining(Deadline deadline) {
        asio::co_spawn(loop, join(this, deadline),
                       [](const std::exception_ptr& error) { EXPECT_FALSE(error); });
    }
    /// Ends what a test left running.
    void TearDown() override {
        scope.request_stop();
        loop.restart();
        loop.run();
    }

    asio::io_context loop{1};
    Notifier notifier{loop.get_executor()};
    int finished = 0;
    int rounds = 0;
    std::optional<bool> joined;
    TaskScope scope{loop.get_executor()};
};

TEST_F(TaskScopeTest, JoinWaitsForEverySpawnedCoroutine) {
    scope.spawn("one", wait_for_notification(this));
    scope.spawn("two", wait_for_notification(this));
    start_joining(Deadline::in(1h));
    loop.poll();
    EXPECT_EQ(scope.running(), 2U);
    EXPECT_EQ(joined, std::nullopt);

    notifier.notify_all();
    loop.poll();
    EXPECT_EQ(joined, true);
    EXPECT_EQ(finished, 2);
    EXPECT_EQ(scope.running(), 0U);
}

TEST_F(TaskScopeTest, JoinOfAnEmptyScopeReturnsAtOnceWhateverTheDeadline) {
    start_joining(kPassed);
    loop.poll();
    EXPECT_EQ(joined, true);
}

TEST_F(TaskScopeTest, JoinTellsThatTheDeadlinePassed) {
    scope.spawn("stubborn", wait_for_notification(this));
    start_joining(kPassed);
    loop.poll();
    EXPECT_EQ(joined, false);
    EXPECT_EQ(scope.running(), 1U);
}

TEST_F(TaskScopeTest, StopCancelsServicesThatWaitForever) {
    scope.spawn("service", serve(this));
    loop.poll();
    notifier.notify_all();
    loop.poll();
    EXPECT_EQ(rounds, 1);

    scope.request_stop();
    scope.request_stop();
    start_joining(Deadline::in(1h));
    loop.poll();
    EXPECT_EQ(joined, true);
}

TEST_F(TaskScopeTest, StopBeforeTheLoopRanCancelsToo) {
    scope.spawn("service", serve(this));
    scope.request_stop();
    loop.run();
    EXPECT_EQ(scope.running(), 0U);
}

TEST_F(TaskScopeTest, WhatIsSpawnedAfterStopIsCancelled) {
    scope.request_stop();
    scope.spawn("late service", serve(this));
    scope.spawn("late and short", end_at_once(this));
    loop.run();
    EXPECT_EQ(scope.running(), 0U);
    EXPECT_EQ(finished, 1);
}

TEST_F(TaskScopeTest, WhatIsSpawnedOnTheLoopWhileStoppingIsCancelled) {
    scope.spawn("parent", spawn_another(this));
    loop.poll();
    notifier.notify_all();
    scope.request_stop();
    loop.run();
    EXPECT_EQ(scope.running(), 0U);
}

TEST_F(TaskScopeTest, AnExceptionIsLoggedAndEndsThatCoroutineOnly) {
    ::testing::internal::CaptureStderr();
    log::configure({});
    scope.spawn("other", wait_for_notification(this));
    scope.spawn("cheese shop", fail());
    loop.poll();
    log::flush();
    EXPECT_THAT(::testing::internal::GetCapturedStderr(),
                HasSubstr("'cheese shop' ended by an exception: out of cheese"));
    EXPECT_EQ(scope.running(), 1U);
}

TEST_F(TaskScopeTest, AStopIsNoNewsButAFailureWhileStoppingIs) {
    ::testing::internal::CaptureStderr();
    log::configure({});
    scope.spawn("quiet", serve(this));
    scope.spawn("loud", fail_when_cancelled(this));
    loop.poll();
    scope.request_stop();
    loop.run();
    log::flush();
    const std::string logged = ::testing::internal::GetCapturedStderr();
    EXPECT_THAT(logged, HasSubstr("'loud' ended by an exception: could not clean up"));
    EXPECT_THAT(logged, Not(HasSubstr("'quiet'")));
}

TEST(TaskScopeDeathTest, AssertsThatNothingRunsAtItsEnd) {
    // A program of its own: a fork would lack the log's thread.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            asio::io_context loop{1};
            Notifier notifier{loop.get_executor()};
            TaskScope scope{loop.get_executor()};
            scope.spawn("forgotten", notifier.wait());
        },
        "forgotten");
}

}  // namespace
}  // namespace lovage
