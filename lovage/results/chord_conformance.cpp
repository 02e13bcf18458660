#include <lovage/results/conformance.hpp>

#include <gmock/gmock.h>

#include <utility>

namespace lovage::conformance {

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

/// A part of the chord "g"; its result is JSON text.
ChordPart part(std::string task_id, std::optional<std::int64_t> index, std::string result,
               std::string_view state = states::kSuccess) {
    return {"g", index, std::move(task_id), std::string{state}, Json::raw(std::move(result))};
}

/// "task STATE result" of each part; empty while it is not complete.
std::vector<std::string> shown(const Result<ChordReturns>& returns) {
    EXPECT_TRUE(returns) << returns.error().message();
    if (!returns) return {"an error"};
    EXPECT_EQ(returns->complete, !returns->parts.empty());
    std::vector<std::string> parts;
    for (const ChordPart& one : returns->parts) {
        EXPECT_EQ(one.group_id, "g");
        parts.push_back(one.task_id + " " + one.state + " " + to_json_text(one.result));
    }
    return parts;
}

}  // namespace

TEST_P(ResultConformance, AChordIsCompleteWithItsLastPart) {
    const auto one = open();
    const auto other = open();
    ASSERT_TRUE(one->start_chord({"g", 3, {}}));
    EXPECT_THAT(shown(one->add_chord_part(part("c", 2, "30"))), ElementsAre());
    EXPECT_THAT(shown(other->add_chord_part(part("a", 0, "[1.0,  2]"))), ElementsAre());
    EXPECT_THAT(
        shown(one->add_chord_part(part("b", 1, R"({"exc_type": "E"})", states::kFailure))),
        ElementsAre("a SUCCESS [1.0,  2]", R"(b FAILURE {"exc_type": "E"})", "c SUCCESS 30"));
}

TEST_P(ResultConformance, PartsWithoutAPlaceComeLast) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 3, {}}));
    ASSERT_TRUE(connection->add_chord_part(part("x", std::nullopt, "1")));
    ASSERT_TRUE(connection->add_chord_part(part("z", 10, "3")));
    EXPECT_THAT(shown(connection->add_chord_part(part("y", 9, "2"))),
                ElementsAre("y SUCCESS 2", "z SUCCESS 3", "x SUCCESS 1"));
}

TEST_P(ResultConformance, PartsOfTheSamePlaceAreSeveral) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    ASSERT_TRUE(connection->add_chord_part(part("a", 0, "1")));
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 0, "2"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2"));
}

TEST_P(ResultConformance, APartThatReturnsAgainCountsOnce) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "2"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "3"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 3"));
}

TEST_P(ResultConformance, ASuccessReplacesAFailureAndStays) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    ASSERT_TRUE(connection->add_chord_part(part("a", 0, R"("lost")", states::kFailure)));
    ASSERT_TRUE(connection->add_chord_part(part("a", 0, "1")));
    ASSERT_TRUE(connection->add_chord_part(part("a", 0, R"("late")", states::kRevoked)));
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2"));
}

TEST_P(ResultConformance, UntilItIsEndedTheLastPartCompletesAChordAgain) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 1, {}}));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre("a SUCCESS 1"));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre("a SUCCESS 1"));
    ASSERT_TRUE(connection->end_chord("g"));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    ASSERT_TRUE(connection->end_chord("nobody knows it"));
}

TEST_P(ResultConformance, OnlyThePartThatCompletedAChordCompletesItAgain) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2"));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2"));
    // A chord that is started once more by a task that ran again is still the same.
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
}

