#include <lovage/clients/amqp/topology.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lovage::amqp {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

Topology with_queue(bool auto_delete) {
    Topology topology;
    const QueueSpec queue{.name = "replies", .auto_delete = auto_delete};
    topology.remember(queue, declare_request(queue));
    const BindingSpec binding{.queue = "replies", .exchange = "reply.celery.pidbox"};
    topology.remember(binding, bind_request(binding));
    return topology;
}

TEST(AmqpTopology, WhatGoesWithItsConsumerIsNotMadeAgain) {
    Topology topology = with_queue(true);
    topology.forget_if_auto_delete("replies");
    EXPECT_THAT(topology.replay(), SizeIs(0));
}

TEST(AmqpTopology, WhatStaysWithoutConsumersIsMadeAgain) {
    Topology topology = with_queue(false);
    topology.forget_if_auto_delete("replies");
    EXPECT_THAT(topology.queue_names(), ElementsAre("replies"));
    EXPECT_THAT(topology.replay(), SizeIs(2));
}

TEST(AmqpTopology, TheLastDeclarationSaysWhetherItGoes) {
    Topology topology = with_queue(true);
    const QueueSpec kept{.name = "replies"};
    topology.remember(kept, declare_request(kept));
    topology.forget_if_auto_delete("replies");
    EXPECT_THAT(topology.queue_names(), ElementsAre("replies"));
}

}  // namespace
}  // namespace lovage::amqp
