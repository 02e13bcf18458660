// What every broker owes to who looks after queues: purge, status, declarations, expiry.
#include <lovage/brokers/conformance_suite.hpp>

#include <gmock/gmock.h>

#include <string>

namespace lovage::conformance {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_P(BrokerConformance, PurgeTakesWhatWaitsAndNotWhatIsUnsettled) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"out", "a", "b"}) client.send("q", body);
    ASSERT_TRUE(client.publish({.routing_key = "q", .message = {.body = std::string(5000, 'x')}}));
    const auto consumer = client.consume({"q"}, 1);
    const Delivery out = consumer->receive_one();
    EXPECT_EQ(client.run(client.broker().purge("q", soon())).value(), 3U);
    EXPECT_EQ(client.status("q").unsettled, 1U);
    consumer->reject(out, Requeue::yes);
    EXPECT_EQ(consumer->receive_one().message.body, "out");
    EXPECT_EQ(client.run(client.broker().purge("none", soon())).error().code, Errc::not_found);
}

TEST_P(BrokerConformance, StatusCounts) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 1);
    (void)consumer->receive_one();
    const QueueStatus status = client.status("q");
    EXPECT_EQ(status.ready, 2U);
    EXPECT_EQ(status.unsettled, 1U);
    EXPECT_EQ(status.delayed, 0U);
    EXPECT_EQ(status.consumers, 1U);
    EXPECT_EQ(client.run(client.broker().queue_status("none", soon())).error().code,
              Errc::not_found);
}

TEST_P(BrokerConformance, QueuesAreListedSorted) {
    Client client{*store_};
    for (const char* name : {"b", "a", "c"}) client.queue(name);
    EXPECT_THAT(client.run(client.broker().list_queues(soon())).value(),
                ElementsAre("a", "b", "c"));
}

TEST_P(BrokerConformance, RedeclaringDifferentlyIsAConflictThatNamesQueueAndArgument) {
    Client client{*store_};
    QueueDeclaration queue{.name = "q", .max_priority = 5, .message_ttl = 1000ms};
    queue.arguments.set("x-mine", 1);
    ASSERT_TRUE(client.declare(queue));
    EXPECT_TRUE(client.declare(queue));
    const auto refused_for = [&](QueueDeclaration other, std::string_view argument) {
        const auto refused = client.declare(std::move(other));
        ASSERT_FALSE(refused) << argument;
        EXPECT_EQ(refused.error().code, Errc::conflict);
        EXPECT_THAT(refused.error().detail, HasSubstr("'q'"));
        EXPECT_THAT(refused.error().detail, HasSubstr(argument));
    };
    auto other = queue;
    other.max_priority = 6;
    refused_for(other, "max_priority");
    other = queue;
    other.message_ttl.reset();
    refused_for(other, "message_ttl");
    other = queue;
    other.auto_delete = true;
    refused_for(other, "auto_delete");
    other = queue;
    other.arguments.set("x-mine", 2);
    if (GetParam().compares_unknown_arguments) refused_for(other, "arguments");
    EXPECT_EQ(client.declare({.name = ""}).error().code, Errc::invalid_argument);
}

TEST_P(BrokerConformance, AQueueCanBeAddedToAConsumerAndCancelled) {
    Client client{*store_};
    for (const char* name : {"a", "b"}) client.queue(name);
    client.send("b", "1");
    const auto consumer = client.consume({"a"}, 5);
    EXPECT_TRUE(consumer->nothing_comes());
    ASSERT_TRUE(client.run(consumer->consumer().add_queue("b", soon())));
    const Delivery got = consumer->receive_one();
    EXPECT_EQ(got.queue, "b");
    EXPECT_EQ(client.status("b").consumers, 1U);
    ASSERT_TRUE(client.run(consumer->consumer().cancel_queue("b", soon())));
    EXPECT_EQ(client.status("b").consumers, 0U);
    client.send("b", "2");
    client.send("a", "3");
    EXPECT_EQ(consumer->receive_one().message.body, "3");
    EXPECT_TRUE(consumer->nothing_comes());
    consumer->ack_all({got});
    EXPECT_EQ(client.status("b").unsettled, 0U);
    EXPECT_EQ(client.run(consumer->consumer().add_queue("none", soon())).error().code,
              Errc::not_found);
}

