#include <lovage/core/follow_ups.hpp>

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/core/uuid.hpp>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::load_fixture;

/// Messages a Celery 5.2.6 worker and its client published, by name.
class Captured {
public:
    Captured() : fixture_{load_fixture("celery_messages.json")} {}

    TaskMessage operator[](const std::string& name) const {
        for (const Json& one : fixture_.find("messages")->as_array()) {
            if (one.find("name")->as_string() != name) continue;
            Message message{.properties = {},
                            .headers = *one.find("headers"),
                            .body = one.find("body")->as_string()};
            message.properties.correlation_id =
                one.find("properties")->find("correlation_id")->as_string();
            message.properties.reply_to = one.find("properties")->find("reply_to")->as_string();
            auto decoded = decode_task_message(message);
            if (!decoded) throw std::runtime_error{decoded.error().detail};
            return *decoded;
        }
        throw std::runtime_error{"no captured message " + name};
    }

private:
    Json fixture_;
};

CanvasPlanner::Caller caller(const TaskMessage& message) {
    return {message.id, message.root_id, TimePoint{}};
}

CanvasPlan after_success(const TaskMessage& message, const Json& result) {
    return value_or_throw(
        plan_success(value_or_throw(read_follow_ups(message.embed)), caller(message), result));
}

/// What the wire shows of a message that Celery and we must agree on: everything but who sent it
/// and properties that are the sender's business.
Json facts(const TaskMessage& message) {
    TaskMessage known = message;
    known.origin = "o";
    known.user_headers = Json::object();
    const Message wire = encode_task_message(known);
    Json headers = value_or_throw(wire.headers.fully_expanded());
    return Json::object({{"headers", headers}, {"body", wire.body}});
}

class FollowUpsTest : public testing::Test {
protected:
    Captured captured_;
};

TEST_F(FollowUpsTest, AChainGoesOnAsCelerysDoes) {
    const TaskMessage first = captured_["worker/chain#0"];
    const CanvasPlan second = after_success(first, 3);
    ASSERT_THAT(second.calls, SizeIs(1));
    EXPECT_EQ(facts(second.calls[0].message), facts(captured_["worker/chain#1"]));
    EXPECT_EQ(second.calls[0].message.reply_to, captured_["worker/chain#1"].reply_to);
    EXPECT_EQ(to_json_text(Json{second.children}),
              R"([[["d8052271-2978-46b5-82ed-6c03a992bf99", null], null]])");

    const CanvasPlan third = after_success(captured_["worker/chain#1"], 30);
    ASSERT_THAT(third.calls, SizeIs(1));
    EXPECT_EQ(facts(third.calls[0].message), facts(captured_["worker/chain#2"]));
    // The last step carries an empty chain, after which nothing comes.
    EXPECT_TRUE(value_or_throw(read_follow_ups(captured_["worker/chain#2"].embed)).empty());
}

TEST_F(FollowUpsTest, AnImmutableStepTakesNoResult) {
    const CanvasPlan plan = after_success(captured_["worker/chain_failing#0"], 3);
    ASSERT_THAT(plan.calls, SizeIs(1));
    EXPECT_EQ(facts(plan.calls[0].message), facts(captured_["worker/chain_failing#1"]));
}

TEST_F(FollowUpsTest, ACallbackIsCalledWithTheResult) {
    const TaskMessage parent = captured_["worker/link#0"];
    const CanvasPlan plan = after_success(parent, 4);
    ASSERT_THAT(plan.calls, SizeIs(1));
    TaskMessage theirs = captured_["worker/link#1"];
    theirs.id = plan.calls[0].message.id;  // theirs is a random one
    EXPECT_EQ(facts(plan.calls[0].message), facts(theirs));
    EXPECT_EQ(plan.calls[0].message.id, follow_up_id(parent.id, "callback/0"));
    EXPECT_EQ(after_success(parent, 5).calls[0].message.id, plan.calls[0].message.id);
}

