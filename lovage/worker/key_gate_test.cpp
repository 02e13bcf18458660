#include <lovage/core/task_function.hpp>
#include <lovage/worker/key_gate.hpp>
#include <lovage/worker/places.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using Places = std::vector<std::optional<StateEntry>>;

std::optional<StateEntry> held_by(std::string value) {
    return StateEntry{std::move(value), 1};
}

TEST(Places, OneThatIsFreeIsChosen) {
    EXPECT_EQ(choose_place({std::nullopt}, "me", 7), 0U);
    EXPECT_EQ(choose_place({held_by("a"), std::nullopt, held_by("b")}, "me", 0), 1U);
    EXPECT_EQ(choose_place({std::nullopt, std::nullopt, std::nullopt}, "me", 5), 2U);
    EXPECT_EQ(choose_place({held_by("a"), held_by("b")}, "me", 0), std::nullopt);
}

TEST(Places, OneThatWasTakenUnheardIsFoundAgain) {
    EXPECT_EQ(choose_place({std::nullopt, held_by("a"), held_by("me")}, "me", 0), 2U);
}

TEST(Places, AreNamedByTaskAndKey) {
    TaskDefinition task = make_task_definition("sync", [](int, int) {}, arg("account"), arg("n"));
    const Json none = Json::object();
    EXPECT_FALSE(place_call(task, Json::array({1, 2}), none)) << "no limit";
    task.options.concurrency_limit = ConcurrencyLimit{3, per("account")};
    const auto call = place_call(task, Json::array({1, 2}), none);
    ASSERT_TRUE(call);
    EXPECT_TRUE(call->key.starts_with("concurrency/sync/"));
    EXPECT_EQ(call->most, 3U);
    EXPECT_EQ(call->key, place_call(task, Json::array({1, 3}), none)->key);
    EXPECT_NE(call->key, place_call(task, Json::array({2, 2}), none)->key);
    EXPECT_FALSE(place_call(task, Json::array({1}), none)) << "wrong arguments";
    task.options.concurrency_limit = ConcurrencyLimit{};
    EXPECT_EQ(place_call(task, Json::array({1, 2}), none)->key,
              place_call(task, Json::array({2, 3}), none)->key);
}

TEST(StateAfter, IsWhatTheTasksResultSays) {
    const AckRules rules;
    const auto after = [&](Ending ending) {
        TaskOutcome outcome;
        outcome.ending = ending;
        return state_after(outcome, rules);
    };
    EXPECT_EQ(after(Ending::succeeded), states::kSuccess);
    EXPECT_EQ(after(Ending::ignored), states::kSuccess);
    EXPECT_EQ(after(Ending::failed), states::kFailure);
    EXPECT_EQ(after(Ending::timed_out), states::kFailure);
    EXPECT_EQ(after(Ending::rejected), states::kFailure);
    EXPECT_EQ(after(Ending::retry), states::kRetry);
    EXPECT_EQ(after(Ending::requeued), states::kPending);
    EXPECT_EQ(after(Ending::revoked), std::nullopt);
}

TEST(StateAfter, ATaskThatTookItsSlotAlongWaitsAgainUnlessItIsGivenUp) {
    TaskOutcome outcome;
    outcome.ending = Ending::slot_lost;
    EXPECT_EQ(state_after(outcome, {.reject_on_worker_lost = true}), states::kPending);
    EXPECT_EQ(state_after(outcome, {.reject_on_worker_lost = false}), states::kFailure);
}

}  // namespace
}  // namespace lovage
