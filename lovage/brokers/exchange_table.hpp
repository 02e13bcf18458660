#pragma once

#include <lovage/brokers/broker.hpp>
#include <lovage/core/error.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lovage {

/// Whether an AMQP topic pattern takes a routing key: words are separated by dots, `*` stands for
/// exactly one word, `#` for any number of them.
[[nodiscard]] bool topic_matches(std::string_view pattern, std::string_view routing_key) noexcept;

/// Which queues a message goes to: AMQP's routing, for the brokers that have to do it themselves.
///
/// Pure state. Queues are known by name and by a number their owner chooses. Not thread-safe.
class ExchangeTable {
public:
    using QueueKey = std::int64_t;

    /// Every queue is bound to the empty exchange by its name. A known name gets the new key.
    void add_queue(std::string name, QueueKey key);
    /// Removes the queue and its bindings. Auto-delete exchanges that lose their last binding go
    /// too.
    void remove_queue(std::string_view name);
    [[nodiscard]] const QueueKey* find_queue(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> queue_names() const;  ///< Sorted.

    /// Declaring an equal one again is fine. Errors: conflict (names exchange and property),
    /// invalid_argument (the empty name).
    Result<void> declare_exchange(const ExchangeDeclaration& declaration);
    /// Binding twice is fine. Errors: not_found (names the exchange or the queue), invalid_argument
    /// (the empty exchange).
    Result<void> bind(const Binding& binding);

    /// Appends the keys of the queues that take the message, each once, in no particular order.
    /// None is no error here. Errors: not_found (no such exchange).
    Result<void> route(std::string_view exchange, std::string_view routing_key,
                       std::vector<QueueKey>& queues) const;

private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    struct Bound {
        std::string routing_key;
        std::string queue;
        friend bool operator==(const Bound&, const Bound&) = default;
    };
    struct Exchange {
        ExchangeDeclaration declaration;
        std::vector<Bound> bindings;
    };

    std::unordered_map<std::string, QueueKey, TextHash, std::equal_to<>> queues_;
    std::map<std::string, Exchange, std::less<>> exchanges_;
};

}  // namespace lovage