TEST_F(FollowUpsTest, SeveralCallbacksAreAGroup) {
    const TaskMessage parent = captured_["producer/link_immutable_multi#0"];
    const CanvasPlan plan = after_success(parent, 4);
    ASSERT_THAT(plan.calls, SizeIs(2));
    const auto& [first, second] = std::pair{plan.calls[0].message, plan.calls[1].message};
    EXPECT_EQ(to_json_text(first.args), "[4, 10]");
    EXPECT_EQ(to_json_text(second.args), "[9, 9]");
    EXPECT_TRUE(first.group);
    EXPECT_EQ(first.group, second.group);
    EXPECT_EQ(second.group_index, 1);
    EXPECT_EQ(second.parent_id, parent.id);
    ASSERT_THAT(plan.children, SizeIs(1));
    EXPECT_EQ(to_json_text(plan.children[0]), "[[\"" + *first.group + "\", null], [[[\"" +
                                                  first.id + "\", null], null], [[\"" + second.id +
                                                  "\", null], null]]]");
}

TEST_F(FollowUpsTest, OptionsOfASignatureBecomeFields) {
    TaskMessage parent = captured_["producer/signature_options#0"];
    const CanvasPlan plan = after_success(parent, 4);
    ASSERT_THAT(plan.calls, SizeIs(1));
    EXPECT_EQ(plan.calls[0].queue, "other");
    EXPECT_EQ(plan.calls[0].message.eta, TimePoint{std::chrono::seconds{5}});
    EXPECT_EQ(to_json_text(plan.calls[0].message.kwargs), R"({"z": 1})");
}

TEST_F(FollowUpsTest, AChordBodyGetsTheListOfResults) {
    const TaskMessage last = captured_["worker/chord_done#2"];
    const FollowUps follow_ups = value_or_throw(read_follow_ups(last.embed));
    EXPECT_FALSE(follow_ups.empty());
    const CanvasPlan plan =
        value_or_throw(plan_chord_body(value_or_throw(decode_signature(follow_ups.chord, "body")),
                                       caller(last), Json::array({2, 4, 6})));
    ASSERT_THAT(plan.calls, SizeIs(1));
    EXPECT_EQ(facts(plan.calls[0].message), facts(captured_["worker/chord_done#3"]));
    // Nothing is sent after a part by itself.
    EXPECT_THAT(after_success(last, 6).calls, IsEmpty());
}

TEST_F(FollowUpsTest, ErrbacksGetTheTasksId) {
    const TaskMessage failed = captured_["worker/link_error#0"];
    const FollowUps follow_ups = value_or_throw(read_follow_ups(failed.embed));
    const CanvasPlan plan = value_or_throw(plan_errbacks(
        {follow_ups.errbacks.front()}, caller(failed), {}, [](const Signature&) { return false; }));
    ASSERT_THAT(plan.calls, SizeIs(1));
    TaskMessage theirs = captured_["worker/link_error#1"];
    theirs.id = plan.calls[0].message.id;
    theirs.group = plan.calls[0].message.group;
    theirs.group_index = 0;  // Celery 5.3.6 and later
    EXPECT_EQ(facts(plan.calls[0].message), facts(theirs));
}

TEST_F(FollowUpsTest, ErrbacksOfSeveralParametersAreToldEverything) {
    const TaskMessage failed = captured_["worker/link_error#0"];
    const FollowUps follow_ups = value_or_throw(read_follow_ups(failed.embed));
    const FailedCall what{Json::object({{"id", failed.id}}),
                          Json::object({{"exc_type", "ValueError"}}), Json{"Traceback"}};
    const CanvasPlan plan = value_or_throw(plan_errbacks(
        follow_ups.errbacks, caller(failed), what,
        [](const Signature& errback) { return errback.task == "tasks.on_error_new"; }));
    ASSERT_THAT(plan.calls, SizeIs(2));
    EXPECT_EQ(plan.calls[0].message.task, "tasks.on_error_new");
    EXPECT_EQ(to_json_text(plan.calls[0].message.args),
              R"([{"id": ")" + failed.id + R"("}, {"exc_type": "ValueError"}, "Traceback"])");
    EXPECT_EQ(to_json_text(plan.calls[1].message.args), "[\"" + failed.id + "\"]");
}

