#include <lovage/worker/soft_limits.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

SoftLimits::Time at(std::chrono::seconds time) {
    return SoftLimits::Time{} + time;
}

SoftLimits::RequestPtr request(std::optional<std::chrono::seconds> limit) {
    auto made = std::make_shared<TaskRequest>();
    made->soft_time_limit = limit;
    return made;
}

TEST(SoftLimits, PassInOrder) {
    SoftLimits limits;
    const auto slow = request(9s);
    const auto fast = request(2s);
    limits.started(slow, at(0s));
    limits.started(fast, at(1s));

    EXPECT_EQ(limits.next(), at(3s));
    EXPECT_THAT(limits.pop_passed(at(2s)), IsEmpty());
    EXPECT_THAT(limits.pop_passed(at(9s)), ElementsAre(fast, slow));
    EXPECT_EQ(limits.next(), std::nullopt);
}

TEST(SoftLimits, AttemptsThatEndedAreForgotten) {
    SoftLimits limits;
    const auto done = request(2s);
    const auto other = request(2s);
    limits.started(done, at(0s));
    limits.started(other, at(0s));
    limits.ended(done);
    limits.ended(done);
    EXPECT_THAT(limits.pop_passed(at(5s)), ElementsAre(other));
}

TEST(SoftLimits, TasksWithoutOneAreLeftAlone) {
    SoftLimits limits;
    const auto free = request(std::nullopt);
    limits.started(free, at(0s));
    EXPECT_EQ(limits.next(), std::nullopt);
    limits.ended(free);
}

}  // namespace
}  // namespace lovage
