#include <lovage/clients/amqp/topology.hpp>

#include <fmt/format.h>

#include <utility>

namespace lovage::amqp {

Request declare_request(const ExchangeSpec& exchange) {
    return Request::make(exchange::Declare{.exchange = exchange.name,
                                           .type = exchange.type,
                                           .durable = exchange.durable,
                                           .auto_delete = exchange.auto_delete,
                                           .arguments = exchange.arguments},
                         exchange::DeclareOk::kId);
}

Request declare_request(const QueueSpec& queue) {
    return Request::make(queue::Declare{.queue = queue.name,
                                        .durable = queue.durable,
                                        .exclusive = queue.exclusive,
                                        .auto_delete = queue.auto_delete,
                                        .arguments = queue.arguments},
                         queue::DeclareOk::kId);
}

Request bind_request(const BindingSpec& binding) {
    return Request::make(queue::Bind{.queue = binding.queue,
                                     .exchange = binding.exchange,
                                     .routing_key = binding.routing_key,
                                     .arguments = binding.arguments},
                         queue::BindOk::kId);
}

Request look_up_request(const std::string& queue) {
    return Request::make(queue::Declare{.queue = queue, .passive = true}, queue::DeclareOk::kId);
}

Request purge_request(const std::string& queue) {
    return Request::make(queue::Purge{.queue = queue}, queue::PurgeOk::kId);
}

Request delete_request(const std::string& queue) {
    return Request::make(queue::Delete{.queue = queue}, queue::DeleteOk::kId);
}

void Topology::remember(const ExchangeSpec& exchange, Request request) {
    exchanges_.insert_or_assign(exchange.name, std::move(request));
}

void Topology::remember(const QueueSpec& queue, Request request) {
    queues_.insert_or_assign(queue.name, std::move(request));
    if (queue.auto_delete) {
        auto_delete_.insert(queue.name);
    } else {
        auto_delete_.erase(queue.name);
    }
}

void Topology::remember(const BindingSpec& binding, Request request) {
    bindings_.insert_or_assign({binding.queue, binding.exchange, binding.routing_key},
                               std::move(request));
}

void Topology::forget_queue(const std::string& queue) {
    queues_.erase(queue);
    auto_delete_.erase(queue);
    std::erase_if(bindings_, [&](const auto& binding) { return binding.first.queue == queue; });
}

void Topology::forget_if_auto_delete(const std::string& queue) {
    if (auto_delete_.contains(queue)) forget_queue(std::string{queue});
}

std::vector<std::pair<std::string, Request>> Topology::replay() const {
    std::vector<std::pair<std::string, Request>> requests;
    requests.reserve(exchanges_.size() + queues_.size() + bindings_.size());
    for (const auto& [name, request] : exchanges_) {
        requests.emplace_back(fmt::format("exchange '{}'", name), request);
    }
    for (const auto& [name, request] : queues_) {
        requests.emplace_back(fmt::format("queue '{}'", name), request);
    }
    for (const auto& [key, request] : bindings_) {
        requests.emplace_back(
            fmt::format("binding of queue '{}' to exchange '{}'", key.queue, key.exchange),
            request);
    }
    return requests;
}

std::vector<std::string> Topology::queue_names() const {
    std::vector<std::string> names;
    names.reserve(queues_.size());
    for (const auto& [name, request] : queues_) names.push_back(name);
    return names;
}

}  // namespace lovage::amqp
