#include "schedule.hpp"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::torture {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

std::vector<std::string> words(const std::vector<PlannedFault>& schedule) {
    std::vector<std::string> lines;
    for (const PlannedFault& fault : schedule) lines.push_back(describe(fault));
    return lines;
}

TEST(Schedule, IsAFunctionOfItsSeed) {
    const Plan plan{.stack = Stack::rabbitmq, .tasks = 1000, .faults = 50, .seed = 7};
    Plan other = plan;
    other.seed = 8;
    EXPECT_EQ(words(make_schedule(plan)), words(make_schedule(plan)));
    EXPECT_NE(words(make_schedule(plan)), words(make_schedule(other)));
}

/// What a seed means must not change unseen: old reports could not be repeated.
TEST(Schedule, OfASeedStaysTheSame) {
    const auto schedule =
        make_schedule({.stack = Stack::sqlite, .tasks = 600, .faults = 5, .seed = 1});
    EXPECT_THAT(words(schedule),
                ElementsAre("kill -9 of a worker", "kill -9 of a slot", "kill -9 of a slot",
                            "SIGSTOP of a slot for 1.2 s", "kill -9 of a worker"));
}

TEST(Schedule, SpreadsItsTasksOverTheTimeOfItsFaults) {
    const auto schedule =
        make_schedule({.stack = Stack::sqlite, .tasks = 4'000'000'000, .faults = 3, .seed = 1});
    // Three kills: four times the same time between them.
    EXPECT_EQ(length_of(schedule), 12s);
    ASSERT_EQ(schedule.size(), 3U);
    EXPECT_EQ(schedule[0].after, 1'000'000'000U);
    EXPECT_EQ(schedule[2].after, 3'000'000'000U);
}

TEST(Schedule, HasEveryKindOfItsStackAndNoOther) {
    for (const Stack stack : {Stack::rabbitmq, Stack::sqlite}) {
        std::set<FaultKind> found;
        for (const auto& fault :
             make_schedule({.stack = stack, .tasks = 1000, .faults = 100, .seed = 3})) {
            found.insert(fault.kind);
        }
        const auto kinds = kinds_of(stack);
        EXPECT_EQ(found, std::set<FaultKind>(kinds.begin(), kinds.end())) << to_string(stack);
    }
}

TEST(Schedule, IsSlowOnlyEveryTenthTime) {
    const auto schedule =
        make_schedule({.stack = Stack::sqlite, .tasks = 1000, .faults = 100, .seed = 5});
    EXPECT_EQ(std::ranges::count(schedule, FaultKind::suspend_worker, &PlannedFault::kind), 10);
    EXPECT_EQ(schedule[9].kind, FaultKind::suspend_worker);
}

}  // namespace
}  // namespace lovage::torture
