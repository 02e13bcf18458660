#include <lovage/core/canvas.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/core/uuid.hpp>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr std::string_view kParent = "0e0f4f1e-6f43-4b43-9d3c-0d7d0f0c7c01";

Signature task(const std::string& name, bool immutable = false) {
    Signature signature;
    signature.task = name;
    signature.immutable = immutable;
    return signature;
}
Signature chain(const std::vector<Signature>& steps) {
    Signature signature = task("celery.chain");
    signature.type = SignatureType::chain;
    set_tasks(signature, steps);
    return signature;
}
Signature group(const std::vector<Signature>& members) {
    return make_group(members);
}
Signature chord(const std::vector<Signature>& header, const Signature& body) {
    return make_chord(make_group(header), body);
}

Result<CanvasPlan> try_plan(Signature signature, const Json& options = Json::object()) {
    CanvasPlanner planner{{std::string{kParent}, "root", TimePoint{}}};
    auto called = planner.call(std::move(signature), {Json{1}}, options, "callback/0");
    if (!called) return std::unexpected{called.error()};
    return std::move(planner).take();
}
CanvasPlan plan(const Signature& signature, const Json& options = Json::object()) {
    return value_or_throw(try_plan(signature, options));
}

/// "name(args) group#index" for each call; groups as the position they were first seen at.
std::vector<std::string> shown(const CanvasPlan& plan) {
    std::vector<std::string> groups;
    std::vector<std::string> calls;
    for (const PlannedCall& call : plan.calls) {
        const TaskMessage& message = call.message;
        std::string args = to_json_text(message.args);
        std::string text = message.task + "(" + args.substr(1, args.size() - 2) + ")";
        if (message.group) {
            auto place = std::ranges::find(groups, *message.group);
            if (place == groups.end()) place = groups.insert(groups.end(), *message.group);
            text += " g" + std::to_string(place - groups.begin()) + "#" +
                    std::to_string(message.group_index.value_or(-1));
        }
        calls.push_back(std::move(text));
    }
    return calls;
}

/// Names of the steps still to come, next one first.
std::vector<std::string> chain_of(const PlannedCall& call) {
    std::vector<std::string> names;
    const Json* chain = call.message.embed.find("chain");
    for (const Signature& step : value_or_throw(decode_signatures(*chain, "step"))) {
        names.insert(names.begin(), step.task);
    }
    return names;
}

Signature body_of(const PlannedCall& call) {
    return value_or_throw(decode_signature(*call.message.embed.find("chord"), "body"));
}

TEST(Canvas, ATaskIsOneCall) {
    const CanvasPlan one = plan(task("t"));
    EXPECT_THAT(shown(one), ElementsAre("t(1)"));
    EXPECT_EQ(one.calls[0].message.parent_id, kParent);
    EXPECT_EQ(one.calls[0].message.root_id, "root");
    EXPECT_EQ(one.calls[0].message.id, follow_up_id(kParent, "callback/0"));
}

TEST(Canvas, IdsDependOnParentAndPositionOnly) {
    EXPECT_EQ(follow_up_id(kParent, "a"), follow_up_id(kParent, "a"));
    EXPECT_NE(follow_up_id(kParent, "a"), follow_up_id(kParent, "b"));
    EXPECT_NE(follow_up_id("order/1", "a"), follow_up_id("order/2", "a"));
    EXPECT_TRUE(is_uuid(follow_up_id("order/1", "a")));
}

TEST(Canvas, AChainIsItsFirstStepAndTheRestReversed) {
    const CanvasPlan three = plan(chain({task("a"), task("b"), task("c")}));
    EXPECT_THAT(shown(three), ElementsAre("a(1)"));
    EXPECT_THAT(chain_of(three.calls[0]), ElementsAre("b", "c"));
    EXPECT_EQ(to_json_text(*plan(chain({task("a")})).calls[0].message.embed.find("chain")), "[]");
}

TEST(Canvas, ChainsInChainsAreOneChain) {
    const CanvasPlan flat = plan(chain({chain({task("a"), task("b")}), chain({task("c")})}));
    EXPECT_THAT(shown(flat), ElementsAre("a(1)"));
    EXPECT_THAT(chain_of(flat.calls[0]), ElementsAre("b", "c"));
}

