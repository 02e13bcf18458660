#include <lovage/control/control_names.hpp>

#include <fmt/format.h>

namespace lovage {
namespace {

/// Both kinds of queue hold what is worthless once nobody reads it.
QueueDeclaration control_queue(std::string name, const ControlQueueOptions& options) {
    return {.name = std::move(name),
            .durable = options.durable,
            .exclusive = options.exclusive,
            .auto_delete = true,
            .expires = options.expires,
            .message_ttl = options.ttl};
}

}  // namespace

ControlNames::ControlNames(std::string_view control_exchange)
    : requests_{fmt::format("{}.pidbox", control_exchange)},
      replies_{fmt::format("reply.{}.pidbox", control_exchange)} {}

std::string ControlNames::mailbox_queue(std::string_view node) const {
    return fmt::format("{}.{}", node, requests_);
}

std::string ControlNames::reply_queue(std::string_view oid) const {
    return fmt::format("{}.{}", oid, replies_);
}

ControlTopology ControlNames::mailbox(std::string_view node,
                                      const ControlQueueOptions& options) const {
    return {.exchange = {.name = requests_, .type = ExchangeType::fanout, .durable = false},
            .queue = control_queue(mailbox_queue(node), options),
            .binding = {
                .queue = mailbox_queue(node), .exchange = requests_, .routing_key = std::string{}}};
}

ControlTopology ControlNames::reply_box(std::string_view oid,
                                        const ControlQueueOptions& options) const {
    return {.exchange = {.name = replies_, .type = ExchangeType::direct, .durable = false},
            .queue = control_queue(reply_queue(oid), options),
            .binding = {
                .queue = reply_queue(oid), .exchange = replies_, .routing_key = std::string{oid}}};
}

}  // namespace lovage
