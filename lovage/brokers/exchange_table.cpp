#include <lovage/brokers/exchange_table.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace lovage {

namespace {

/// Takes the first word off `rest`; a key always has at least one word, possibly empty.
std::string_view take_word(std::string_view& rest, bool& more) {
    const auto dot = rest.find('.');
    const std::string_view word = rest.substr(0, dot);
    more = dot != std::string_view::npos;
    rest = more ? rest.substr(dot + 1) : std::string_view{};
    return word;
}

/// A place in a dotted text: what is left, and whether any word is.
struct Place {
    std::string_view rest;
    bool more = true;
};

}  // namespace

bool topic_matches(std::string_view pattern, std::string_view routing_key) noexcept {
    // The classic wildcard match with one point to go back to: the last `#` and how far it reached.
    Place in_pattern{pattern};
    Place in_key{routing_key};
    // AMQP: the empty routing key has no words at all, so only "#" (or the empty pattern) takes it.
    if (routing_key.empty()) in_key.more = false;
    if (pattern.empty()) in_pattern.more = false;
    bool can_retry = false;
    Place after_hash;
    Place hash_reached;
    while (true) {
        if (in_pattern.more) {
            Place next_pattern = in_pattern;
            const std::string_view word = take_word(next_pattern.rest, next_pattern.more);
            if (word == "#") {
                can_retry = true;
                after_hash = in_pattern = next_pattern;
                hash_reached = in_key;
                continue;
            }
            if (in_key.more) {
                Place next_key = in_key;
                const std::string_view key_word = take_word(next_key.rest, next_key.more);
                if (word == "*" || word == key_word) {
                    in_pattern = next_pattern;
                    in_key = next_key;
                    continue;
                }
            }
        } else if (!in_key.more) {
            return true;
        }
        if (!can_retry || !hash_reached.more) return false;
        (void)take_word(hash_reached.rest, hash_reached.more);
        in_key = hash_reached;
        in_pattern = after_hash;
    }
}

void ExchangeTable::add_queue(std::string name, QueueKey key) {
    queues_.insert_or_assign(std::move(name), key);
}

void ExchangeTable::remove_queue(std::string_view name) {
    const auto found = queues_.find(name);
    if (found == queues_.end()) return;
    for (auto exchange = exchanges_.begin(); exchange != exchanges_.end();) {
        auto& bindings = exchange->second.bindings;
        const auto removed = std::erase_if(
            bindings, [&](const Bound& bound) { return bound.queue == found->first; });
        const bool unused = removed > 0 && bindings.empty();
        exchange = unused && exchange->second.declaration.auto_delete ? exchanges_.erase(exchange)
                                                                      : std::next(exchange);
    }
    queues_.erase(found);
}

const ExchangeTable::QueueKey* ExchangeTable::find_queue(std::string_view name) const {
    const auto found = queues_.find(name);
    return found == queues_.end() ? nullptr : &found->second;
}

std::vector<std::string> ExchangeTable::queue_names() const {
    std::vector<std::string> names;
    names.reserve(queues_.size());
    for (const auto& [name, key] : queues_) names.push_back(name);
    std::ranges::sort(names);
    return names;
}

Result<void> ExchangeTable::declare_exchange(const ExchangeDeclaration& declaration) {
    if (declaration.name.empty()) {
        return fail(Errc::invalid_argument, "the default exchange (empty name) cannot be declared");
    }
    const auto [place, added] = exchanges_.try_emplace(declaration.name, Exchange{declaration, {}});
    if (added) return {};
    const ExchangeDeclaration& existing = place->second.declaration;
    const auto conflict = [&](std::string_view property, auto is, auto wanted) {
        return fail(
            Errc::conflict,
            fmt::format(
                "exchange '{}' exists with {} {}, not {}: use another name or declare it alike",
                declaration.name, property, is, wanted));
    };
    if (existing.type != declaration.type) {
        return conflict("type", to_string(existing.type), to_string(declaration.type));
    }
    if (existing.durable != declaration.durable) {
        return conflict("durable", existing.durable, declaration.durable);
    }
    if (existing.auto_delete != declaration.auto_delete) {
        return conflict("auto_delete", existing.auto_delete, declaration.auto_delete);
    }
    return {};
}

Result<void> ExchangeTable::bind(const Binding& binding) {
    if (binding.exchange.empty()) {
        return fail(
            Errc::invalid_argument,
            "every queue is bound to the default exchange (empty name) by its own name; no other "
            "binding is possible");
    }
    const auto exchange = exchanges_.find(binding.exchange);
    if (exchange == exchanges_.end()) {
        return fail(Errc::not_found, fmt::format("no exchange named '{}'", binding.exchange));
    }
    if (!queues_.contains(binding.queue)) {
        return fail(Errc::not_found, fmt::format("no queue named '{}'", binding.queue));
    }
    auto& bindings = exchange->second.bindings;
    Bound bound{binding.routing_key, binding.queue};
    if (std::ranges::find(bindings, bound) == bindings.end()) bindings.push_back(std::move(bound));
    return {};
}

Result<void> ExchangeTable::route(std::string_view exchange, std::string_view routing_key,
                                  std::vector<QueueKey>& queues) const {
    if (exchange.empty()) {
        if (const QueueKey* key = find_queue(routing_key)) queues.push_back(*key);
        return {};
    }
    const auto found = exchanges_.find(exchange);
    if (found == exchanges_.end()) {
        return fail(Errc::not_found, fmt::format("no exchange named '{}'", exchange));
    }
    for (const Bound& bound : found->second.bindings) {
        bool takes = true;
        switch (found->second.declaration.type) {
            case ExchangeType::direct:
                takes = bound.routing_key == routing_key;
                break;
            case ExchangeType::fanout:
                break;
            case ExchangeType::topic:
                takes = topic_matches(bound.routing_key, routing_key);
                break;
        }
        if (!takes) continue;
        const QueueKey key = queues_.find(bound.queue)->second;
        if (std::ranges::find(queues, key) == queues.end()) queues.push_back(key);
    }
    return {};
}

}  // namespace lovage
