#include <lovage/brokers/amqp/delay_queues.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::amqp_broker {
namespace {

using namespace std::chrono_literals;
using ::testing::Eq;
using ::testing::Optional;

QueueDeclaration quorum(std::string name) {
    QueueDeclaration queue{.name = std::move(name)};
    queue.arguments.set("x-queue-type", "quorum");
    return queue;
}

TEST(DelayRung, IsTheLongestThatIsNotLongerThanTheDelay) {
    EXPECT_EQ(rung_for(999ms), std::nullopt);
    EXPECT_THAT(rung_for(1s), Optional(Eq(1s)));
    EXPECT_THAT(rung_for(1999ms), Optional(Eq(1s)));
    EXPECT_THAT(rung_for(2s), Optional(Eq(2s)));
    EXPECT_THAT(rung_for(24h), Optional(Eq(65'536s)));
    EXPECT_THAT(rung_for(std::chrono::milliseconds::max()), Optional(Eq(kLongestRung)));
    EXPECT_EQ(rung_for(-5s), std::nullopt);
}

TEST(DelayRung, BringsEveryDelayToItsEndInFewSteps) {
    int steps = 0;
    for (std::chrono::milliseconds left = 24h; left >= 1s; left -= *rung_for(left)) ++steps;
    EXPECT_LE(steps, 17);
}

TEST(DelayQueue, SendsWhatExpiredToItsWorkQueue) {
    const QueueDeclaration queue = delay_queue({.name = "mail", .max_priority = 9}, 64s);
    EXPECT_EQ(queue.name, "mail.delay.64s");
    EXPECT_TRUE(queue.durable);
    EXPECT_THAT(queue.message_ttl, Optional(Eq(64'000ms)));
    EXPECT_EQ(queue.max_priority, std::nullopt);
    EXPECT_EQ(to_json_text(queue.arguments),
              R"({"x-queue-type": "classic", "x-dead-letter-exchange": "", )"
              R"("x-dead-letter-routing-key": "mail"})");
}

TEST(DelayQueue, OutlivesEveryMessagePutIntoItWhileItIsFresh) {
    for (const auto rung : all_rungs()) {
        const QueueDeclaration queue = delay_queue({.name = "q"}, rung);
        ASSERT_TRUE(queue.expires);
        EXPECT_GE(*queue.expires, *queue.message_ttl + kDelayQueueIdle);
        // What RabbitMQ takes: 32 bits of milliseconds.
        EXPECT_LT(queue.expires->count(), std::int64_t{1} << 32);
    }
}

TEST(DelayQueue, OfAQuorumQueueIsOneThatStaysAndConfirms) {
    const QueueDeclaration queue = delay_queue(quorum("mail"), 1s);
    EXPECT_EQ(queue.expires, std::nullopt);
    EXPECT_EQ(to_json_text(queue.arguments),
              R"({"x-queue-type": "quorum", "x-dead-letter-exchange": "", )"
              R"("x-dead-letter-routing-key": "mail", )"
              R"("x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"})");
}

TEST(DelayQueues, AreDeclaredAgainBeforeTheyMayBeGone) {
    DelayQueues queues;
    const DelayQueues::Time start{};
    ASSERT_TRUE(queues.to_declare("q", 4s, start));
    queues.declared("q.delay.4s", start);
    EXPECT_FALSE(queues.to_declare("q", 4s, start + 29min));
    EXPECT_TRUE(queues.to_declare("q", 8s, start + 29min));
    EXPECT_TRUE(queues.to_declare("q", 4s, start + 30min));
    queues.declared("q.delay.4s", start + 30min);
    EXPECT_FALSE(queues.to_declare("q", 4s, start + 31min));
    queues.gone("q.delay.4s");
    EXPECT_TRUE(queues.to_declare("q", 4s, start + 31min));
}

TEST(DelayQueues, HaveTheTypeOfTheirWorkQueue) {
    DelayQueues queues;
    queues.work_queue(quorum("q"));
    EXPECT_TRUE(queues.is_quorum("q"));
    EXPECT_FALSE(queues.is_quorum("other"));
    EXPECT_EQ(*queues.to_declare("q", 4s, {})->arguments.find("x-queue-type"), Json{"quorum"});
    EXPECT_EQ(*queues.to_declare("other", 4s, {})->arguments.find("x-queue-type"), Json{"classic"});
}

Json death(std::string queue) {
    return Json::object({{"count", 1}, {"reason", "expired"}, {"queue", std::move(queue)}});
}

TEST(DelayQueues, AreNotLookedForWhereQueuesGoWithTheirConsumer) {
    DelayQueues queues;
    queues.work_queue({.name = "work"});
    queues.work_queue({.name = "replies", .auto_delete = true});
    EXPECT_TRUE(queues.may_delay("work"));
    EXPECT_TRUE(queues.may_delay("declared elsewhere"));
    EXPECT_FALSE(queues.may_delay("replies"));
    queues.forget("replies");
    EXPECT_TRUE(queues.may_delay("replies"));
}

TEST(DelayQueues, RememberNoQueueThatHasGoneWithItsConsumer) {
    DelayQueues queues;
    queues.work_queue({.name = "replies", .auto_delete = true});
    QueueDeclaration work;
    work.name = "work";
    work.arguments.set("x-queue-type", "quorum");
    queues.work_queue(work);
    queues.consumer_gone("replies");
    queues.consumer_gone("work");
    EXPECT_TRUE(queues.may_delay("replies"));
    EXPECT_TRUE(queues.is_quorum("work"));
}

TEST(DelayMarks, AreErasedWithTheHeadersThatSayTheSame) {
    Json headers =
        Json::object({{"task", "t"},
                      {"x-death", Json::array({death("q.delay.64s"), death("q.delay.4s")})},
                      {"x-first-death-exchange", ""},
                      {"x-first-death-queue", "q.delay.4s"},
                      {"x-first-death-reason", "expired"}});
    erase_delay_marks(headers);
    EXPECT_EQ(to_json_text(headers), R"({"task": "t"})");
}

TEST(DelayMarks, OfOthersStay) {
    Json headers =
        Json::object({{"x-death", Json::array({death("q.delay.4s"), death("q.delay"),
                                               death("q.delay.s"), death("q.delay.4m")})},
                      {"x-first-death-queue", "q.delay"}});
    erase_delay_marks(headers);
    EXPECT_EQ(headers.find("x-death")->as_array().size(), 3U);
    EXPECT_NE(headers.find("x-first-death-queue"), nullptr);

    Json odd = Json::object({{"x-death", "none"}});
    erase_delay_marks(odd);
    EXPECT_EQ(to_json_text(odd), R"({"x-death": "none"})");
}

}  // namespace
}  // namespace lovage::amqp_broker
