#include <lovage/runtime/for_each.hpp>

#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace asio = boost::asio;

class ForEachTest : public ::testing::Test {
protected:
    /// Waits until its index is let go, or it is cancelled.
    static Awaitable<Result<void>> wait_for_leave(ForEachTest* test, std::size_t index) {
        struct Left {
            ~Left() { test->left.push_back(index); }
            ForEachTest* test;
            std::size_t index;
        };
        const Left left{test, index};
        test->begun.push_back(index);
        while (!test->let_go.contains(index)) co_await test->changed.wait();
        if (test->broken == index) co_return fail(Errc::unavailable, std::to_string(index));
        if (test->throwing == index) throw std::runtime_error{std::to_string(index)};
        test->done.push_back(index);
        co_return Result<void>{};
    }
    static Awaitable<Result<void>> at_once(ForEachTest* test, std::size_t index) {
        test->done.push_back(index);
        co_return Result<void>{};
    }
    static Awaitable<void> run(ForEachTest* test, std::size_t count, std::size_t at_most,
                               OnFailure on_failure) {
        const auto work = [test](std::size_t index) { return wait_for_leave(test, index); };
        try {
            test->outcome = co_await for_each_index(count, at_most, work, on_failure);
        } catch (const std::runtime_error& error) {
            test->thrown = error.what();
            throw;
        }
    }

    static Awaitable<void> run_at_once(ForEachTest* test, std::size_t count, std::size_t at_most) {
        test->outcome = co_await for_each_index(
            count, at_most, [test](std::size_t index) { return at_once(test, index); },
            OnFailure::cancel);
    }

    void start(std::size_t count, std::size_t at_most, OnFailure on_failure) {
        scope.spawn("for each", run(this, count, at_most, on_failure));
        loop.poll();
    }
    void leave(std::set<std::size_t> indices) {
        let_go.merge(indices);
        changed.notify_all();
        loop.poll();
    }
    /// Ends what a test left running.
    void TearDown() override {
        scope.request_stop();
        loop.restart();
        loop.run();
    }

    asio::io_context loop{1};
    Notifier changed{loop.get_executor()};
    std::set<std::size_t> let_go;
    std::optional<std::size_t> broken;
    std::optional<std::size_t> throwing;
    std::vector<std::size_t> begun;
    std::vector<std::size_t> done;
    std::vector<std::size_t> left;  // in whatever way
    std::optional<Result<void>> outcome;
    std::optional<std::string> thrown;
    TaskScope scope{loop.get_executor()};
};

TEST_F(ForEachTest, BeginsInOrderAndNeverMoreThanAllowed) {
    start(5, 2, OnFailure::cancel);
    EXPECT_THAT(begun, ElementsAre(0, 1));
    leave({1});
    EXPECT_THAT(begun, ElementsAre(0, 1, 2));
    leave({0, 2, 3});
    EXPECT_THAT(begun, ElementsAre(0, 1, 2, 3, 4));
    EXPECT_FALSE(outcome);

    leave({4});
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->has_value());
    EXPECT_EQ(done.size(), 5U);
}

TEST_F(ForEachTest, OfNothingEndsAtOnce) {
    start(0, 8, OnFailure::finish);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->has_value());
}

TEST_F(ForEachTest, AFailureCancelsWhatIsUnderWay) {
    broken = 1;
    start(9, 3, OnFailure::cancel);
    leave({1});
    ASSERT_TRUE(outcome);
    ASSERT_FALSE(outcome->has_value());
    EXPECT_EQ(outcome->error().detail, "1");
    EXPECT_THAT(begun, ElementsAre(0, 1, 2));
    EXPECT_EQ(left.size(), 3U) << "something still ran when it was over";
    EXPECT_THAT(done, IsEmpty());
}

TEST_F(ForEachTest, AFailureLetsWhatIsUnderWayFinish) {
    broken = 1;
    start(9, 3, OnFailure::finish);
    leave({1});
    EXPECT_FALSE(outcome);
    leave({0});
    EXPECT_FALSE(outcome);
    leave({2});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->error().detail, "1");
    EXPECT_THAT(begun, ElementsAre(0, 1, 2));
    EXPECT_THAT(done, ElementsAre(0, 2));
}

TEST_F(ForEachTest, WhatIsThrownIsThrownOnceEverythingHasEnded) {
    throwing = 0;
    start(4, 2, OnFailure::finish);
    leave({0});
    EXPECT_FALSE(thrown);
    leave({1});
    EXPECT_EQ(thrown, "0");
    EXPECT_THAT(begun, ElementsAre(0, 1));
    EXPECT_FALSE(outcome);
}

TEST_F(ForEachTest, OfManyThatEndAtOnceAllAreDone) {
    scope.spawn("for each", run_at_once(this, 1000, 16));
    loop.poll();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(done.size(), 1000U);
}

TEST_F(ForEachTest, ACancellationCancelsWhatIsUnderWayAndIsThrown) {
    start(9, 3, OnFailure::finish);
    scope.request_stop();
    loop.poll();
    EXPECT_EQ(left.size(), 3U);
    EXPECT_THAT(begun, ElementsAre(0, 1, 2));
    EXPECT_FALSE(outcome) << "whoever awaits it must not go on";
    EXPECT_EQ(scope.running(), 0U);
}

}  // namespace
}  // namespace lovage
