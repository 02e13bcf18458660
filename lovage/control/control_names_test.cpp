#include <lovage/control/control_names.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

// What a worker of 5.2.6 declares, as rabbitmqctl lists it.
TEST(ControlNames, DeclareAMailboxAsCeleryDoes) {
    const ControlTopology mailbox = ControlNames{}.mailbox("worker@capture");
    EXPECT_EQ(mailbox.exchange.name, "celery.pidbox");
    EXPECT_EQ(mailbox.exchange.type, ExchangeType::fanout);
    EXPECT_FALSE(mailbox.exchange.durable);
    EXPECT_FALSE(mailbox.exchange.auto_delete);
    EXPECT_EQ(mailbox.queue.name, "worker@capture.celery.pidbox");
    EXPECT_FALSE(mailbox.queue.durable);
    EXPECT_FALSE(mailbox.queue.exclusive);
    EXPECT_TRUE(mailbox.queue.auto_delete);
    EXPECT_EQ(mailbox.queue.expires, 10s);
    EXPECT_EQ(mailbox.queue.message_ttl, 300s);
    EXPECT_EQ(mailbox.binding.queue, mailbox.queue.name);
    EXPECT_EQ(mailbox.binding.exchange, "celery.pidbox");
    EXPECT_EQ(mailbox.binding.routing_key, "");
}

TEST(ControlNames, DeclareAReplyBoxAsCeleryDoes) {
    const ControlTopology box = ControlNames{}.reply_box("f6b5");
    EXPECT_EQ(box.exchange.name, "reply.celery.pidbox");
    EXPECT_EQ(box.exchange.type, ExchangeType::direct);
    EXPECT_FALSE(box.exchange.durable);
    EXPECT_EQ(box.queue.name, "f6b5.reply.celery.pidbox");
    EXPECT_TRUE(box.queue.auto_delete);
    EXPECT_EQ(box.queue.expires, 10s);
    EXPECT_EQ(box.binding.routing_key, "f6b5");
}

TEST(ControlNames, FollowTheSettings) {
    const ControlNames names{"staging"};
    const ControlTopology mailbox =
        names.mailbox("w@h", {.ttl = 1s, .expires = 2s, .exclusive = true, .durable = false});
    EXPECT_EQ(names.request_exchange(), "staging.pidbox");
    EXPECT_EQ(names.reply_exchange(), "reply.staging.pidbox");
    EXPECT_EQ(mailbox.queue.name, "w@h.staging.pidbox");
    EXPECT_TRUE(mailbox.queue.exclusive);
    EXPECT_EQ(mailbox.queue.message_ttl, 1s);
    EXPECT_EQ(mailbox.queue.expires, 2s);
}

}  // namespace
}  // namespace lovage
