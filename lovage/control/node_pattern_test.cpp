#include <lovage/control/node_pattern.hpp>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace lovage {
namespace {

bool glob(const std::string& pattern, std::string_view node) {
    return value_or_throw(node_matches(NodeMatcher::glob, pattern, node));
}

bool regex(const std::string& pattern, std::string_view node) {
    return value_or_throw(node_matches(NodeMatcher::pcre, pattern, node));
}

TEST(NodePattern, ReadsGlobsAsFnmatchDoes) {
    EXPECT_TRUE(glob("worker*", "worker@capture"));
    EXPECT_TRUE(glob("*@capture", "worker@capture"));
    EXPECT_TRUE(glob("w*r*@c*e", "worker@capture"));
    EXPECT_TRUE(glob("worker?@host", "worker2@host"));
    EXPECT_FALSE(glob("worker", "worker@capture"));
    EXPECT_FALSE(glob("WORKER*", "worker@capture"));
    EXPECT_FALSE(glob("", "w"));
    EXPECT_TRUE(glob("*", ""));
}

TEST(NodePattern, ReadsClassesAsFnmatchDoes) {
    EXPECT_TRUE(glob("w[0-4]@h", "w3@h"));
    EXPECT_FALSE(glob("w[0-4]@h", "w5@h"));
    EXPECT_TRUE(glob("w[!0-4]@h", "w5@h"));
    EXPECT_TRUE(glob("w[abc]*", "wb@h"));
    EXPECT_TRUE(glob("w[]]@h", "w]@h"));
    EXPECT_TRUE(glob("w[a-]@h", "w-@h"));
    EXPECT_TRUE(glob("w[@h", "w[@h"));  // nothing closes it
}

TEST(NodePattern, MatchesRegularExpressionsFromTheStart) {
    EXPECT_TRUE(regex("^work.*", "worker@capture"));
    EXPECT_TRUE(regex("work", "worker@capture"));
    EXPECT_FALSE(regex("orker", "worker@capture"));
    EXPECT_TRUE(regex(R"((?:w\d+|x)@h$)", "w12@h"));
    EXPECT_TRUE(regex(R"(w(?=1))", "w1@h"));
}

TEST(NodePattern, TellsWhatIsNoRegularExpression) {
    for (const char* pattern : {"(", "*a", "[a", "a{2,1}", "\\"}) {
        EXPECT_EQ(node_matches(NodeMatcher::pcre, pattern, "w@h").error().code, Errc::malformed)
            << pattern;
    }
}

TEST(NodePattern, GivesUpOnPatternsThatTakeExponentialTime) {
    const std::string node = std::string(60, 'a') + "@h";
    EXPECT_EQ(node_matches(NodeMatcher::pcre, "(a+)+$", node).error().code, Errc::too_large);
    EXPECT_EQ(node_matches(NodeMatcher::pcre, "(a|aa)+$", node).error().code, Errc::too_large);
    std::string padded = "(a+)+$";
    padded.append(kNodePatternBytesMax - padded.size(), 'b');
    EXPECT_FALSE(node_matches(NodeMatcher::pcre, padded, node).value_or(false));
    EXPECT_EQ(node_matches(NodeMatcher::pcre, padded + "b", node).error().code, Errc::too_large);
}

TEST(NodePattern, SurvivesDeepNestingAndLargeCounts) {
    const std::string deep = std::string(60, '(') + "a" + std::string(60, ')');
    EXPECT_TRUE(regex(deep, "a@h"));
    EXPECT_FALSE(node_matches(NodeMatcher::pcre, "((((a{1,999}){1,999}){1,999}){1,999})$",
                              std::string(200, 'a') + "b")
                     .value_or(false));
}

}  // namespace
}  // namespace lovage
