#include <lovage/results/conformance.hpp>

#include <gmock/gmock.h>

#include <algorithm>

#include <optional>
#include <utility>

namespace lovage::conformance {

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr ChordLook kLook{.every = 10s, .quiet = 15s};

/// JSON text as Redis and SQLite keep it.
Json watch_of(const std::string& group_id) {
    return Json::raw(R"({"body": ")" + group_id + R"(", "root_id": "", "members": null})");
}

ChordPart returned(const std::string& group_id, std::string task_id, std::int64_t index) {
    return {group_id, index, std::move(task_id), std::string{states::kSuccess}, Json::raw("1")};
}

TaskMeta result_of(const std::string& task_id) {
    TaskMeta meta;
    meta.task_id = task_id;
    meta.status = states::kSuccess;
    meta.result = Json::raw("1");
    return meta;
}

/// "group returned of size" of each chord that was handed out.
std::vector<std::string> seen(const Result<std::vector<UnfinishedChord>>& found) {
    EXPECT_TRUE(found) << found.error().message();
    std::vector<std::string> chords;
    for (const UnfinishedChord& chord : found.value_or(std::vector<UnfinishedChord>{})) {
        EXPECT_EQ(to_json_text(chord.watch), to_json_text(watch_of(chord.group_id)));
        const std::string size = chord.size ? std::to_string(*chord.size) : "?";
        chords.push_back(chord.group_id + " " + std::to_string(chord.returned) + " of " + size);
    }
    return chords;
}

}  // namespace

TEST_P(ResultConformance, AChordIsHandedToASweeperWhenItIsQuiet) {
    const auto one = open();
    const auto other = open();
    ASSERT_TRUE(one->start_chord({"g", 3, {}, watch_of("g")}));
    ASSERT_TRUE(one->start_chord({"unwatched", 3, {}, {}}));
    EXPECT_THAT(seen(one->look_at_chords(kLook)), IsEmpty());
    clock_.advance(11s);
    ASSERT_TRUE(one->add_chord_part(returned("g", "a", 0)));
    EXPECT_THAT(seen(one->look_at_chords(kLook)), IsEmpty());  // moved since the last look
    clock_.advance(11s);
    EXPECT_THAT(seen(one->look_at_chords(kLook)), IsEmpty());  // 11 s
    clock_.advance(11s);
    const auto found = other->look_at_chords(kLook);
    EXPECT_THAT(seen(found), ElementsAre("g 1 of 3"));
    EXPECT_GE(found->front().quiet, 22s);
    EXPECT_FALSE(found->front().keep_results);
    EXPECT_THAT(seen(one->look_at_chords(kLook)), IsEmpty());  // one sweeper at a time
    clock_.advance(11s);
    EXPECT_THAT(seen(one->look_at_chords(kLook)), ElementsAre("g 1 of 3"));
    ASSERT_TRUE(one->end_chord("g"));
    clock_.advance(1min);
    EXPECT_THAT(seen(one->look_at_chords(kLook)), IsEmpty());
}

TEST_P(ResultConformance, WhoeverIsToldAgainThatAChordIsCompleteHasTimeAnew) {
    const auto one = open();
    const auto sweeper = open();
    ASSERT_TRUE(one->start_chord({"g", 1, {}, watch_of("g")}));
    EXPECT_TRUE(one->add_chord_part(returned("g", "a", 0))->complete);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), IsEmpty());
    clock_.advance(11s);
    EXPECT_TRUE(one->add_chord_part(returned("g", "a", 0))->complete);
    clock_.advance(11s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), IsEmpty())
        << "22 s, but it was told 11 s ago";
    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), ElementsAre("g 1 of 1"));
    EXPECT_TRUE(sweeper->take_chord("g", "sweeper")->complete);
    EXPECT_FALSE(one->add_chord_part(returned("g", "a", 0))->complete);
    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), ElementsAre("g 1 of 1"))
        << "who is not told has no time anew";
}

