#include <lovage/testing/apply.hpp>
#include <lovage/testing/manual_clock.hpp>
#include <lovage/testing/memory_settings.hpp>
#include <lovage/testing/test_worker.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/this_coro.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace kit = lovage::testing;

TEST(Apply, RunsATaskHereWithArgumentsThroughJson) {
    App app{"test", kit::memory_settings()};
    app.task("add", [](int x, int y) { return x + y; }, arg("x"), arg("y") = 10);
    EXPECT_EQ(kit::apply(app, "add", Json::array({2})).get<int>(), 12);
    EXPECT_EQ(kit::apply(app, "add", Json::array({2}), Json::object({{"y", 3}})).get<int>(), 5);

    const auto wrong = kit::apply(app, "add", Json::array({"two"}));
    EXPECT_EQ(wrong.state, "FAILURE");
    EXPECT_EQ(wrong.failure->exc_type, "TypeError");
    EXPECT_THROW((void)wrong.get<int>(), LovageError);
    const auto sum = kit::apply(app, "add", Json::array({2}));
    try {
        (void)sum.get<std::vector<int>>();
        FAIL() << "12 is no list";
    } catch (const LovageError& error) {
        EXPECT_EQ(error.error().detail,
                  "the result is no list of int: expected list of int, received int 12");
    }
}

TEST(Apply, FollowsRetriesAndTellsTheWaits) {
    App app{"test", kit::memory_settings()};
    app.task("flaky", [](TaskContext& context) {
        if (context.retries() < 2) context.retry({.countdown = (context.retries() + 1) * 5s});
        return context.retries();
    });
    const kit::ManualClock clock{TimePoint{1'000s}};
    const auto applied = kit::apply(app, "flaky");
    EXPECT_EQ(applied.get<int>(), 2);
    EXPECT_EQ(applied.retries, 2);
    EXPECT_THAT(applied.waits, ElementsAre(5s, 10s));

    const auto first =
        kit::apply(app, "flaky", Json::array(), Json::object(), {.follow_retries = false});
    EXPECT_EQ(first.state, "RETRY");
    EXPECT_EQ(kit::apply(app, "flaky", Json::array(), Json::object(), {.retries = 7}).get<int>(),
              7);
}

TEST(Apply, ShowsReportsIgnoreAndReject) {
    App app{"test", kit::memory_settings()};
    app.task("reports", [](TaskContext& context) {
        context.update_state("PROGRESS", 1);
        context.update_state("PROGRESS", 2);
        context.send_event("task-noticed", Json::object({{"what", "it"}}));
        throw Ignore{};
    });
    app.task("rejects", [] { throw Reject{.reason = "no"}; });
    const auto applied = kit::apply(app, "reports");
    EXPECT_EQ(applied.state, "IGNORED");
    ASSERT_EQ(applied.reports.size(), 2U);
    EXPECT_EQ(applied.reports[1].meta, Json{2});
    ASSERT_EQ(applied.events.size(), 1U);
    EXPECT_EQ(applied.events[0].type, "task-noticed");
    EXPECT_EQ(applied.events[0].fields, Json::object({{"what", "it"}}));
    EXPECT_EQ(kit::apply(app, "rejects").state, "REJECTED");
}

TEST(Apply, RunsCoroutines) {
    App app{"test", kit::memory_settings()};
    app.task("twice", [](int x) -> Awaitable<int> { co_return 2 * x; }, arg("x"));
    EXPECT_EQ(kit::apply(app, "twice", Json::array({4})).get<int>(), 8);
}

TEST(Apply, NamesATaskThatIsNotThere) {
    App app{"test", kit::memory_settings()};
    try {
        (void)kit::apply(app, "nobody");
        FAIL() << "ran";
    } catch (const LovageError& error) {
        EXPECT_EQ(error.code(), Errc::not_registered);
        EXPECT_THAT(error.what(), HasSubstr("'nobody'"));
    }
}

TEST(TestWorker, ServesUntilItsEnd) {
    App app{"test", kit::memory_settings()};
    auto add = app.task("add", [](int x, int y) { return x + y; }, arg("x"), arg("y"));
    const kit::TestWorker worker{app};
    EXPECT_EQ(add.delay(2, 3).get(10s), 5);
}

TEST(TestWorker, SaysWhyItCannotStart) {
    Settings settings = kit::memory_settings();
    settings.task_acks_late = false;
    App app{"test", settings};
    EXPECT_THROW(kit::TestWorker{app}, LovageError);
}

TEST(ManualClock, StandsUntilItIsMoved) {
    {
        kit::ManualClock clock{TimePoint{100s}};
        EXPECT_EQ(wall_clock_now(), TimePoint{100s});
        clock.advance(1h);
        EXPECT_EQ(wall_clock_now(), TimePoint{3'700s});
    }
    EXPECT_GT(wall_clock_now(), TimePoint{1'000'000'000s});
}

}  // namespace
}  // namespace lovage
