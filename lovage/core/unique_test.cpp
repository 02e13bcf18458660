#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_function.hpp>
#include <lovage/core/unique.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

TimePoint at(std::chrono::milliseconds time) {
    return TimePoint{std::chrono::hours{500'000} + time};
}

UniqueCall call(const Unique& unique = {}, TimePoint sent = at(0s)) {
    return {"unique/t/k", *unique_states(unique.states), unique.period, sent};
}

UniqueRecord record(std::string_view state, TimePoint sent = at(0s)) {
    return {"first", std::string{state}, sent, "somebody"};
}

TEST(Unique, AnEarlierCallCountsUntilItIsOver) {
    EXPECT_EQ(judge(std::nullopt, call(), "second"), Standing::free);
    for (const auto state : {states::kPending, states::kStarted, states::kRetry}) {
        EXPECT_EQ(judge(record(state), call(), "second"), Standing::taken) << state;
        EXPECT_EQ(judge(record(state), call(), "first"), Standing::ours) << state;
    }
    EXPECT_EQ(judge(record(states::kSuccess), call(), "second"), Standing::free);
    EXPECT_EQ(judge(record(states::kFailure), call(), "second"), Standing::free);
    EXPECT_EQ(judge(record(UniqueRecord::kSending), call(), "second"), Standing::being_sent);
}

TEST(Unique, AnyStateCanCount) {
    const UniqueCall only_success = call({.states = {states::kSuccess}});
    EXPECT_EQ(judge(record(states::kSuccess), only_success, "second"), Standing::taken);
    EXPECT_EQ(judge(record(states::kStarted), only_success, "second"), Standing::free);
    EXPECT_EQ(unique_states({states::kRevoked}), std::nullopt);
    EXPECT_EQ(unique_states({states::kPending, "SENDING"}), std::nullopt);
    EXPECT_EQ(unique_states({}), std::nullopt);
}

TEST(Unique, CallsAPeriodApartAreDifferentOnes) {
    const Unique hourly{.period = 1h};
    const auto stored = record(states::kPending, at(2h));
    EXPECT_EQ(judge(stored, call(hourly, at(2h + 59min)), "second"), Standing::taken);
    EXPECT_EQ(judge(stored, call(hourly, at(3h)), "second"), Standing::free);
    EXPECT_EQ(judge(stored, call(hourly, at(61min)), "second"), Standing::taken);
    EXPECT_EQ(judge(stored, call(hourly, at(1h)), "second"), Standing::free);
}

TEST(Unique, ARecordStaysForTheRestOfThePeriod) {
    const UniqueCall hourly = call({.period = 1h}, at(10min));
    EXPECT_EQ(unique_lifetime(hourly, 24h, at(10min)), 1h);
    EXPECT_EQ(unique_lifetime(hourly, 24h, at(40min), at(5h)), 30min);
    EXPECT_EQ(unique_lifetime(hourly, 24h, at(70min)), std::nullopt);
    EXPECT_EQ(unique_lifetime(hourly, 24h, at(0s)), 1h) << "a clock was set back";
}

TEST(Unique, WithoutAPeriodARecordStaysAsLongAsItMustAfterItsTime) {
    EXPECT_EQ(unique_lifetime(call(), 24h, at(0s)), 24h);
    EXPECT_EQ(unique_lifetime(call(), 24h, at(0s), at(2h)), 26h);
    EXPECT_EQ(unique_lifetime(call(), 24h, at(3h), at(2h)), 24h);
}

TEST(Unique, TheResultOfATaskThatIsOverSaysMoreThanItsRecord) {
    for (const auto state : {states::kPending, states::kStarted, states::kRetry}) {
        EXPECT_TRUE(is_stale(record(state), call(), states::kSuccess));
        EXPECT_TRUE(is_stale(record(state), call(), states::kFailure));
        EXPECT_FALSE(is_stale(record(state), call(), states::kStarted));
        EXPECT_FALSE(is_stale(record(state), call(), "PROGRESS"));
    }
    EXPECT_FALSE(is_stale(record(states::kStarted),
                          call({.states = {states::kStarted, states::kSuccess}}),
                          states::kSuccess));
    EXPECT_TRUE(is_stale(record(states::kPending), call(), states::kRevoked));
    EXPECT_FALSE(is_stale(record(states::kStarted), call(), states::kRevoked))
        << "it may run on, unless it was terminated";
}

TEST(Unique, RecordsReadBackAsTheyWere) {
    const UniqueRecord written{"id \"1\"", "STARTED", at(1234ms), "w@host 7"};
    const auto read = UniqueRecord::from_text(written.to_text());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->task_id, written.task_id);
    EXPECT_EQ(read->state, written.state);
    EXPECT_EQ(read->sent, written.sent);
    EXPECT_EQ(read->holder, written.holder);
}

TEST(Unique, WhatIsNoRecordIsNone) {
    for (const char* const text :
         {"", "no", "[]", "{}", R"({"task_id":"a","state":"PENDING","sent":"x","holder":""})",
          R"({"task_id":1,"state":"PENDING","sent":1,"holder":""})",
          R"({"task_id":"a","state":"PENDING","sent":-1,"holder":""})",
          R"({"task_id":"a","state":"PENDING","sent":99999999999999999999,"holder":""})"}) {
        EXPECT_FALSE(UniqueRecord::from_text(text)) << text;
    }
    EXPECT_FALSE(UniqueRecord::from_text(std::string(5000, ' ')));
}

TEST(Unique, ACallHasItsTasksKeyAndRules) {
    TaskDefinition task = make_task_definition("t", [](int, int) {}, arg("x"), arg("y") = 1);
    const Json none = Json::object();
    EXPECT_FALSE(unique_call(task, Json::array({1}), none, at(0s))) << "it is not unique";
    task.options.unique = Unique{.key = per("x"), .period = 1h, .states = {states::kSuccess}};
    const auto found = unique_call(task, Json::array({1, 2}), none, at(7s));
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->key.starts_with("unique/t/"));
    EXPECT_EQ(found, unique_call(task, Json::array({1, 3}), none, at(7s)));
    EXPECT_TRUE(found->counts(states::kSuccess));
    EXPECT_FALSE(found->counts(states::kPending));
    EXPECT_FALSE(unique_call(task, Json::array({}), none, at(0s))) << "wrong arguments";
}

}  // namespace
}  // namespace lovage