TEST(Canvas, WhatFollowsTheChainComesAfterItsSteps) {
    const Json after = encode_signatures({task("z"), task("y")});
    const CanvasPlan longer = plan(chain({task("a"), task("b")}), Json::object({{"chain", after}}));
    EXPECT_THAT(chain_of(longer.calls[0]), ElementsAre("b", "y", "z"));
}

TEST(Canvas, AChainsErrbacksAreEveryStepsAndItsCallbacksTheLastOnes) {
    Signature linked = chain({task("a"), task("b")});
    linked.options.set("link", encode_signatures({task("then")}));
    linked.options.set("link_error", encode_signature(task("else")));
    const CanvasPlan plan_of = plan(linked);
    const TaskMessage& first = plan_of.calls[0].message;
    EXPECT_TRUE(first.embed.find("callbacks")->is_null());
    EXPECT_EQ(value_or_throw(decode_signatures(*first.embed.find("errbacks"), "e")).size(), 1U);
    const Signature last =
        value_or_throw(decode_signatures(*first.embed.find("chain"), "step")).front();
    EXPECT_EQ(value_or_throw(decode_signatures(*last.option("link"), "l"))[0].task, "then");
    EXPECT_EQ(value_or_throw(decode_signatures(*last.option("link_error"), "e"))[0].task, "else");
}

TEST(Canvas, AGroupIsItsMembers) {
    const CanvasPlan both = plan(group({task("a"), task("b", true)}));
    EXPECT_THAT(shown(both), ElementsAre("a(1) g0#0", "b() g0#1"));
    EXPECT_THAT(plan(group({})).calls, SizeIs(0));
}

TEST(Canvas, GroupsInGroupsAreOneGroup) {
    EXPECT_THAT(shown(plan(group({task("a"), group({task("b"), task("c")}), task("d")}))),
                ElementsAre("a(1) g0#0", "b(1) g0#1", "c(1) g0#2", "d(1) g0#3"));
}

TEST(Canvas, AGroupThatSomethingFollowsIsAChordsHeader) {
    const CanvasPlan made = plan(chain({group({task("a"), task("b")}), task("sum"), task("end")}));
    EXPECT_THAT(shown(made), ElementsAre("a(1) g0#0", "b(1) g0#1"));
    ASSERT_THAT(made.chords, SizeIs(1));
    EXPECT_EQ(made.chords[0].size, 2);
    const Signature body = body_of(made.calls[1]);
    EXPECT_EQ(body.task, "sum");
    EXPECT_EQ(value_or_throw(decode_signatures(*body.option("chain"), "step"))[0].task, "end");
}

TEST(Canvas, AGroupOfOneInAChainIsItsMember) {
    const CanvasPlan made = plan(chain({group({task("a")}), task("b")}));
    EXPECT_THAT(shown(made), ElementsAre("a(1)"));
    EXPECT_THAT(chain_of(made.calls[0]), ElementsAre("b"));
}

TEST(Canvas, AChordsBodyHasItsIdBeforeAnyPartRuns) {
    const CanvasPlan made = plan(chord({task("a"), task("b")}, chain({task("x"), task("y")})));
    EXPECT_EQ(made.calls[0].message.embed, made.calls[1].message.embed);
    for (const Signature& step : value_or_throw(tasks_of(body_of(made.calls[0])))) {
        EXPECT_TRUE(is_uuid(step.task_id()));
    }
}

TEST(Canvas, AChordWithoutPartsIsItsBodyWithAnEmptyList) {
    const CanvasPlan made = plan(chord({}, task("sum")));
    EXPECT_THAT(shown(made), ElementsAre("sum([])"));
    EXPECT_THAT(made.chords, SizeIs(0));
}

TEST(Canvas, AChordsOwnArgumentsAreItsHeaders) {
    Signature canvas = chord({task("a"), task("b", true)}, task("sum"));
    canvas.args = Json::array({2});
    EXPECT_THAT(shown(plan(canvas)), ElementsAre("a(1, 2) g0#0", "b() g0#1"));
    canvas.immutable = true;
    EXPECT_THAT(shown(plan(canvas)), ElementsAre("a(2) g0#0", "b() g0#1"));
    canvas.args = Json::array();
    EXPECT_THAT(shown(plan(canvas)), ElementsAre("a() g0#0", "b() g0#1"));
}

