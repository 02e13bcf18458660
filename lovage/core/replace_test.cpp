#include <lovage/core/replace.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <lovage/core/compose.hpp>
#include <lovage/core/time.hpp>

namespace lovage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kId = "56000000-0000-4000-8000-000000000015";
constexpr const char* kRoot = "56000000-0000-4000-8000-000000000001";

Signature call_of(std::string task, Json args = Json::array()) {
    Signature signature;
    signature.task = std::move(task);
    signature.args = std::move(args);
    return signature;
}
Signature with_id(Signature signature, const std::string& id) {
    signature.options.set("task_id", id);
    return signature;
}

/// A task that runs, as its message says.
struct Running {
    Running() {
        message.id = kId;
        message.task = "replaced";
        message.root_id = kRoot;
    }
    /// It is the part of a chord with this index.
    Running& part(std::int64_t index) {
        message.group = "g";
        message.group_index = index;
        follow_ups.chord = encode_signature(with_id(call_of("body"), "body-id"));
        return *this;
    }
    [[nodiscard]] CanvasPlan replaced_by(const Signature& signature) const {
        return value_or_throw(plan_replacement(message, follow_ups, signature, "q", TimePoint{}));
    }
    [[nodiscard]] CanvasPlan adding(const Signature& signature) const {
        return value_or_throw(
            plan_chord_addition(message, follow_ups, signature, "added-id", "q", TimePoint{}));
    }

    TaskMessage message;
    FollowUps follow_ups;
};

Json embed(const TaskMessage& message, std::string_view name) {
    return value_or_throw(message.embed.find(name)->fully_expanded());
}
/// "task id group index nesting" of each call.
std::vector<std::string> shown(const CanvasPlan& plan) {
    std::vector<std::string> calls;
    for (const PlannedCall& call : plan.calls) {
        const TaskMessage& m = call.message;
        calls.push_back(m.task + " " +
                        (m.id == kId          ? "own"
                         : m.id == "added-id" ? m.id
                                              : "-") +
                        " " + m.group.value_or("-") + " " +
                        (m.group_index ? std::to_string(*m.group_index) : "-") + " " +
                        std::to_string(m.replaced_task_nesting));
        EXPECT_EQ(m.parent_id, kId);
        EXPECT_EQ(m.root_id, kRoot);
    }
    return calls;
}
std::string what_is_wrong(const Signature& signature) {
    const auto fine = check_replacement(signature);
    return fine ? "" : fine.error().detail;
}

// Captured: celery-wire, v56/replace_messages.json.
TEST(Replace, IsTheCallThatCelerySends) {
    Running task;
    task.message.root_id = kId;
    auto plan = value_or_throw(plan_replacement(task.message, task.follow_ups,
                                                call_of("tasks.add", Json::array({5, 100})), "q",
                                                TimePoint{}));
    ASSERT_EQ(plan.calls.size(), 1U);
    TaskMessage& message = plan.calls[0].message;
    message.origin = "gen811@capture";
    const Json headers = value_or_throw(encode_task_message(message).headers.fully_expanded());
    EXPECT_EQ(
        to_json_text(headers),
        R"x({"lang": "py", "task": "tasks.add", "id": "56000000-0000-4000-8000-000000000015", )x"
        R"x("shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, )x"
        R"x("retries": 0, "timelimit": [null, null], )x"
        R"x("root_id": "56000000-0000-4000-8000-000000000015", )x"
        R"x("parent_id": "56000000-0000-4000-8000-000000000015", "argsrepr": "(5, 100)", )x"
        R"x("kwargsrepr": "{}", "origin": "gen811@capture", "ignore_result": false, )x"
        R"x("replaced_task_nesting": 1, "stamped_headers": null, "stamps": {}})x");
    EXPECT_EQ(
        encode_task_message(message).body,
        R"x([[5, 100], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])x");
}

