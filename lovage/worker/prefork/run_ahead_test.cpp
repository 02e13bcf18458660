#include <lovage/worker/prefork/run_ahead.hpp>

#include <gtest/gtest.h>

namespace lovage::slot {
namespace {

using namespace std::chrono_literals;

TEST(RunAhead, GivesNothingAheadBeforeATaskHasEnded) {
    EXPECT_EQ(RunAhead{}.depth(), 0U);
}

TEST(RunAhead, GivesAsManyAsRunInAMillisecond) {
    RunAhead ahead;
    ahead.on_task_ended(10us);
    EXPECT_EQ(ahead.depth(), RunAhead::kMost);
    ahead = {};
    ahead.on_task_ended(240us);
    EXPECT_EQ(ahead.depth(), 4U);
    ahead = {};
    ahead.on_task_ended(2ms);
    EXPECT_EQ(ahead.depth(), 0U);
}

TEST(RunAhead, NoticesThatTasksHaveBecomeLong) {
    RunAhead ahead;
    for (int task = 0; task < 100; ++task) ahead.on_task_ended(0us);
    EXPECT_EQ(ahead.depth(), RunAhead::kMost);
    ahead.on_late();
    EXPECT_EQ(ahead.depth(), 0U);
    for (int task = 0; task < 100; ++task) ahead.on_task_ended(0us);
    EXPECT_EQ(ahead.depth(), RunAhead::kMost) << "and short again";
}

}  // namespace
}  // namespace lovage::slot
