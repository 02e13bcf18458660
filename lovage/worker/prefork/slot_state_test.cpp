#include <lovage/worker/prefork/slot_state.hpp>

#include <gtest/gtest.h>

namespace lovage::slot {
namespace {

using namespace std::chrono_literals;
using Clock = SlotState::Clock;

Clock::time_point at(std::chrono::milliseconds time) {
    return Clock::time_point{time};
}

std::shared_ptr<TaskRequest> some_request() {
    return std::make_shared<TaskRequest>();
}

SlotState serving(std::size_t tasks_max = 0) {
    SlotState slot{tasks_max};
    EXPECT_TRUE(slot.ready());
    return slot;
}

TEST(SlotState, IsIdleOnceItIsReady) {
    SlotState slot;
    EXPECT_FALSE(slot.idle());
    EXPECT_TRUE(slot.ready());
    EXPECT_TRUE(slot.idle());
    EXPECT_FALSE(slot.ready()) << "nobody is ready twice";
}

TEST(SlotState, RunsOneRequestAtATime) {
    SlotState slot = serving();
    const auto request = some_request();
    const std::uint64_t first = slot.begin(request, at(0ms));
    EXPECT_FALSE(slot.idle());
    EXPECT_TRUE(slot.busy());
    EXPECT_EQ(slot.end(first + 1), nullptr) << "no such attempt";
    EXPECT_EQ(slot.end(first), request);
    EXPECT_EQ(slot.end(first), nullptr) << "it has ended already";
    EXPECT_TRUE(slot.idle());
    EXPECT_NE(slot.begin(some_request(), at(0ms)), first);
}

TEST(SlotState, KnowsWhenItsTaskMustBeKilled) {
    SlotState slot = serving();
    const auto request = some_request();
    request->time_limit = 2s;
    const std::uint64_t sequence = slot.begin(request, at(500ms));
    EXPECT_EQ(slot.kill_at(), at(2500ms));
    (void)slot.end(sequence);
    EXPECT_EQ(slot.kill_at(), std::nullopt);
    (void)slot.begin(some_request(), at(0ms));
    EXPECT_EQ(slot.kill_at(), std::nullopt) << "a limit is its request's only";
}

TEST(SlotState, MustBeReadyAndGoneInTime) {
    SlotState slot{0, at(120s)};
    EXPECT_EQ(slot.kill_at(), at(120s));
    EXPECT_TRUE(slot.ready());
    EXPECT_EQ(slot.kill_at(), std::nullopt) << "what serves may be idle for ever";
    slot.leave(at(300s));
    EXPECT_EQ(slot.kill_at(), at(300s));
    (void)slot.ended();
    EXPECT_EQ(slot.kill_at(), std::nullopt);
}

TEST(SlotState, IsUsedUpAfterAsManyTasksAsItMayRun) {
    SlotState slot = serving(2);
    for (int i = 0; i < 2; ++i) {
        EXPECT_FALSE(slot.used_up());
        (void)slot.end(slot.begin(some_request(), at(0ms)));
    }
    EXPECT_TRUE(slot.used_up());
    slot.leave(at(30s));
    EXPECT_FALSE(slot.idle());
}

TEST(SlotState, TheFirstReasonToKillCounts) {
    SlotState slot = serving();
    slot.killed(KillReason::time_limit);
    slot.killed(KillReason::misbehaved);
    EXPECT_EQ(slot.kill_reason(), KillReason::time_limit);
    EXPECT_FALSE(slot.idle()) << "it will not be there long enough";
}

TEST(SlotState, ThatWasAskedWhereItIsMustBeGoneSoon) {
    SlotState slot = serving();
    const auto request = some_request();
    request->time_limit = 1s;
    const std::uint64_t sequence = slot.begin(request, at(0ms));
    slot.asked(KillReason::time_limit, at(1200ms));
    EXPECT_EQ(slot.kill_reason(), KillReason::time_limit);
    EXPECT_EQ(slot.kill_at(), at(1200ms));
    EXPECT_EQ(slot.end(sequence), request) << "what it said before its end counts";
    EXPECT_EQ(slot.kill_at(), at(1200ms)) << "and does not save it";
    EXPECT_FALSE(slot.idle());
    slot.killed(KillReason::misbehaved);
    EXPECT_EQ(slot.kill_reason(), KillReason::time_limit);
    EXPECT_EQ(slot.kill_at(), std::nullopt);
}

TEST(SlotState, ThatIsDyingHasNoMoreTimeWhenItIsAskedAgain) {
    SlotState slot = serving();
    (void)slot.begin(some_request(), at(0ms));
    slot.asked(KillReason::memory, at(100ms));
    slot.asked(KillReason::time_limit, at(300ms));
    EXPECT_EQ(slot.kill_reason(), KillReason::memory);
    EXPECT_EQ(slot.kill_at(), at(100ms));
}

TEST(SlotState, TakesItsRequestAlongWhenItEnds) {
    SlotState slot = serving();
    const auto request = some_request();
    request->time_limit = 1s;
    (void)slot.begin(request, at(0ms));
    EXPECT_EQ(slot.ended(), request);
    EXPECT_EQ(slot.kill_at(), std::nullopt);
    EXPECT_EQ(slot.phase(), SlotState::Phase::ended);
    EXPECT_EQ(slot.ended(), nullptr);
}

TEST(SlotState, ThatIsToBeReplacedEndsItsTaskFirst) {
    SlotState slot = serving();
    const std::uint64_t first = slot.begin(some_request(), at(0ms));
    slot.replace();
    EXPECT_FALSE(slot.used_up());
    EXPECT_NE(slot.end(first), nullptr);
    EXPECT_TRUE(slot.used_up());
}

}  // namespace
}  // namespace lovage::slot