TEST_P(ResultConformance, AChordThatIsQuietForLongIsLookedAtLessOften) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 1, {}, watch_of("g")}));
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), IsEmpty());
    clock_.advance(2min);
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), ElementsAre("g 0 of 1"));
    clock_.advance(19s);
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), IsEmpty());
    clock_.advance(2s);
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), ElementsAre("g 0 of 1"));
    clock_.advance(45min);
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), ElementsAre("g 0 of 1"));
    clock_.advance(21s);
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), ElementsAre("g 0 of 1"));
}

TEST_P(ResultConformance, WhatWasNotedOfAChordStaysWhenItIsOver) {
    const auto connection = open();
    EXPECT_EQ(value_or_throw(connection->chord_watch("g")), std::nullopt);
    ASSERT_TRUE(connection->start_chord({"g", 1, {}, watch_of("g")}));
    const auto noted = [&] {
        const auto watch = value_or_throw(connection->chord_watch("g"));
        return watch ? to_json_text(*watch) : "nothing";
    };
    EXPECT_EQ(noted(), to_json_text(watch_of("g")));
    ASSERT_TRUE(connection->add_chord_part(returned("g", "a", 0))->complete);
    ASSERT_TRUE(connection->end_chord("g"));
    EXPECT_EQ(noted(), to_json_text(watch_of("g")));
    // A part that returns late begins nothing anew.
    const auto late = connection->add_chord_part(returned("g", "a", 0));
    ASSERT_TRUE(late) << late.error().message();
    EXPECT_FALSE(late->complete);
    EXPECT_FALSE(late->unwatched);
    clock_.advance(1min);
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), IsEmpty());
    // One whose parent has run again is a chord once more.
    ASSERT_TRUE(connection->start_chord({"g", 1, {}, watch_of("g")}));
    EXPECT_TRUE(connection->look_at_chords(kLook));
    clock_.advance(1min);
    EXPECT_EQ(seen(connection->look_at_chords(kLook)).size(), 1U);
    ASSERT_TRUE(connection->end_chord("g"));
    clock_.advance(kExpires + 1min);
    ASSERT_TRUE(connection->start_chord({"another", 1, {}, watch_of("another")}));
    ASSERT_TRUE(connection->add_chord_part(returned("another", "a", 0)));
    EXPECT_EQ(noted(), "nothing");
}

TEST_P(ResultConformance, SweepersShareManyChords) {
    const auto one = open();
    const auto other = open();
    constexpr int kChords = 20;
    for (int i = 0; i < kChords; ++i) {
        const std::string id = "g" + std::to_string(i);
        ASSERT_TRUE(one->start_chord({id, 1, {}, watch_of(id)}));
    }
    ASSERT_TRUE(one->look_at_chords(kLook));
    clock_.advance(20s);
    ChordLook few = kLook;
    few.most = kChords / 2;
    std::vector<std::string> all = seen(one->look_at_chords(few));
    for (std::string& chord : seen(other->look_at_chords(few))) all.push_back(std::move(chord));
    std::ranges::sort(all);
    EXPECT_EQ(std::ranges::unique(all).size(), 0U);
    EXPECT_EQ(all.size(), static_cast<std::size_t>(kChords));
}

TEST_P(ResultConformance, WhoTakesACompleteChordHasAllOfIt) {
    const auto worker = open();
    const auto sweeper = open();
    ASSERT_TRUE(worker->start_chord({"g", 2, {}, watch_of("g")}));
    ASSERT_TRUE(worker->add_chord_part(returned("g", "b", 1)));
    auto taken = sweeper->take_chord("g", "sweeper");
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_FALSE(taken->complete);
    ASSERT_EQ(taken->parts.size(), 1U);
    EXPECT_EQ(taken->parts.front().task_id, "b");

    ASSERT_TRUE(worker->add_chord_part(returned("g", "a", 0))->complete);
    taken = sweeper->take_chord("g", "sweeper");
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_TRUE(taken->complete);
    ASSERT_EQ(taken->parts.size(), 2U);
    EXPECT_EQ(taken->parts.front().task_id, "a");
    EXPECT_EQ(to_json_text(taken->parts.front().result), "1");
    // The part that had completed it is told nothing any more: another one sends the body.
    EXPECT_FALSE(worker->add_chord_part(returned("g", "a", 0))->complete);
    EXPECT_TRUE(sweeper->take_chord("g", "sweeper")->complete);

    ASSERT_TRUE(sweeper->end_chord("g"));
    taken = sweeper->take_chord("g", "sweeper");
    ASSERT_TRUE(taken);
    EXPECT_FALSE(taken->complete);
    EXPECT_THAT(taken->parts, IsEmpty());
}

