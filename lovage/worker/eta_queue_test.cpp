#include <lovage/worker/eta_queue.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

TimePoint at(std::chrono::seconds offset) {
    return TimePoint{offset};
}

TEST(EtaQueue, ReleasesTasksInDueOrderNotArrivalOrder) {
    EtaQueue<std::string> queue{10};
    ASSERT_TRUE(queue.push("late", at(9s)));
    ASSERT_TRUE(queue.push("early", at(2s)));

    EXPECT_THAT(queue.pop_due(at(9s)), ElementsAre("early", "late"));
}

TEST(EtaQueue, KeepsTasksThatAreNotDueYet) {
    EtaQueue<std::string> queue{10};
    ASSERT_TRUE(queue.push("later", at(5s)));

    EXPECT_THAT(queue.pop_due(at(4s)), IsEmpty());
    EXPECT_EQ(queue.next_due(), at(5s));
    EXPECT_EQ(queue.size(), 1U);
}

TEST(EtaQueue, ReleasesTasksOfTheSameMomentInArrivalOrder) {
    EtaQueue<std::string> queue{10};
    ASSERT_TRUE(queue.push("first", at(1s)));
    ASSERT_TRUE(queue.push("second", at(1s)));

    EXPECT_THAT(queue.pop_due(at(1s)), ElementsAre("first", "second"));
}

TEST(EtaQueue, LeavesTheTaskAloneWhenFull) {
    EtaQueue<std::string> queue{1};
    ASSERT_TRUE(queue.push("held", at(1s)));
    std::string refused = "refused";

    EXPECT_TRUE(queue.full());
    EXPECT_FALSE(queue.push(std::move(refused), at(1s)));
    EXPECT_EQ(refused, "refused");
}

TEST(EtaQueue, GivesEverythingBackAtTheEnd) {
    EtaQueue<std::string> queue{10};
    ASSERT_TRUE(queue.push("b", at(2s)));
    ASSERT_TRUE(queue.push("a", at(1s)));

    EXPECT_THAT(queue.take_all(), ElementsAre("a", "b"));
    EXPECT_EQ(queue.next_due(), std::nullopt);
}

}  // namespace
}  // namespace lovage
