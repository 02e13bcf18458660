#include <lovage/app/router.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

TEST(Router, TheFirstMatchingPatternDecides) {
    const Router router{{{"video.*", {"video", std::nullopt}}, {"*", {"rest", 3}}}};
    EXPECT_EQ(router.route("video.encode").queue, "video");
    EXPECT_EQ(router.route("mail.send").queue, "rest");
    EXPECT_EQ(router.route("mail.send").priority, 3);
}

TEST(Router, AnExactNameBeatsAPatternThatStandsBeforeIt) {
    const Router router{{{"video.*", {"video", {}}}, {"video.thumbnail", {"fast", {}}}}};
    EXPECT_EQ(router.route("video.thumbnail").queue, "fast");
}

TEST(Router, NoMatchIsNoOpinion) {
    EXPECT_EQ(Router{}.route("anything").queue, "");
}

TEST(GlobMatches, StarsMatchAnyRunAndQuestionMarksOneCharacter) {
    EXPECT_TRUE(glob_matches("a*c", "abbbc"));
    EXPECT_TRUE(glob_matches("a*c", "ac"));
    EXPECT_TRUE(glob_matches("*.report.*", "shop.report.daily"));
    EXPECT_TRUE(glob_matches("job-??", "job-42"));
    EXPECT_FALSE(glob_matches("job-??", "job-4"));
    EXPECT_FALSE(glob_matches("a*c", "abbbd"));
    EXPECT_TRUE(glob_matches("**", ""));
    EXPECT_FALSE(glob_matches("", "x"));
}

TEST(GlobMatches, ManyStarsStayQuick) {
    const std::string text(2'000, 'a');
    EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*a*b", text));
}

}  // namespace
}  // namespace lovage