TEST(Canvas, AChainInAHeaderReturnsWithItsLastStep) {
    const CanvasPlan made = plan(chord({chain({task("a"), task("b")}), task("c")}, task("sum")));
    EXPECT_THAT(shown(made), ElementsAre("a(1)", "c(1) g0#1"));
    EXPECT_EQ(made.chords[0].size, 2);
    EXPECT_TRUE(made.calls[0].message.embed.find("chord")->is_null());
    const Signature last =
        value_or_throw(decode_signatures(*made.calls[0].message.embed.find("chain"), "step"))[0];
    EXPECT_EQ(last.option("group_id")->as_string(), made.chords[0].group_id);
    EXPECT_EQ(*last.option("group_index"), Json{0});
    EXPECT_EQ(value_or_throw(decode_signature(*last.option("chord"), "body")).task, "sum");
}

TEST(Canvas, NestedGroupsOfAHeaderAreTurnedRoundAsInCelery) {
    const CanvasPlan made = plan(chord({task("a"), group({task("b"), task("c")})}, task("sum")));
    EXPECT_THAT(shown(made), ElementsAre("a(1) g0#0", "c(1) g0#1", "b(1) g0#2"));
    EXPECT_EQ(made.chords[0].size, 3);
}

TEST(Canvas, AChordInAHeaderReturnsWithItsBody) {
    const CanvasPlan made =
        plan(chord({chord({task("a"), task("b")}, task("inner")), task("c")}, task("outer")));
    ASSERT_THAT(made.chords, SizeIs(2));
    EXPECT_EQ(made.chords[0].size, 2);  // the outer one: "inner" and "c"
    EXPECT_EQ(made.chords[1].size, 2);
    EXPECT_THAT(shown(made), ElementsAre("a(1) g0#0", "b(1) g0#1", "c(1) g1#1"));
    const Signature inner = body_of(made.calls[0]);
    EXPECT_EQ(inner.task, "inner");
    EXPECT_EQ(inner.option("group_id")->as_string(), made.chords[0].group_id);
    EXPECT_EQ(value_or_throw(decode_signature(*inner.option("chord"), "body")).task, "outer");
    EXPECT_EQ(body_of(made.calls[2]).task, "outer");
}

TEST(Canvas, AnIndexGoesToWhereAChordEnds) {
    // On a chord itself, Celery's workers give it to all parts of the chord's header.
    const auto end_of = [](Signature canvas) {
        EXPECT_EQ(canvas.option("group_index"), nullptr);
        while (canvas.type == SignatureType::chord) canvas = value_or_throw(parts_of(canvas)).body;
        const Json* const index = canvas.option("group_index");
        return canvas.task + "#" + (index != nullptr ? to_json_text(*index) : "none");
    };
    const Signature inner = chord({task("x"), task("y")}, chord({task("z")}, task("end")));
    const CanvasPlan in_body = plan(chord({task("b"), chord({task("a")}, inner)}, task("sum")));
    EXPECT_EQ(end_of(body_of(in_body.calls[1])), "end#1");
    const CanvasPlan in_chain = plan(chord({task("b"), chain({task("a"), inner})}, task("sum")));
    const Json& rest = *in_chain.calls[1].message.embed.find("chain");
    EXPECT_EQ(end_of(value_or_throw(decode_signatures(rest, "step"))[0]), "end#1");
}

TEST(Canvas, AHeaderWithGroupsAsResultsHasAStructure) {
    const Signature header = chain({task("a"), group({task("b"), task("c")})});
    const CanvasPlan made = plan(chord({header, task("d")}, task("sum")));
    EXPECT_EQ(made.chords[0].size, 3);
    EXPECT_FALSE(made.chords[0].structure.is_null());
    // The trailing group's members are parts of the chord.
    const Signature last =
        value_or_throw(decode_signatures(*made.calls[0].message.embed.find("chain"), "step"))[0];
    EXPECT_THAT(shown(plan(last)), ElementsAre("b(1) g0#0", "c(1) g0#1"));
    EXPECT_EQ(plan(last).calls[0].message.group, made.chords[0].group_id);
    EXPECT_EQ(body_of(plan(last).calls[1]).task, "sum");
}

