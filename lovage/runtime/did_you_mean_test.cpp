#include <lovage/runtime/did_you_mean.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace lovage {
namespace {

TEST(EditDistance, CountsEditsAndSwaps) {
    EXPECT_EQ(edit_distance("", ""), 0U);
    EXPECT_EQ(edit_distance("", "abc"), 3U);
    EXPECT_EQ(edit_distance("abc", ""), 3U);
    EXPECT_EQ(edit_distance("queue", "queue"), 0U);
    EXPECT_EQ(edit_distance("queue", "quue"), 1U);
    EXPECT_EQ(edit_distance("url", "ulr"), 1U);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
    EXPECT_EQ(edit_distance("sitting", "kitten"), 3U);
}

TEST(DidYouMean, NamesTheNearestCandidateIfOneIsNear) {
    constexpr std::array<std::string_view, 3> kCommands{"worker", "result", "status"};
    EXPECT_EQ(closest("wroker", kCommands), "worker");
    EXPECT_EQ(closest("results", kCommands), "result");
    EXPECT_EQ(closest("beat", kCommands), "");
    EXPECT_EQ(closest(std::string(1000, 'x'), kCommands), "");
    EXPECT_EQ(did_you_mean("stauts", kCommands), "; did you mean 'status'?");
    EXPECT_EQ(did_you_mean("zzz", kCommands), "");
}

}  // namespace
}  // namespace lovage
