#include <lovage/worker/events/event_groups.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

// The words were recorded: captures of `enable_events` and `disable_events`, twice each, of workers
// with and without -E.

TEST(EventGroups, TaskEventsAreSwitchedOnAndOff) {
    EventGroups groups{false};
    EXPECT_FALSE(groups.tasks());
    EXPECT_EQ(groups.enable_tasks(), "task events enabled");
    EXPECT_TRUE(groups.tasks());
    EXPECT_EQ(groups.enable_tasks(), "task events already enabled");
    EXPECT_EQ(groups.disable_tasks(), "task events disabled");
    EXPECT_FALSE(groups.tasks());
    EXPECT_EQ(groups.disable_tasks(), "task events already disabled");
}

TEST(EventGroups, OfAWorkerStartedWithThemTheyCannotBeSwitchedOff) {
    EventGroups groups{true};
    EXPECT_EQ(groups.enable_tasks(), "task events already enabled");
    EXPECT_EQ(groups.disable_tasks(), "task events already disabled");
    EXPECT_TRUE(groups.tasks());
}

}  // namespace
}  // namespace lovage