TEST(Replace, TakesThePlaceOfTheTask) {
    Running task;
    task.part(4);
    task.message.replaced_task_nesting = 2;
    task.message.reply_to = "who asked";
    task.follow_ups.callbacks = {call_of("then")};
    task.follow_ups.errbacks = {call_of("oh")};
    const CanvasPlan plan = task.replaced_by(call_of("t"));
    EXPECT_THAT(shown(plan), ElementsAre("t own g 4 3"));
    const TaskMessage& message = plan.calls[0].message;
    EXPECT_EQ(message.reply_to, "who asked");
    EXPECT_EQ(embed(message, "callbacks").as_array().size(), 1U);
    EXPECT_EQ(embed(message, "errbacks").as_array().size(), 1U);
    EXPECT_EQ(embed(message, "chord").find("options")->find("task_id")->as_string(), "body-id");
}

TEST(Replace, ByAChainGoesOnWhereTheTaskWouldHave) {
    Running task;
    task.follow_ups.chain = {encode_signature(with_id(call_of("last"), "last-id")),
                             encode_signature(with_id(call_of("next"), "next-id"))};
    const CanvasPlan plan =
        task.replaced_by(value_or_throw(lovage::chain_of({call_of("a"), call_of("b")})));
    EXPECT_THAT(shown(plan), ElementsAre("a - - - 1"));
    std::vector<std::string> rest;
    for (const Json& step : embed(plan.calls[0].message, "chain").as_array()) {
        const Signature next = value_or_throw(decode_signature(step, "step"));
        rest.push_back(next.task + " " + next.task_id() + " " +
                       to_json_text(*next.option("replaced_task_nesting")));
    }
    EXPECT_THAT(rest,
                ElementsAre("last last-id 1", "next next-id 1", std::string{"b "} + kId + " 1"));
}

TEST(Replace, ByAChainInAChordCountsItsLastStep) {
    Running task;
    task.part(0);
    const CanvasPlan plan =
        task.replaced_by(value_or_throw(lovage::chain_of({call_of("a"), call_of("b")})));
    EXPECT_THAT(shown(plan), ElementsAre("a - - - 1"));
    const Signature last = value_or_throw(
        decode_signature(embed(plan.calls[0].message, "chain").as_array().front(), "step"));
    EXPECT_EQ(last.option("group_id")->as_string(), "g");
    EXPECT_EQ(last.option("group_index")->as_int64(), 0);
    EXPECT_NE(last.option("chord"), nullptr);
    EXPECT_TRUE(embed(plan.calls[0].message, "chord").is_null());
}

TEST(Replace, ByAGroupEndsInItsListUnderTheTasksId) {
    Running task;
    task.part(7);
    task.follow_ups.callbacks = {call_of("then")};
    const CanvasPlan plan = task.replaced_by(make_group({call_of("a"), call_of("b")}));
    ASSERT_EQ(plan.chords.size(), 1U);
    EXPECT_EQ(plan.chords[0].size, 2);
    const std::string header = plan.chords[0].group_id;
    EXPECT_THAT(shown(plan), ElementsAre("a - " + header + " 0 1", "b - " + header + " 1 1"));
    const Signature body =
        value_or_throw(decode_signature(embed(plan.calls[0].message, "chord"), "body"));
    EXPECT_EQ(body.task, "celery.accumulate");
    EXPECT_EQ(body.option("queue")->as_string(), "q") << "where somebody is";
    EXPECT_EQ(to_json_text(body.kwargs), R"({"index": 0})");
    EXPECT_EQ(body.task_id(), kId);
    EXPECT_EQ(body.option("group_id")->as_string(), "g");
    EXPECT_EQ(body.option("group_index")->as_int64(), 7);
    EXPECT_NE(body.option("chord"), nullptr);
    EXPECT_NE(body.option("link"), nullptr);
    EXPECT_EQ(body.option("replaced_task_nesting")->as_int64(), 1);
}

TEST(Replace, ByAChainThatEndsInAGroupLeavesTheIdToSomebody) {
    Running task;
    task.follow_ups.chain = {encode_signature(with_id(call_of("next"), "next-id"))};
    const CanvasPlan plan = task.replaced_by(value_or_throw(
        lovage::chain_of({call_of("first"), make_group({call_of("a"), call_of("b")})})));
    EXPECT_THAT(shown(plan), ElementsAre("first - - - 1"));
    const Json::Array rest = embed(plan.calls[0].message, "chain").as_array();
    ASSERT_EQ(rest.size(), 1U);
    const ChordParts parts =
        value_or_throw(parts_of(value_or_throw(decode_signature(rest[0], "chord"))));
    const std::vector<Signature> body = value_or_throw(tasks_of(parts.body));
    ASSERT_EQ(body.size(), 2U);
    EXPECT_EQ(body[0].task, "celery.accumulate");
    EXPECT_EQ(body[0].task_id(), kId);
    EXPECT_EQ(body[1].task_id(), "next-id");
}

