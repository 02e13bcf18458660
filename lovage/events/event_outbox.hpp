#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/runtime/metrics.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

namespace lovage {

/// Publishes events while nobody waits for it: send() costs its caller a copy into a line of
/// bounded length. What does not fit, because the broker is slow or away, is dropped and counted
/// (lovage_events_dropped_total, lovage_events_sent_total). They go aside (Publication::aside): a
/// publish of events that breaks its channel leaves messages of tasks alone.
///
/// Belongs to the broker's loop; not thread-safe.
class EventOutbox {
public:
    struct Limits {
        std::size_t in_flight = 32;                 ///< Messages sent but not confirmed.
        std::size_t messages = 256;                 ///< Messages held, those included.
        std::size_t bytes = std::size_t{8} << 20U;  ///< Of their bodies.
        std::chrono::milliseconds patience = std::chrono::seconds{5};  ///< For one message.
    };

    /// `exchange` is declared before the first message: a durable topic exchange. A broker that
    /// refuses that is asked again half a minute later, not with every message. `broker` returns
    /// nullptr while there is none. Lifetime: what it returns must outlive the outbox.
    EventOutbox(Executor executor, std::string exchange, std::function<Broker*()> broker)
        : EventOutbox{std::move(executor), std::move(exchange), std::move(broker), Limits{}} {}
    EventOutbox(Executor executor, std::string exchange, std::function<Broker*()> broker,
                Limits limits);

    /// A message that carries so many events.
    void send(std::string routing_key, Message message, std::size_t events);

    /// Counts events that never came here.
    void lost(std::size_t events);

    /// Waits until nothing is held, or for the deadline; then ends. What is sent later is dropped.
    [[nodiscard]] Awaitable<void> finish(Deadline deadline);

    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
    [[nodiscard]] std::size_t held() const noexcept { return waiting_.size() + in_flight_; }

private:
    struct Item {
        Publication publication;
        std::size_t events = 0;
    };
    class Flight;
    Awaitable<void> pump();
    Awaitable<bool> declare();
    Awaitable<void> publish(Item item);
    void drop(std::size_t events, std::string_view why);
    void drop_waiting(std::string_view why);

    std::string exchange_;
    std::function<Broker*()> broker_;
    Limits limits_;
    std::deque<Item> waiting_;
    std::size_t in_flight_ = 0;
    std::size_t bytes_ = 0;
    bool pumping_ = false;
    bool declared_ = false;
    std::chrono::steady_clock::time_point refused_until_;
    bool closed_ = false;
    bool dropping_ = false;  // since the last message that went out
    std::uint64_t dropped_ = 0;
    metrics::Counter sent_total_;
    metrics::Counter dropped_total_;
    Notifier changed_;
    TaskScope scope_;
};

}  // namespace lovage
