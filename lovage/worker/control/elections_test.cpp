#include <lovage/worker/control/elections.hpp>

#include <string>

#include <gtest/gtest.h>

namespace lovage::control {
namespace {

TEST(Elections, ALoneCandidateIsNotAcknowledged) {
    Elections elections;
    EXPECT_EQ(elections.heard("a", "w1@h.7"), 0U);
    EXPECT_EQ(elections.heard("a", "w1@h.7"), 0U);
}

TEST(Elections, WithTheSecondCandidateBothAreAndThenEach) {
    Elections elections;
    EXPECT_EQ(elections.heard("a", "w1@h.7"), 0U);
    EXPECT_EQ(elections.heard("b", "w2@h.8"), 0U);
    EXPECT_EQ(elections.heard("a", "w2@h.8"), 2U);
    EXPECT_EQ(elections.heard("a", "w3@h.9"), 1U);
    EXPECT_EQ(elections.heard("b", "w3@h.9"), 2U);
}

TEST(Elections, OnlyTheLatestAreRemembered) {
    Elections elections;
    for (std::size_t i = 0; i <= Elections::kRemembered; ++i) {
        EXPECT_EQ(elections.heard(std::to_string(i), "w1@h.7"), 0U);
    }
    EXPECT_EQ(elections.heard("1", "w2@h.8"), 2U);
    EXPECT_EQ(elections.heard("0", "w2@h.8"), 0U);
}

}  // namespace
}  // namespace lovage::control
