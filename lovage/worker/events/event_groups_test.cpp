#include <lovage/worker/events/event_groups.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

// What Celery's workers, with and without -E, were recorded answering to `enable_events` and
// `disable_events`, twice each: true is "enabled" or "disabled", false "already …".

TEST(EventGroups, TaskEventsAreSwitchedOnAndOff) {
    EventGroups groups{false};
    EXPECT_FALSE(groups.tasks());
    EXPECT_TRUE(groups.enable_tasks());
    EXPECT_TRUE(groups.tasks());
    EXPECT_FALSE(groups.enable_tasks());
    EXPECT_TRUE(groups.disable_tasks());
    EXPECT_FALSE(groups.tasks());
    EXPECT_FALSE(groups.disable_tasks());
}

TEST(EventGroups, OfAWorkerStartedWithThemTheyCannotBeSwitchedOff) {
    EventGroups groups{true};
    EXPECT_FALSE(groups.enable_tasks());
    EXPECT_FALSE(groups.disable_tasks());
    EXPECT_TRUE(groups.tasks());
}

}  // namespace
}  // namespace lovage
