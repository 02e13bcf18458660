#include <lovage/clients/redis/call_queue.hpp>
#include <lovage/clients/redis/test_replies.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lovage::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CallQueueTest : public testing::Test {
protected:
    /// A call of `commands` PINGs whose end is written down under `name`.
    std::shared_ptr<Call> call(std::string name, std::size_t commands = 1,
                               Resend resend = Resend::never) {
        auto made = std::make_shared<Call>();
        for (std::size_t index = 0; index < commands; ++index) made->commands.add({"PING", name});
        made->resend = resend;
        made->ended = [this, name] { ended_.push_back(name); };
        return made;
    }
    std::shared_ptr<Call> pushed(std::string name, std::size_t commands = 1,
                                 Resend resend = Resend::never) {
        auto made = call(std::move(name), commands, resend);
        EXPECT_TRUE(queue_.push(made));
        return made;
    }
    std::shared_ptr<Call> sent(std::string name, std::size_t commands = 1,
                               Resend resend = Resend::never) {
        auto made = pushed(std::move(name), commands, resend);
        EXPECT_EQ(queue_.take_unsent(), made);
        return made;
    }

    CallQueue queue_{{.calls = 4, .bytes = 200}};
    std::vector<std::string> ended_;
};

TEST_F(CallQueueTest, AnswersInTheOrderOfSending) {
    const auto first = sent("first", 2);
    const auto second = sent("second");
    EXPECT_TRUE(queue_.on_reply(status("1")));
    EXPECT_THAT(ended_, IsEmpty());
    EXPECT_TRUE(queue_.on_reply(status("2")));
    EXPECT_TRUE(queue_.on_reply(error("ERR 3")));
    EXPECT_THAT(ended_, ElementsAre("first", "second"));
    ASSERT_EQ(first->replies.size(), 2U);
    EXPECT_EQ(first->replies[1].text, "2");
    ASSERT_EQ(second->replies.size(), 1U);
    EXPECT_TRUE(second->replies[0].is_error());
    EXPECT_TRUE(queue_.empty());
    EXPECT_EQ(queue_.bytes(), 0U);
}

TEST_F(CallQueueTest, AnAnswerNobodyAskedForIsAFault) {
    EXPECT_FALSE(queue_.on_reply(status("OK")));
    EXPECT_FALSE(queue_.on_confirmation());
    pushed("not sent");
    EXPECT_FALSE(queue_.on_reply(status("OK")));
}

TEST_F(CallQueueTest, RefusesCallsBeyondItsLimitsAndTakesOneOfAnySizeWhenEmpty) {
    const auto huge = std::make_shared<Call>();
    huge->commands.add({"SET", "key", std::string(1000, 'x')});
    EXPECT_TRUE(queue_.push(huge));
    EXPECT_EQ(queue_.push(call("more bytes")).error().code, Errc::unavailable);
    queue_.abandon(huge);
    for (const char* name : {"1", "2", "3", "4"}) pushed(name);
    EXPECT_EQ(queue_.push(call("a fifth")).error().code, Errc::unavailable);
    queue_.push_unlimited(call("the client's own"));
    EXPECT_EQ(queue_.calls(), 5U);
}

TEST_F(CallQueueTest, ALostConnectionLeavesTheOutcomeUnknown) {
    const auto half_answered = sent("half", 2);
    EXPECT_TRUE(queue_.on_reply(status("OK")));
    const auto waiting = pushed("waiting");
    queue_.connection_lost("reset by peer");
    EXPECT_THAT(ended_, ElementsAre("half"));
    ASSERT_TRUE(half_answered->error);
    EXPECT_EQ(half_answered->error->code, Errc::unknown_outcome);
    EXPECT_THAT(half_answered->error->detail, testing::HasSubstr("reset by peer"));
    EXPECT_THAT(half_answered->replies, IsEmpty());

    EXPECT_EQ(queue_.take_unsent(), waiting) << "what was not sent waits for the next connection";
}

