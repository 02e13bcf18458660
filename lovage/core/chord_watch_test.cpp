#include <lovage/core/chord_watch.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> steps_of(const ChordMember& member) {
    return steps_before({member});
}

TEST(ChordWatch, TellsTheMembersOfAChordFromTheirResults) {
    const Json members = Json::raw(R"([
        [["a", null], null],
        [["last", [["middle", [["first", null], null]], null]], null],
        [["inner", null], [[["b", null], null], [["c", null], null]]],
        [["body", [["header", null], [[["d", null], null]]]], null]])");
    const Json body = Json::raw(R"({"task": "sum"})");
    const Json text = Json::raw(to_json_text(encode_chord_watch(body, "root", members)));
    const auto watch = read_chord_watch(text);
    ASSERT_TRUE(watch) << watch.error().message();
    EXPECT_EQ(watch->root_id, "root");
    EXPECT_EQ(to_json_text(watch->body), R"({"task": "sum"})");
    ASSERT_EQ(watch->members.size(), 5U);
    EXPECT_EQ(watch->members[0].task_id, "a");
    EXPECT_EQ(watch->members[0].index, 0);
    EXPECT_EQ(watch->members[1].task_id, "last");
    EXPECT_THAT(steps_of(watch->members[1]), ElementsAre("middle", "first"));
    EXPECT_EQ(watch->members[1].group, "");
    EXPECT_EQ(watch->members[2].task_id, "b");
    EXPECT_EQ(watch->members[3].index, 2);
    EXPECT_EQ(watch->members[4].task_id, "body");
    EXPECT_THAT(steps_of(watch->members[4]), IsEmpty());
    EXPECT_EQ(watch->members[4].group, "header");
}

TEST(ChordWatch, WhatLeadsToAGroupLeadsToItsMembers) {
    const Json members = Json::raw(R"([
        [["outer", [["second", [["first", null], null]], null]],
         [[["a", null], null],
          [["c", [["b", null], null]], null],
          [["inner", [["d", null], null]], [[["e", null], null]]]]]])");
    const auto watch = read_chord_watch(encode_chord_watch(Json::object(), "", members));
    ASSERT_TRUE(watch) << watch.error().message();
    ASSERT_EQ(watch->members.size(), 3U);
    EXPECT_EQ(watch->members[0].task_id, "a");
    EXPECT_THAT(steps_of(watch->members[0]), ElementsAre("second", "first"));
    EXPECT_EQ(watch->members[1].task_id, "c");
    EXPECT_THAT(steps_of(watch->members[1]), ElementsAre("b", "second", "first"));
    EXPECT_EQ(watch->members[2].task_id, "e");
    EXPECT_THAT(steps_of(watch->members[2]), ElementsAre("d", "second", "first"));
}

TEST(ChordWatch, StepsBeforeAGroupAreSharedByItsMembers) {
    constexpr int kSteps = 20;
    constexpr int kMembers = 500;
    std::string way = "null";
    for (int i = 0; i < kSteps; ++i) {
        way = "[[\"step" + std::to_string(i) + "\", " + way + "], null]";
    }
    std::string inner;
    for (int i = 0; i < kMembers; ++i) {
        inner += (i == 0 ? "" : ", ") + std::string{"[[\"m"} + std::to_string(i) +
                 "\", [[\"own\", null], null]], null]";
    }
    const Json members = Json::raw("[[[\"g\", " + way + "], [" + inner + "]]]");
    const auto watch = read_chord_watch(encode_chord_watch(Json::object(), "", members));
    ASSERT_TRUE(watch) << watch.error().message();
    ASSERT_EQ(watch->members.size(), std::size_t{kMembers});
    EXPECT_EQ(steps_of(watch->members.back()).size(), std::size_t{kSteps} + 1);
    EXPECT_EQ(steps_before(watch->members).size(), std::size_t{kSteps} + 1);
    EXPECT_EQ(watch->members.front().before->before, watch->members.back().before->before);
}

TEST(ChordWatch, MayNotKnowTheMembers) {
    const auto watch = read_chord_watch(encode_chord_watch(Json::object(), "", {}));
    ASSERT_TRUE(watch);
    EXPECT_THAT(watch->members, IsEmpty());
}

TEST(ChordWatch, RefusesWhatItCannotRead) {
    for (const auto* const text :
         {"{}", "[]", "1", R"({"body": {}, "root_id": 1, "members": null})",
          R"({"body": {}, "root_id": "", "members": 1})",
          R"({"body": {}, "root_id": "", "members": [["a", null]]})",
          R"({"body": {}, "root_id": "", "members": [[[1, null], null]]})"}) {
        EXPECT_FALSE(read_chord_watch(Json::raw(text))) << text;
    }
}

}  // namespace
}  // namespace lovage