TEST_P(ResultConformance, APartBeyondASizeThatWasTooSmallCompletesTheChordAnew) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2"));
    EXPECT_THAT(shown(connection->add_chord_part(part("c", 2, "3"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2", "c SUCCESS 3"));
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))), ElementsAre());
    EXPECT_THAT(shown(connection->add_chord_part(part("c", 2, "3"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2", "c SUCCESS 3"));
}

TEST_P(ResultConformance, AChordGrowsOnceForEachFurtherPart) {
    const auto one = open();
    const auto other = open();
    ASSERT_TRUE(one->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(one->add_chord_part(part("a", 0, "1"))), ElementsAre());
    ASSERT_TRUE(one->grow_chord("g", "more"));
    ASSERT_TRUE(other->grow_chord("g", "more"));
    EXPECT_THAT(shown(one->add_chord_part(part("b", 1, "2"))), ElementsAre());
    ASSERT_TRUE(other->grow_chord("g", "yet more"));
    EXPECT_THAT(shown(other->add_chord_part(part("more", 1, "3"))), ElementsAre());
    // Whoever began the chord may do so again, after its first parts have returned.
    ASSERT_TRUE(one->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(one->add_chord_part(part("yet more", 0, "4"))),
                ElementsAre("a SUCCESS 1", "yet more SUCCESS 4", "b SUCCESS 2", "more SUCCESS 3"));
    ASSERT_TRUE(one->end_chord("g"));
    // Nothing is left of it.
    ASSERT_TRUE(one->start_chord({"g", 1, {}}));
    EXPECT_THAT(shown(one->add_chord_part(part("a", 0, "1"))), ElementsAre("a SUCCESS 1"));
}

TEST_P(ResultConformance, AChordOfUnknownSizeIsNotComplete) {
    const auto connection = open();
    EXPECT_THAT(shown(connection->add_chord_part(part("a", 0, "1"))), ElementsAre());
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))),
                ElementsAre("a SUCCESS 1", "b SUCCESS 2"));
}

TEST_P(ResultConformance, TheStructureOfAChordIsKept) {
    const auto connection = open();
    const std::string structure = R"([["g", null], [[["a", null], null]]])";
    ASSERT_TRUE(connection->start_chord({"g", 1, Json::raw(structure)}));
    const auto returns = connection->add_chord_part(part("a", 0, "1"));
    ASSERT_TRUE(returns);
    EXPECT_EQ(to_json_text(returns->structure), structure);
    ASSERT_TRUE(connection->end_chord("g"));
}

TEST_P(ResultConformance, ResultsThatTogetherAreTooLargeAreAnError) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 3, {}}));
    const std::string large = '"' + std::string(kBytesMax / 3, 'x') + '"';
    ASSERT_TRUE(connection->add_chord_part(part("a", 0, large)));
    ASSERT_TRUE(connection->add_chord_part(part("b", 1, large)));
    const auto returns = connection->add_chord_part(part("c", 2, large));
    ASSERT_FALSE(returns);
    EXPECT_EQ(returns.error().code, Errc::too_large);
    EXPECT_THAT(returns.error().detail, testing::HasSubstr("chord 'g'"));
}

TEST_P(ResultConformance, AChordIsForgottenSomeTimeAfterItsLastPart) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}}));
    clock_.advance(kExpires - 1min);
    ASSERT_TRUE(connection->add_chord_part(part("a", 0, "1")));
    clock_.advance(kExpires + 1min);
    EXPECT_THAT(shown(connection->add_chord_part(part("b", 1, "2"))), ElementsAre());
}

TEST_P(ResultConformance, ASavedGroupIsFoundByItsId) {
    const auto one = open();
    const auto other = open();
    const Json result = Json::raw(R"([["g", null], [[["a", null], null], [["b", null], null]]])");
    EXPECT_EQ(value_or_throw(one->saved_group("g")), std::nullopt);
    ASSERT_TRUE(one->save_group("g", result));
    ASSERT_TRUE(one->save_group("g", result));
    EXPECT_EQ(value_or_throw(other->saved_group("g")), result);
    EXPECT_EQ(value_or_throw(other->get("g")), std::nullopt);  // a group is no task
    ASSERT_TRUE(other->forget_group("g"));
    EXPECT_EQ(value_or_throw(one->saved_group("g")), std::nullopt);
}

TEST_P(ResultConformance, ASavedGroupExpiresLikeARecord) {
    const auto connection = open();
    ASSERT_TRUE(connection->save_group("g", Json::array()));
    clock_.advance(kExpires - 1min);
    EXPECT_NE(value_or_throw(connection->saved_group("g")), std::nullopt);
    clock_.advance(2min);
    EXPECT_EQ(value_or_throw(connection->saved_group("g")), std::nullopt);
}

}  // namespace lovage::conformance