TEST_F(CallQueueTest, WhatMayBeRepeatedGoesOutAgainInItsOrder) {
    const auto first = sent("first", 2, Resend::when_unsure);
    sent("lost");
    const auto second = sent("second", 1, Resend::when_unsure);
    const auto third = pushed("third");
    EXPECT_TRUE(queue_.on_reply(status("old")));
    queue_.connection_lost("gone");
    EXPECT_THAT(ended_, ElementsAre("lost"));

    EXPECT_EQ(queue_.take_unsent(), first);
    EXPECT_EQ(queue_.take_unsent(), second);
    EXPECT_EQ(queue_.take_unsent(), third);
    for (const char* text : {"a", "b", "c", "d"}) EXPECT_TRUE(queue_.on_reply(status(text)));
    ASSERT_EQ(first->replies.size(), 2U);
    EXPECT_EQ(first->replies[0].text, "a") << "an answer of the lost connection does not count";
    EXPECT_THAT(ended_, ElementsAre("lost", "first", "second", "third"));
}

TEST_F(CallQueueTest, AnAbandonedCallIsNotSentOrItsRepliesAreDropped) {
    const auto started = sent("started");
    const auto waiting = pushed("waiting");
    const auto next = pushed("next");
    queue_.abandon(started);
    queue_.abandon(waiting);
    EXPECT_EQ(queue_.take_unsent(), next);
    EXPECT_TRUE(queue_.on_reply(status("for nobody")));
    EXPECT_TRUE(queue_.on_reply(status("for next")));
    EXPECT_THAT(ended_, ElementsAre("next"));
    EXPECT_THAT(started->replies, IsEmpty());
    EXPECT_EQ(queue_.bytes(), 0U);

    const auto repeatable = sent("repeatable", 1, Resend::when_unsure);
    queue_.abandon(repeatable);
    queue_.connection_lost("gone");
    EXPECT_TRUE(queue_.empty()) << "nobody wants it repeated";
    EXPECT_EQ(queue_.bytes(), 0U);
}

TEST_F(CallQueueTest, SubscriptionsEndWithTheirLastConfirmationOrAnError) {
    auto subscribe = call("subscribe");
    subscribe->confirmations = 2;
    EXPECT_TRUE(queue_.push(subscribe));
    (void)queue_.take_unsent();
    sent("ping");
    EXPECT_FALSE(queue_.on_reply(status("PONG"))) << "the confirmations come first";
    EXPECT_TRUE(queue_.on_confirmation());
    EXPECT_TRUE(queue_.on_confirmation());
    EXPECT_FALSE(queue_.on_confirmation());
    EXPECT_TRUE(queue_.on_reply(status("PONG")));
    EXPECT_THAT(ended_, ElementsAre("subscribe", "ping"));

    auto refused = call("refused");
    refused->confirmations = 3;
    EXPECT_TRUE(queue_.push(refused));
    (void)queue_.take_unsent();
    EXPECT_TRUE(queue_.on_reply(error("NOPERM no channels for you")));
    ASSERT_TRUE(refused->error);
    EXPECT_EQ(refused->error->code, Errc::rejected);
}

TEST_F(CallQueueTest, TheEndTellsWhatWasSentFromWhatWasNot) {
    const auto started = sent("started", 1, Resend::when_unsure);
    const auto again = sent("again", 1, Resend::when_unsure);
    const auto waiting = pushed("waiting");
    queue_.connection_lost("gone");
    queue_.end_all({Errc::closed, "closed"});
    EXPECT_EQ(started->error->code, Errc::unknown_outcome);
    EXPECT_EQ(again->error->code, Errc::unknown_outcome);
    EXPECT_EQ(waiting->error->code, Errc::closed);
    EXPECT_TRUE(queue_.empty());
    EXPECT_EQ(queue_.bytes(), 0U);
}

TEST_F(CallQueueTest, ABlockingCallAtTheFrontExcusesSilence) {
    EXPECT_EQ(queue_.allowed_silence().count(), 0);
    sent("quick");
    auto blocking = call("blocking");
    blocking->blocks_for = std::chrono::seconds{5};
    EXPECT_TRUE(queue_.push(blocking));
    (void)queue_.take_unsent();
    EXPECT_EQ(queue_.allowed_silence().count(), 0);
    EXPECT_TRUE(queue_.on_reply(status("OK")));
    EXPECT_EQ(queue_.allowed_silence(), std::chrono::seconds{5});
}

}  // namespace
}  // namespace lovage::redis