// As Celery's workers were seen to do; otherwise the tree of a workflow would depend on which part
// ends last.
TEST_F(FollowUpsTest, AChordsBodyIsAChildOfTheTaskThatTheChordFollows) {
    const TaskMessage first = captured_["producer/chain_with_group_middle#0"];
    const CanvasPlan plan = after_success(first, 2);
    ASSERT_FALSE(plan.calls.empty());
    TaskMessage part = plan.calls.front().message;
    EXPECT_EQ(part.parent_id, first.id);
    const FollowUps follow_ups = value_or_throw(read_follow_ups(part.embed));
    const CanvasPlan body =
        value_or_throw(plan_chord_body(value_or_throw(decode_signature(follow_ups.chord, "body")),
                                       caller(part), Json::array({1, 2})));
    ASSERT_THAT(body.calls, SizeIs(1));
    EXPECT_EQ(body.calls[0].message.parent_id, first.id);
    EXPECT_EQ(body.calls[0].message.root_id, first.root_id);
}

TEST_F(FollowUpsTest, AChainInThePlaceOfABodyIsAChildOfThePartThatEndsLast) {
    const TaskMessage last = captured_["worker/chord_done#2"];
    const Json step = Json::object({{"task", "tasks.add"}});
    Signature body{.task = "celery.chain", .type = SignatureType::chain};
    body.kwargs = Json::object({{"tasks", Json::array({step, step})}});
    body.options = Json::object({{"parent_id", "the task before the chord"}});
    const CanvasPlan plan =
        value_or_throw(plan_chord_body(body, caller(last), Json::array({1, 2})));
    ASSERT_THAT(plan.calls, SizeIs(1));
    EXPECT_EQ(plan.calls[0].message.parent_id, last.id);
}

TEST_F(FollowUpsTest, AGroupInTheMiddleOfAChainBecomesAChord) {
    const TaskMessage first = captured_["producer/chain_with_group_middle#0"];
    const CanvasPlan plan = after_success(first, 2);
    ASSERT_THAT(plan.chords, SizeIs(1));
    EXPECT_EQ(plan.chords[0].group_id, "19688e7d-95a1-49bc-afc4-0230202d8cba");
    EXPECT_EQ(plan.chords[0].size, 2);
    EXPECT_TRUE(plan.chords[0].structure.is_null());
    ASSERT_THAT(plan.calls, SizeIs(2));
    for (std::size_t i = 0; i < 2; ++i) {
        const TaskMessage& part = plan.calls[i].message;
        EXPECT_EQ(to_json_text(part.args), i == 0 ? "[2, 10]" : "[2, 20]");
        EXPECT_EQ(part.group, plan.chords[0].group_id);
        EXPECT_EQ(part.group_index, static_cast<std::int64_t>(i));
        EXPECT_EQ(part.root_id, first.id);
        const Json chord = *part.embed.find("chord");
        EXPECT_EQ(value_or_throw(decode_signature(chord, "body")).task_id(),
                  "bc5bf7cd-2514-4e2b-ab5b-c8836bd9e251");
    }
    EXPECT_EQ(plan.calls[0].message.id, "e4e3230c-e25b-497c-b84a-263c63adf666");
}

TEST_F(FollowUpsTest, NothingIsReadOfAMessageThatAsksForNothing) {
    EXPECT_TRUE(read_follow_ups(TaskMessage::default_embed())->empty());
    EXPECT_TRUE(read_follow_ups(Json::raw("{}"))->empty());
    EXPECT_TRUE(read_follow_ups(Json{})->empty());
}

TEST_F(FollowUpsTest, WhatCannotBeASignatureIsAnError) {
    const auto problem = [](const std::string& embed) {
        const auto read = read_follow_ups(Json::raw(embed));
        return read ? "read" : read.error().detail;
    };
    EXPECT_EQ(problem(R"({"callbacks": [3]})"), "callbacks 0 is no signature but 3");
    EXPECT_EQ(problem(R"({"chain": {}})"), "the chain is no list");
    EXPECT_EQ(problem(R"({"chain": [{}]})"), "the next step of the chain has no 'task'");
    EXPECT_EQ(problem(R"({"chord": []})"), "the body of the chord is no signature but []");
}

}  // namespace
}  // namespace lovage
