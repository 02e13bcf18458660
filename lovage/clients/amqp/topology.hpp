#pragma once

#include <lovage/clients/amqp/channel.hpp>
#include <lovage/core/json.hpp>

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace lovage::amqp {

struct ExchangeSpec {
    std::string name;
    std::string type = "direct";
    bool durable = true;
    bool auto_delete = false;
    Json arguments = Json::object();
};

struct QueueSpec {
    std::string name;
    bool durable = true;
    bool exclusive = false;
    bool auto_delete = false;
    Json arguments = Json::object();
};

struct BindingSpec {
    std::string queue;
    std::string exchange;
    std::string routing_key;
    Json arguments = Json::object();
};

// The requests of the client's operations.
[[nodiscard]] Request declare_request(const ExchangeSpec& exchange);
[[nodiscard]] Request declare_request(const QueueSpec& queue);
[[nodiscard]] Request bind_request(const BindingSpec& binding);
/// Asks for a queue without making it.
[[nodiscard]] Request look_up_request(const std::string& queue);
[[nodiscard]] Request purge_request(const std::string& queue);
[[nodiscard]] Request delete_request(const std::string& queue);

/// What was declared through a client, as the requests that declare it again after a reconnect: a
/// restarted broker has lost what was not durable, and a replaced one everything.
///
/// Pure state; not thread-safe.
class Topology {
public:
    void remember(const ExchangeSpec& exchange, Request request);
    void remember(const QueueSpec& queue, Request request);
    void remember(const BindingSpec& binding, Request request);
    /// With its bindings.
    void forget_queue(const std::string& queue);
    /// The same if it was declared to go with its last consumer.
    void forget_if_auto_delete(const std::string& queue);

    /// In the order in which they must be made, each with what messages call it.
    [[nodiscard]] std::vector<std::pair<std::string, Request>> replay() const;
    [[nodiscard]] std::vector<std::string> queue_names() const;

private:
    struct BindingKey {
        std::string queue;
        std::string exchange;
        std::string routing_key;
        friend auto operator<=>(const BindingKey&, const BindingKey&) = default;
    };
    std::map<std::string, Request> exchanges_;
    std::map<std::string, Request> queues_;
    std::set<std::string> auto_delete_;
    std::map<BindingKey, Request> bindings_;
};

}  // namespace lovage::amqp