TEST(Replace, KeepsTheTasksIdWhateverIdItsReplacementHas) {
    EXPECT_THAT(shown(Running{}.replaced_by(with_id(call_of("t"), "other"))),
                ElementsAre("t own - - 1"));
    const Signature chain =
        value_or_throw(lovage::chain_of({call_of("a"), with_id(call_of("b"), "other")}));
    EXPECT_THAT(to_json_text(embed(Running{}.replaced_by(chain).calls[0].message, "chain")),
                HasSubstr(kId));
}

TEST(Replace, GivesOtherIdsEachTime) {
    Running task;
    const Signature group = make_group({call_of("a"), call_of("b")});
    const CanvasPlan first = task.replaced_by(group);
    EXPECT_EQ(first.chords[0].group_id, task.replaced_by(group).chords[0].group_id)
        << "a task that is run twice sends the same";
    task.message.replaced_task_nesting = 1;
    EXPECT_NE(first.chords[0].group_id, task.replaced_by(group).chords[0].group_id);
}

TEST(Replace, AGroupOfNothingIsReplacedByTheListOfItsResults) {
    const CanvasPlan plan = Running{}.replaced_by(make_group({}));
    EXPECT_THAT(shown(plan), ElementsAre("celery.accumulate own - - 1"));
    EXPECT_EQ(to_json_text(plan.calls[0].message.args), "[[]]");
}

TEST(Replace, RefusesWhatCannotStandInForATask) {
    EXPECT_THAT(what_is_wrong(call_of("t")), IsEmpty());
    Signature part = call_of("t");
    part.options.set("chord", encode_signature(call_of("body")));
    EXPECT_THAT(what_is_wrong(part), HasSubstr("a part of another chord"));
    EXPECT_THAT(what_is_wrong(make_group({})), IsEmpty()) << "its results are an empty list";
    Signature chain = make_group({});
    chain.task = "celery.chain";
    chain.type = SignatureType::chain;
    EXPECT_THAT(what_is_wrong(chain), HasSubstr("a chain of nothing"));
}

TEST(AddToChord, IsAFurtherPartInTheTasksPlace) {
    Running task;
    const CanvasPlan plan = task.part(3).adding(call_of("more", Json::array({1})));
    EXPECT_THAT(shown(plan), ElementsAre("more added-id g 3 0"));
    EXPECT_EQ(embed(plan.calls[0].message, "chord").find("task")->as_string(), "body");
    EXPECT_EQ(plan.children.size(), 1U);
}

TEST(AddToChord, OfAGroupIsOnePart) {
    Running task;
    const CanvasPlan plan = task.part(3).adding(make_group({call_of("a"), call_of("b")}));
    ASSERT_EQ(plan.calls.size(), 2U);
    const Signature body =
        value_or_throw(decode_signature(embed(plan.calls[0].message, "chord"), "body"));
    EXPECT_EQ(body.task_id(), "added-id");
    EXPECT_EQ(body.option("group_id")->as_string(), "g");
}

TEST(AddToChord, NeedsAChord) {
    const Running task;
    const auto plan =
        plan_chord_addition(task.message, task.follow_ups, call_of("t"), "id", "q", TimePoint{});
    ASSERT_FALSE(plan);
    EXPECT_THAT(plan.error().detail, HasSubstr("no part of a chord"));
}

TEST(AddToChord, TheIdsAreTheSameWhenTheTaskRunsAgain) {
    EXPECT_EQ(chord_addition_id(kId, 0, 1), chord_addition_id(kId, 0, 1));
    EXPECT_NE(chord_addition_id(kId, 0, 1), chord_addition_id(kId, 0, 0));
    EXPECT_NE(chord_addition_id(kId, 0, 1), chord_addition_id(kId, 1, 1));
}

}  // namespace
}  // namespace lovage