TEST(Canvas, StampsAndStoredGroupsStay) {
    Signature stamped = task("t");
    stamped.options = Json::object(
        {{"stamped_headers", Json::array({"tenant"})}, {"tenant", "a"}, {"group_id", "stored"}});
    const CanvasPlan made =
        plan(stamped, Json::object({{"tenant", "b"}, {"group_id", "other"}, {"queue", nullptr}}));
    const TaskMessage& message = made.calls[0].message;
    EXPECT_EQ(to_json_text(message.stamps), R"({"tenant": "a"})");
    EXPECT_EQ(message.group, "stored");
}

TEST(Canvas, AnOptionThatCannotBeIsNamed) {
    Signature signature = task("t");
    signature.options.set("priority", "high");
    const auto made = try_plan(signature);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().detail, "signature 't' has an option 'priority' that cannot be: 'high'");
}

TEST(Canvas, NestingHasAnEnd) {
    Signature deep = task("t");
    for (std::size_t i = 0; i < kCanvasDepthMax + 2; ++i) deep = chain({task("x"), deep});
    const auto made = try_plan(deep);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Errc::too_large);
    EXPECT_FALSE(unreached_calls(deep));
    EXPECT_FALSE(chord_size_of(deep));
}

TEST(Canvas, ALargeResultForALargeGroupHasAnEnd) {
    const std::vector<Signature> members(30, task("t"));
    const Json large{std::string(100, 'x')};
    const auto problem = [&](std::size_t bytes_max) -> std::string {
        CanvasPlanner planner{{std::string{kParent}, "root", TimePoint{}}, bytes_max};
        const auto called = planner.call(group(members), {large}, Json::object(), "callback/0");
        return called ? ""
                      : std::string{to_string(called.error().code)} + ": " + called.error().detail;
    };
    EXPECT_EQ(problem(30 * 1000), "");
    EXPECT_EQ(problem(30 * 100),
              "too_large: the messages of a canvas take more than 3000 bytes together");
}

TEST(Canvas, AResultKeepsItsNearestAncestors) {
    const auto ancestors = [](std::size_t steps) {
        Signature long_chain = chain(std::vector<Signature>(steps, task("t")));
        EXPECT_TRUE(freeze(long_chain, kParent, "chain"));
        const Json tuple = value_or_throw(result_tuple_of(long_chain));
        std::vector<std::string> ids;
        for (const Json* at = &tuple; !at->is_null(); at = &at->as_array()[0].as_array()[1]) {
            ids.push_back(at->as_array()[0].as_array()[0].as_string());
        }
        EXPECT_EQ(ids[0], follow_up_id(kParent, "chain/" + std::to_string(steps - 1)));
        EXPECT_EQ(ids[1], follow_up_id(kParent, "chain/" + std::to_string(steps - 2)));
        return ids.size() - 1;
    };
    EXPECT_EQ(ancestors(3), 2U);
    EXPECT_EQ(ancestors(kResultAncestorsMax + 1), kResultAncestorsMax);
    EXPECT_EQ(ancestors(kResultAncestorsMax + 2), kResultAncestorsMax);
    EXPECT_EQ(ancestors(20'000), kResultAncestorsMax);
}

TEST(Canvas, WhatIsNeverReachedIsWhatSomebodyMayWaitFor) {
    Signature canvas = chain({task("a"), chord({task("b")}, task("sum")), task("c")});
    ASSERT_TRUE(freeze(canvas, kParent, "chain"));
    canvas.options.set("chain", encode_signatures({task("never frozen")}));
    std::vector<std::string> ids;
    for (const UnreachedCall& call : value_or_throw(unreached_calls(canvas))) {
        ids.push_back(call.task_id);
    }
    EXPECT_THAT(ids,
                ElementsAre(follow_up_id(kParent, "chain/0"), follow_up_id(kParent, "chain/1/body"),
                            follow_up_id(kParent, "chain/2")));
}

}  // namespace
}  // namespace lovage
