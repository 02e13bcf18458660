#include <lovage/core/retry_policy.hpp>

#include <limits>
#include <stdexcept>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

const RetryPolicy::Random kMost = [](std::int64_t most) { return most; };
const RetryPolicy::Random kLeast = [](std::int64_t) { return std::int64_t{0}; };

TEST(RetryPolicy, ThreeRetriesUnlessSaidOtherwise) {
    const RetryPolicy policy;
    EXPECT_FALSE(policy.used_up(2));
    EXPECT_TRUE(policy.used_up(3));
    EXPECT_FALSE(policy.used_up(3, 4));
    EXPECT_TRUE(policy.used_up(0, 0));
}

TEST(RetryPolicy, WithoutALimitNothingIsUsedUp) {
    RetryPolicy policy;
    policy.max_retries.reset();
    EXPECT_FALSE(policy.used_up(std::numeric_limits<std::int64_t>::max()));
    EXPECT_TRUE(policy.used_up(5, 5));
}

TEST(RetryPolicy, WithoutBackoffTheDefaultDelayIsTheWait) {
    const RetryPolicy policy{.default_retry_delay = 7s};
    EXPECT_EQ(policy.automatic_delay(5, kMost), 7s);
}

TEST(RetryPolicy, TheBackoffDoublesUpToItsCap) {
    RetryPolicy policy{.retry_backoff = 2s};
    policy.retry_jitter = false;
    EXPECT_EQ(policy.automatic_delay(0, kLeast), 2s);
    EXPECT_EQ(policy.automatic_delay(1, kLeast), 4s);
    EXPECT_EQ(policy.automatic_delay(5, kLeast), 64s);
    EXPECT_EQ(policy.automatic_delay(9, kLeast), 600s);
    EXPECT_EQ(policy.automatic_delay(std::numeric_limits<std::int64_t>::max(), kLeast), 600s);
}

TEST(RetryPolicy, JitterTakesAnyPartOfTheBackoff) {
    const RetryPolicy policy{.retry_backoff = 1s};
    EXPECT_EQ(policy.automatic_delay(3, kMost), 8s);
    EXPECT_EQ(policy.automatic_delay(3, kLeast), 0s);
}

TEST(RetryPolicy, NumbersWithoutSenseEndAsNoWait) {
    EXPECT_EQ((RetryPolicy{.retry_backoff = -5s}.automatic_delay(3, kMost)), 0s);
    EXPECT_EQ(
        (RetryPolicy{.retry_backoff = 5s, .retry_backoff_max = -1s}.automatic_delay(3, kMost)), 0s);
    EXPECT_EQ((RetryPolicy{.retry_backoff = 0s}.automatic_delay(1'000'000'000, kMost)), 0s);
}

TEST(RetryPolicy, ExceptionsRetryByTypeOrByName) {
    RetryPolicy policy;
    const auto error = std::make_exception_ptr(std::runtime_error{"no"});
    const TaskFailure failure{"RuntimeError", "no", "builtins", ""};
    EXPECT_FALSE(policy.retries_for(error, failure));

    policy.autoretry_for_names = {"RuntimeError"};
    EXPECT_TRUE(policy.retries_for(error, failure));

    policy.autoretry_for_names = {};
    policy.autoretry_for_types = {
        [&](const std::exception_ptr& thrown) { return thrown == error; }};
    EXPECT_TRUE(policy.retries_for(error, failure));
}

}  // namespace
}  // namespace lovage