TEST_P(BrokerConformance, ConsumingNeedsExistingQueuesAndAPossiblePrefetch) {
    Client client{*store_};
    auto& broker = client.broker();
    client.queue("q");
    EXPECT_EQ(client.run(broker.consume({.queues = {"none"}}, soon())).error().code,
              Errc::not_found);
    EXPECT_EQ(client.run(broker.consume({.queues = {"q"}, .prefetch = 0}, soon())).error().code,
              Errc::invalid_argument);
}

TEST_P(BrokerConformance, AnAutoDeleteQueueGoesWithItsLastConsumer) {
    Client client{*store_};
    Client other{*store_};
    ASSERT_TRUE(client.declare({.name = "q", .auto_delete = true}));
    client.send("q", "a");
    auto first = client.consume({"q"}, 1);
    auto second = other.consume({"q"}, 1);
    ASSERT_TRUE(client.run(first->consumer().close(soon())));
    EXPECT_EQ(client.status("q").consumers, 1U);
    ASSERT_TRUE(other.run(second->consumer().close(soon())));
    EXPECT_THAT(client.run(client.broker().list_queues(soon())).value(), IsEmpty());
}

TEST_P(BrokerConformance, AnExclusiveQueueIsItsConnectionsOwnAndGoesWithIt) {
    Client other{*store_};
    {
        Client client{*store_};
        ASSERT_TRUE(client.declare({.name = "mine", .exclusive = true}));
        client.send("mine", "a");
        other.send("mine", "b");
        EXPECT_EQ(other.declare({.name = "mine", .exclusive = true}).error().code, Errc::conflict);
        EXPECT_EQ(other.run(other.broker().consume({.queues = {"mine"}}, soon())).error().code,
                  Errc::conflict);
        EXPECT_THAT(bodies(client.consume({"mine"}, 2)->receive_many(2)), ElementsAre("a", "b"));
    }
    EXPECT_THAT(other.run(other.broker().list_queues(soon())).value(), IsEmpty());
}

TEST_P(BrokerConformance, AnUnusedQueueExpiresAndAUsedOneDoesNot) {
    Client client{*store_};
    ASSERT_TRUE(client.declare({.name = "used", .expires = 2000ms}));
    const auto consumer = client.consume({"used"}, 1);
    ASSERT_TRUE(client.declare({.name = "unused", .expires = 2000ms}));
    const Deadline limit = soon();
    // Looking at a queue is using it, for RabbitMQ; publishing to it is not.
    Result<void> sent;
    while (sent && !limit.passed()) {
        (void)consumer->receive(Deadline::in(20ms));
        sent = client.publish({.routing_key = "unused", .message = {.body = "x"}});
    }
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Errc::unroutable);
    EXPECT_THAT(client.run(client.broker().list_queues(soon())).value(), ElementsAre("used"));
}

TEST_P(BrokerConformance, DeletingAQueueTellsItsConsumer) {
    Client client{*store_};
    for (const char* name : {"gone", "kept"}) client.queue(name);
    client.send("gone", "a");
    const auto consumer = client.consume({"gone", "kept"}, 2);
    const Delivery out = consumer->receive_one();
    auto waiting = client.start(consumer->consumer().receive(soon()));
    ASSERT_TRUE(client.run(client.broker().delete_queue("gone", soon())));
    const auto told = waiting.get();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::not_found);
    EXPECT_THAT(told.error().detail, HasSubstr("gone"));
    client.send("kept", "b");
    EXPECT_EQ(consumer->receive_one().message.body, "b");
    consumer->ack(out);
    consumer->flush();
    EXPECT_EQ(consumer->consumer().stale_settlements(), 1U);
    EXPECT_EQ(client.run(client.broker().delete_queue("gone", soon())).error().code,
              Errc::not_found);
}

}  // namespace lovage::conformance
