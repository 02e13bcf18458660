#include <lovage/worker/prefork/slot_state.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

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
    EXPECT_EQ(slot.end(first + 1, at(1s)), nullptr) << "no such attempt";
    EXPECT_EQ(slot.end(first, at(1s)), request);
    EXPECT_EQ(slot.end(first, at(1s)), nullptr) << "it has ended already";
    EXPECT_TRUE(slot.idle());
    EXPECT_NE(slot.begin(some_request(), at(0ms)), first);
}

TEST(SlotState, KnowsWhenItsTaskMustBeKilled) {
    SlotState slot = serving();
    const auto request = some_request();
    request->time_limit = 2s;
    const std::uint64_t sequence = slot.begin(request, at(500ms));
    EXPECT_EQ(slot.kill_at(), at(2500ms));
    (void)slot.end(sequence, at(1s));
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
        (void)slot.end(slot.begin(some_request(), at(0ms)), at(1s));
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
    EXPECT_EQ(slot.end(sequence, at(1s)), request) << "what it said before its end counts";
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
    EXPECT_TRUE(slot.used_up());
    EXPECT_TRUE(slot.busy());
    EXPECT_EQ(slot.queue_max(), 0U) << "and begins no other";
    EXPECT_NE(slot.end(first, at(1s)), nullptr);
}

TEST(SlotState, BeginsWhatItIsGivenAheadAfterItsTask) {
    SlotState slot = serving();
    EXPECT_EQ(slot.queue_max(), 0U) << "it is idle";
    const auto first = some_request();
    const auto second = some_request();
    second->time_limit = 2s;
    const std::uint64_t one = slot.begin(first, at(0ms));
    const std::uint64_t two = slot.queue(second);
    EXPECT_EQ(slot.given(), two);
    EXPECT_EQ(slot.sequence(), one);
    EXPECT_TRUE(slot.has_queued(second));
    EXPECT_FALSE(slot.has_queued(first));
    EXPECT_EQ(slot.end(two, at(1s)), nullptr) << "out of turn";
    EXPECT_EQ(slot.end(one, at(1s)), first);
    EXPECT_EQ(slot.running(), second);
    EXPECT_EQ(slot.began(), at(1s));
    EXPECT_EQ(slot.kill_at(), at(3s));
    EXPECT_EQ(slot.end(two, at(2s)), second);
    EXPECT_TRUE(slot.idle());
}

TEST(SlotState, GivesBackWhatHasNotBegun) {
    SlotState slot = serving();
    Claims claims{};
    const auto running = some_request();
    const std::vector requests{some_request(), some_request(), some_request()};
    const std::uint64_t one = slot.begin(running, at(0ms));
    claims.give(one);
    for (const auto& request : requests) claims.give(slot.queue(request));
    ASSERT_EQ(claims.begin(one), Claims::Answer::begin);
    ASSERT_EQ(claims.begin(one + 1), Claims::Answer::begin);
    EXPECT_THAT(slot.take_back(claims), testing::ElementsAre(requests[1], requests[2]));
    EXPECT_EQ(claims.begin(one + 2), Claims::Answer::taken_back);
    EXPECT_EQ(slot.queued(), 1U) << "that one has begun, and its end is on its way";
    const auto last = some_request();
    const std::uint64_t later = slot.queue(last);
    EXPECT_EQ(later, one + 4) << "no number is given twice";
    EXPECT_EQ(slot.end(one, at(1ms)), running);
    EXPECT_EQ(slot.end(one + 1, at(2ms)), requests[0]);
    EXPECT_EQ(slot.sequence(), later);
    EXPECT_EQ(slot.running(), last);
    EXPECT_THAT(slot.take_back(claims), testing::IsEmpty());
}

TEST(SlotState, GivesBackNothingThatBeginsMeanwhile) {
    constexpr std::uint64_t kAhead = 16;
    int both_had_some = 0;
    for (int round = 0; round < 2000; ++round) {
        SlotState slot = serving();
        Claims claims{};
        const std::uint64_t one = slot.begin(some_request(), at(0ms));
        for (std::uint64_t i = 0; i < kAhead; ++i) claims.give(slot.queue(some_request()));
        std::atomic<bool> go{false};
        std::uint64_t begun = 0;
        std::thread process{[&] {
            while (!go.load()) {
            }
            for (std::uint64_t attempt = one + 1; attempt <= one + kAhead; ++attempt) {
                begun += claims.begin(attempt) == Claims::Answer::begin ? 1 : 0;
            }
        }};
        go = true;
        const auto back = slot.take_back(claims);
        process.join();
        ASSERT_EQ(begun + back.size(), kAhead) << "each is begun or given back";
        ASSERT_EQ(slot.queued(), begun);
        both_had_some += begun > 0 && !back.empty() ? 1 : 0;
    }
    RecordProperty("rounds_in_which_both_had_some", both_had_some);
}

TEST(SlotState, ThatIsGoneGivesBackWhatItHasNotBegun) {
    SlotState slot = serving();
    Claims claims{};
    const std::vector requests{some_request(), some_request(), some_request()};
    const std::uint64_t one = slot.begin(requests[0], at(0ms));
    claims.give(one);
    for (std::size_t i = 1; i < 3; ++i) claims.give(slot.queue(requests[i]));
    ASSERT_EQ(claims.begin(one), Claims::Answer::begin);
    ASSERT_EQ(claims.begin(one + 1), Claims::Answer::begin);
    EXPECT_EQ(slot.ended(), requests[0]);
    EXPECT_THAT(slot.take_back(claims), testing::ElementsAre(requests[2]));
    EXPECT_THAT(slot.lost(), testing::ElementsAre(requests[1])) << "nobody heard of its end";
    EXPECT_EQ(slot.queued(), 0U);
}

TEST(SlotState, HasANumberForEachAttemptThatCouldBegin) {
    SlotState slot = serving();
    Claims claims{};
    (void)slot.begin(some_request(), at(0ms));
    for (std::uint64_t taken_back = 0; taken_back < Claims::kOpen - 1; ++taken_back) {
        ASSERT_EQ(slot.queue_max(), Claims::kOpen - 1 - taken_back);
        claims.give(slot.queue(some_request()));
        ASSERT_EQ(slot.take_back(claims).size(), 1U);
    }
    EXPECT_EQ(slot.queue_max(), 0U) << "the next would need the cell of the one that runs";
}

TEST(SlotState, TakesNoMoreThanItMayRun) {
    SlotState slot = serving(3);
    (void)slot.begin(some_request(), at(0ms));
    EXPECT_EQ(slot.queue_max(), 2U);
    slot.killed(KillReason::time_limit);
    EXPECT_EQ(slot.queue_max(), 0U) << "it will not be there long enough";
}

}  // namespace
}  // namespace lovage::slot
