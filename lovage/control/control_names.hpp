#pragma once

#include <lovage/brokers/broker.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace lovage {

/// How the queues of remote control are declared; the settings of these names.
struct ControlQueueOptions {
    std::chrono::milliseconds ttl = std::chrono::seconds{300};     ///< control_queue_ttl
    std::chrono::milliseconds expires = std::chrono::seconds{10};  ///< control_queue_expires
    bool exclusive = false;                                        ///< control_queue_exclusive
    bool durable = false;                                          ///< control_queue_durable
};

/// A queue with the exchange it hangs on, to be declared in this order: exchange, queue, bindings.
struct ControlTopology {
    ExchangeDeclaration exchange;
    QueueDeclaration queue;
    Binding binding;
};

/// Names of remote control's exchanges and queues (celery-wire reference, sections 16.1 and 16.2;
/// kombu's pidbox). `control_exchange` is the setting's value.
class ControlNames {
public:
    explicit ControlNames(std::string_view control_exchange = "celery");

    /// Wire: "celery.pidbox", a fanout.
    [[nodiscard]] const std::string& request_exchange() const noexcept { return requests_; }
    /// Wire: "reply.celery.pidbox", direct.
    [[nodiscard]] const std::string& reply_exchange() const noexcept { return replies_; }
    /// Wire: "<node>.celery.pidbox"
    [[nodiscard]] std::string mailbox_queue(std::string_view node) const;
    /// Wire: "<oid>.reply.celery.pidbox"
    [[nodiscard]] std::string reply_queue(std::string_view oid) const;

    /// Where the worker `node` listens.
    [[nodiscard]] ControlTopology mailbox(std::string_view node,
                                          const ControlQueueOptions& options = {}) const;
    /// Where the asker `oid` (a UUID) waits for replies; requests carry reply_exchange() and `oid`
    /// as ReplyAddress.
    [[nodiscard]] ControlTopology reply_box(std::string_view oid,
                                            const ControlQueueOptions& options = {}) const;

private:
    std::string requests_;
    std::string replies_;
};

}  // namespace lovage
