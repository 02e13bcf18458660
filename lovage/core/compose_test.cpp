#include <lovage/core/compose.hpp>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using testing::HasSubstr;

Signature named(const std::string& name) {
    Signature signature;
    signature.task = name;
    return signature;
}
Signature group_of(const std::vector<std::string>& names) {
    std::vector<Signature> members;
    for (const std::string& name : names) members.push_back(named(name));
    return make_group(members);
}

/// "a", "chain(a, b)", "group(a, b)", "chord(a, b; sum)".
std::string shape(const Signature& signature) {
    const auto list = [](const Signature& canvas) {
        std::string text;
        for (const Signature& task : value_or_throw(tasks_of(canvas))) {
            text += (text.empty() ? "" : ", ") + shape(task);
        }
        return text;
    };
    switch (signature.type) {
        case SignatureType::task:
            return signature.task;
        case SignatureType::chain:
            return "chain(" + list(signature) + ")";
        case SignatureType::group:
            return "group(" + list(signature) + ")";
        case SignatureType::chord: {
            const ChordParts parts = value_or_throw(parts_of(signature));
            return "chord(" + list(parts.header) + "; " + shape(parts.body) + ")";
        }
    }
    return {};
}

std::string joined(std::vector<Signature> parts) {
    return shape(value_or_throw(chain_of(std::move(parts))));
}

Signature joined_signature(std::vector<Signature> parts) {
    return value_or_throw(chain_of(std::move(parts)));
}

// celery-wire reference, section 14.5.

TEST(ComposeStamps, ReachEveryTaskAndTheLastWordCounts) {
    Signature call;
    call.task = "t";
    value_or_throw(add_stamps(call, Json::object({{"a", 1}, {"b", "old"}})));
    Signature callback;
    callback.task = "callback";
    value_or_throw(add_link(call, callback));
    Signature whole =
        make_chord(make_group({call, value_or_throw(lovage::chain_of({call, call}))}), call);
    value_or_throw(add_stamps(whole, Json::object({{"b", Json::array({"x", "y"})}})));
    const std::string text = to_json_text(encode_signature(whole));
    const auto count = [&](std::string_view what) {
        std::size_t times = 0;
        for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++times;
        return times;
    };
    EXPECT_EQ(count(R"("b": ["x", "y"])"), 8U) << "four tasks, each with a callback: " << text;
    EXPECT_EQ(count(R"("stamped_headers": ["a", "b"])"), 4U);
    EXPECT_EQ(count(R"("stamped_headers": ["b"])"), 4U) << "what a task has its callback has not";
    EXPECT_EQ(count("old"), 0U);
}

TEST(ComposeStamps, HaveNamesThatMeanNothingElse) {
    EXPECT_TRUE(check_stamps(Json::object({{"order", 1}})));
    EXPECT_FALSE(check_stamps(Json::object({{"queue", 1}})));
    EXPECT_FALSE(check_stamps(Json::object({{"", 1}})));
    EXPECT_FALSE(check_stamps(Json::array()));
}

TEST(Compose, ATaskAfterAGroupMakesAChord) {
    EXPECT_EQ(joined({group_of({"a", "b"}), named("sum")}), "chord(a, b; sum)");
    EXPECT_EQ(joined({group_of({"a", "b"}), group_of({"c", "d"})}), "chord(a, b; group(c, d))");
}

TEST(Compose, AGroupInTheMiddleIsAChordInTheChain) {
    EXPECT_EQ(joined({named("x"), group_of({"a", "b"}), named("sum")}),
              "chain(x, chord(a, b; sum))");
}

TEST(Compose, WhatFollowsAChordFollowsItsBody) {
    EXPECT_EQ(joined({group_of({"a", "b"}), named("sum"), named("end")}),
              "chord(a, b; chain(sum, end))");
    EXPECT_EQ(joined({group_of({"a", "b"}), named("sum"), group_of({"c", "d"}), named("all")}),
              "chord(a, b; chain(sum, chord(c, d; all)))");
}

TEST(Compose, ASecondChordFollowsTheFirstOnesBody) {
    const Signature second = joined_signature({group_of({"c", "d"}), named("all")});
    EXPECT_EQ(joined({named("x"), group_of({"a", "b"}), named("sum"), second}),
              "chain(x, chord(a, b; chain(sum, chord(c, d; all))))");
}

TEST(Compose, ChainsAreOpenedAndGroupsOfOneAreTheirMember) {
    const Signature chain = joined_signature({named("a"), named("b")});
    EXPECT_EQ(joined({chain, chain}), "chain(a, b, a, b)");
    EXPECT_EQ(joined({named("x"), group_of({"a"}), named("y")}), "chain(x, a, y)");
    EXPECT_EQ(joined({group_of({"a"}), named("y")}), "chord(a; y)");
}

TEST(Compose, ASingleTaskIsAChainOfOne) {
    EXPECT_EQ(joined({named("a")}), "chain(a)");
    EXPECT_EQ(joined({group_of({"a", "b"})}), "group(a, b)");
    EXPECT_FALSE(chain_of(std::vector<Signature>{}));
}

TEST(Compose, WhatWasLinkedToAChainStaysWhenItIsOpened) {
    Signature chain = joined_signature({named("a"), named("b")});
    ASSERT_TRUE(add_link(chain, named("then")));
    ASSERT_TRUE(add_errback(chain, named("else")));
    const auto steps = value_or_throw(tasks_of(joined_signature({chain, named("c")})));
    EXPECT_EQ(steps[0].option("link"), nullptr);
    EXPECT_NE(steps[1].option("link"), nullptr);
    EXPECT_NE(steps[0].option("link_error"), nullptr);
    EXPECT_EQ(steps[2].option("link_error"), nullptr);
}