TEST_P(ResultConformance, AChordThatSomebodyCompletedSinceTheLookIsNotTaken) {
    const auto worker = open();
    const auto sweeper = open();
    ASSERT_TRUE(worker->start_chord({"g", 2, {}, watch_of("g")}));
    ASSERT_TRUE(worker->add_chord_part(returned("g", "b", 1)));
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), IsEmpty());
    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), ElementsAre("g 1 of 2"));
    ASSERT_TRUE(worker->add_chord_part(returned("g", "a", 0))->complete);
    auto taken = sweeper->take_chord("g", "sweeper", 1);
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_FALSE(taken->complete) << "the part that has completed it sends the body";
    EXPECT_EQ(taken->parts.size(), 2U);

    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), IsEmpty());
    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), ElementsAre("g 2 of 2"));
    ASSERT_TRUE(worker->add_chord_part(returned("g", "a", 0))->complete);
    EXPECT_FALSE(sweeper->take_chord("g", "sweeper", 2)->complete) << "it was told again";

    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), IsEmpty());
    clock_.advance(16s);
    EXPECT_THAT(seen(sweeper->look_at_chords(kLook)), ElementsAre("g 2 of 2"));
    EXPECT_TRUE(sweeper->take_chord("g", "sweeper", 2)->complete);
    EXPECT_FALSE(worker->add_chord_part(returned("g", "a", 0))->complete);
}

TEST_P(ResultConformance, AnUnfinishedChordStaysAsLongAsSomebodyLooks) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}, watch_of("g")}));
    ASSERT_TRUE(connection->add_chord_part(returned("g", "a", 0)));
    ASSERT_EQ(connection->store(result_of("a")), StoreOutcome::stored);
    int times_kept = 0;
    for (int look = 0; look < 20; ++look) {
        const auto found = connection->look_at_chords(kLook);
        ASSERT_TRUE(found) << found.error().message();
        for (const UnfinishedChord& chord : *found) {
            if (!chord.keep_results) continue;
            ++times_kept;
            ASSERT_TRUE(connection->keep({"a", "nobody knows it"}));
        }
        clock_.advance(kExpires / 5);
    }
    EXPECT_GE(times_kept, 8);
    const auto records = connection->get_many({"nobody knows it", "a"});
    ASSERT_TRUE(records) << records.error().message();
    EXPECT_EQ((*records)[0], std::nullopt);
    ASSERT_NE((*records)[1], std::nullopt);
    EXPECT_EQ((*records)[1]->task_id, "a");
    EXPECT_TRUE(connection->add_chord_part(returned("g", "b", 1))->complete);
}

TEST_P(ResultConformance, AChordToWhichNothingReturnsForAMonthIsLeftToItself) {
    const auto connection = open();
    ASSERT_TRUE(connection->start_chord({"g", 2, {}, watch_of("g")}));
    for (auto passed = 0min; passed < 31 * 24h; passed += 55min) {
        ASSERT_TRUE(connection->look_at_chords(kLook));
        clock_.advance(55min);
    }
    EXPECT_THAT(seen(connection->look_at_chords(kLook)), IsEmpty());
    ASSERT_TRUE(connection->add_chord_part(returned("g", "a", 0)));
    EXPECT_FALSE(connection->add_chord_part(returned("g", "b", 1))->complete);
}

}  // namespace lovage::conformance
