#include <lovage/worker/chord_join.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using testing::HasSubstr;

ChordReturns returns(std::vector<ChordPart> parts, Json structure = {}) {
    return {true, std::move(parts), std::move(structure)};
}
ChordPart part(std::string id, const std::string& result, std::string state = "SUCCESS") {
    return {"g", std::nullopt, std::move(id), std::move(state), Json::raw(result)};
}

TEST(ChordJoin, ResultsAreOneListInOrder) {
    const ChordJoin join = join_chord(returns({part("a", "1.0"), part("b", R"(["x"])")}));
    EXPECT_FALSE(join.failure);
    EXPECT_EQ(to_json_text(join.results), R"([1.0, ["x"]])");
}

TEST(ChordJoin, TheFirstPartInOrderThatFailedIsTheReason) {
    const std::string failed =
        R"({"exc_type": "ValueError", "exc_message": ["part"], "exc_module": "builtins"})";
    const ChordJoin join = join_chord(
        returns({part("a", "1"), part("b", failed, "FAILURE"), part("c", failed, "FAILURE")}));
    ASSERT_TRUE(join.failure);
    // Wire: the captured text of Celery 5.2.6 and 5.6.3.
    EXPECT_EQ(join.failure->exc_message, "Dependency b raised ValueError('part')");
    EXPECT_EQ(join.failure->exc_type, "ChordError");
    EXPECT_EQ(join.failure->exc_module, "celery.exceptions");
    EXPECT_THAT(join.failure->traceback, HasSubstr("ChordError: Dependency b raised"));
}

TEST(ChordJoin, ExceptionsAreShownAsPythonShowsThem) {
    EXPECT_EQ(exception_repr(Json::raw(R"({"exc_type": "E", "exc_message": [1, "it's", null]})")),
              R"(E(1, "it's", None))");
    EXPECT_EQ(exception_repr(Json::raw(R"({"exc_type": "E", "exc_message": []})")), "E()");
    EXPECT_EQ(exception_repr(Json::raw(R"({"exc_type": "E", "exc_message": "text"})")),
              "E('text')");
    EXPECT_EQ(exception_repr(Json::raw("[1]")), "[1]");
}

TEST(ChordJoin, GroupsInTheHeaderAreListsInTheList) {
    const Json structure = Json::raw(
        R"([["g", null], [[["a", null], null], [["h", ["x", null]], [[["b", null], null],
            [["c", [["y", null], null]], null]]]]])");
    const ChordJoin join =
        join_chord(returns({part("c", "3"), part("b", "2"), part("a", "1")}, structure));
    ASSERT_FALSE(join.failure) << join.failure->exc_message;
    EXPECT_EQ(to_json_text(join.results), "[1, [2, 3]]");
}

TEST(ChordJoin, WhatPartsHaveAddedComesLastBesideGroups) {
    const Json structure =
        Json::raw(R"([["g", null], [[["a", null], null], [["h", null], [[["b", null], null]]]]])");
    const ChordJoin join =
        join_chord(returns({part("added", "3"), part("a", "1"), part("b", "2")}, structure));
    ASSERT_FALSE(join.failure) << join.failure->exc_message;
    EXPECT_EQ(to_json_text(join.results), "[1, [2], 3]");
}

TEST(ChordJoin, WithAPartOfItsStructureMissingAChordIsNotComplete) {
    const Json structure =
        Json::raw(R"([["g", null], [[["a", null], null], [["b", null], null]]])");
    EXPECT_TRUE(join_chord(returns({part("a", "1")}, structure)).incomplete);
    EXPECT_TRUE(join_chord(returns({part("a", "{}", "FAILURE")}, structure)).incomplete);
    EXPECT_FALSE(join_chord(returns({part("b", "2"), part("a", "1")}, structure)).incomplete);
}

TEST(ChordJoin, AStructureThatCannotBeReadIsAnError) {
    const auto reason = [](const std::string& structure) {
        const ChordJoin join = join_chord(returns({part("a", "1")}, Json::raw(structure)));
        return join.failure ? join.failure->exc_message : "joined";
    };
    EXPECT_THAT(reason("[1, 2]"), HasSubstr("Join error: "));
    EXPECT_THAT(reason("{}"), HasSubstr("Join error: "));
    EXPECT_THAT(reason(R"([["g"]])"), HasSubstr("Join error: "));
}

}  // namespace
}  // namespace lovage