TEST(Compose, WhatTakesNothingStillDoesWhenItIsOpened) {
    const auto closed = [](Signature canvas) {
        canvas.immutable = true;
        return joined_signature({named("x"), std::move(canvas)});
    };
    const auto steps = value_or_throw(tasks_of(closed(joined_signature({named("a"), named("b")}))));
    ASSERT_EQ(steps.size(), 3U);
    EXPECT_TRUE(steps[1].immutable);
    EXPECT_FALSE(steps[2].immutable);

    Signature inner = joined_signature({named("a"), named("b")});
    Signature outer = inner;
    set_tasks(outer, {inner, named("c")});
    EXPECT_TRUE(value_or_throw(tasks_of(closed(outer)))[1].immutable);

    set_tasks(outer, {group_of({"a", "b"})});
    const Signature group = value_or_throw(tasks_of(closed(outer)))[1];
    for (const Signature& member : value_or_throw(tasks_of(group))) EXPECT_TRUE(member.immutable);

    const Signature chord = joined_signature({group_of({"a", "b"}), named("sum")});
    EXPECT_TRUE(value_or_throw(tasks_of(closed(chord)))[1].immutable);
}

TEST(Compose, ArgumentsGoInFrontOfWhereItBegins) {
    Signature canvas = joined_signature({named("x"), group_of({"a", "b"}), named("sum")});
    ASSERT_TRUE(prepend_args(canvas, {Json{1}}));
    EXPECT_EQ(to_json_text(value_or_throw(tasks_of(canvas))[0].args), "[1]");

    Signature chord = joined_signature({group_of({"a", "b"}), named("sum")});
    ASSERT_TRUE(prepend_args(chord, {Json{1}}));
    const ChordParts parts = value_or_throw(parts_of(chord));
    for (const Signature& part : value_or_throw(tasks_of(parts.header))) {
        EXPECT_EQ(to_json_text(part.args), "[1]");
    }
    EXPECT_EQ(to_json_text(parts.body.args), "[]");

    Signature fixed = named("a");
    fixed.immutable = true;
    ASSERT_TRUE(prepend_args(fixed, {Json{1}}));
    EXPECT_EQ(to_json_text(fixed.args), "[]");
}

TEST(Compose, AGroupsCallbackIsItsFirstMembersAndTakesNoResult) {
    Signature group = group_of({"a", "b"});
    ASSERT_TRUE(add_link(group, named("then")));
    ASSERT_TRUE(add_errback(group, named("else")));
    const auto members = value_or_throw(tasks_of(group));
    const auto linked = value_or_throw(decode_signatures(*members[0].option("link"), "link"));
    EXPECT_TRUE(linked[0].immutable);
    EXPECT_EQ(members[1].option("link"), nullptr);
    EXPECT_NE(members[1].option("link_error"), nullptr);
}

TEST(Compose, TheSameCallbackIsLinkedOnce) {
    Signature task = named("a");
    ASSERT_TRUE(add_link(task, named("then")));
    ASSERT_TRUE(add_link(task, named("then")));
    EXPECT_EQ(value_or_throw(decode_signatures(*task.option("link"), "link")).size(), 1U);
}

TEST(Compose, ChunksAreAGroupOfStarmaps) {
    Json rows = Json::array();
    for (int i = 0; i < 5; ++i) rows.push_back(Json::array({i, i}));
    const Signature chunks = make_chunks(named("add"), rows, 2);
    EXPECT_TRUE(is_chunks(chunks));
    const auto members = value_or_throw(tasks_of(value_or_throw(group_of_chunks(chunks))));
    ASSERT_EQ(members.size(), 3U);
    EXPECT_EQ(members[2].task, "celery.starmap");
    EXPECT_EQ(to_json_text(*members[2].kwargs.expanded()->find("it")), "[[4, 4]]");
    EXPECT_EQ(mapped_task(members[0].task, members[0].kwargs), "add");
    EXPECT_EQ(mapped_task("add", members[0].kwargs), "");
}

TEST(Compose, ChunksThatCannotBeAreAnError) {
    Signature chunks = make_chunks(named("add"), Json::array(), 1);
    chunks.kwargs.set("n", 0);
    EXPECT_FALSE(group_of_chunks(chunks));
    chunks.kwargs.set("n", std::int64_t{1} << 62);
    EXPECT_TRUE(group_of_chunks(chunks));
    chunks.kwargs.set("it", 5);
    EXPECT_FALSE(group_of_chunks(chunks));
}

TEST(Compose, ChunksThatWouldBeTooLargeAreNotMade) {
    const auto error = [](const Signature& task, std::size_t items, std::int64_t size) {
        const Json all{Json::Array(items, Json{0})};
        const auto made = group_of_chunks(make_chunks(task, all, size));
        return made ? std::string{} : made.error().detail;
    };
    EXPECT_THAT(error(named("add"), kCanvasMembersMax + 1, 1), HasSubstr("200001 tasks; at most"));
    EXPECT_EQ(error(named("add"), 2'001, 2), "");
    // A message of 10 MB that would come to 10 TB.
    Signature large = named("add");
    large.kwargs = Json::object({{"x", std::string(std::size_t{10} << 20U, 'x')}});
    EXPECT_THAT(error(large, 100'000, 1), HasSubstr("100000 tasks of 10485"));
    EXPECT_EQ(error(large, 2, 1), "");
}

}  // namespace
}  // namespace lovage
