#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/brokers/exchange_table.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace lovage {

/// The queues behind `memory://name`, shared by every MemoryBroker of that name in the process.
///
/// Thread-safe: one mutex, held for the length of a call; callers on any loop. Time is passed in.
class MemoryStore {
public:
    using Clock = std::chrono::steady_clock;
    using ConnectionId = std::uint64_t;
    using ConsumerId = std::uint64_t;
    using MessageId = std::uint64_t;

    /// Wakes a consumer on its loop; several wake-ups may arrive as one.
    struct Waker {
        Executor executor;
        std::function<void()> wake;
        std::atomic<bool> pending{false};
    };

    [[nodiscard]] static std::shared_ptr<MemoryStore> shared(const std::string& name);

    [[nodiscard]] ConnectionId connect();
    /// Removes the connection's exclusive queues. Its consumers must be gone.
    void disconnect(ConnectionId connection, Clock::time_point now);

    Result<void> declare_queue(const QueueDeclaration& declaration, ConnectionId connection,
                               Clock::time_point now);
    Result<void> declare_exchange(const ExchangeDeclaration& declaration);
    Result<void> bind(const Binding& binding, Clock::time_point now);
    Result<void> delete_queue(std::string_view name, Clock::time_point now);
    Result<void> publish(Publication publication, Clock::time_point now);
    Result<std::uint64_t> purge(std::string_view name, Clock::time_point now);
    Result<QueueStatus> status(std::string_view name, Clock::time_point now);
    [[nodiscard]] std::vector<std::string> queue_names(Clock::time_point now);

    Result<ConsumerId> add_consumer(ConnectionId connection, const std::vector<std::string>& queues,
                                    std::shared_ptr<Waker> waker, Clock::time_point now);
    Result<void> add_queue(ConsumerId consumer, const std::string& queue, Clock::time_point now);
    Result<void> cancel_queue(ConsumerId consumer, const std::string& queue, Clock::time_point now);
    /// Stops waking it and taking for it; what it holds stays with it.
    void cancel(ConsumerId consumer, Clock::time_point now);
    /// Gives everything it holds back.
    void remove_consumer(ConsumerId consumer, Clock::time_point now);

    struct Taken {
        struct Item {
            MessageId id;
            Delivery delivery;
        };
        std::vector<Item> items;
        std::optional<Clock::time_point> next_due;  ///< Of the delayed messages in its queues.
        std::optional<std::string> deleted_queue;   ///< A queue that is gone; reported once.
    };
    [[nodiscard]] Taken take(ConsumerId consumer, std::size_t limit, Clock::time_point now);
    // False when the consumer does not hold the message (its queue was deleted).
    bool discard(ConsumerId consumer, MessageId message);
    bool requeue(ConsumerId consumer, MessageId message, Clock::time_point now);

private:
    using QueueKey = ExchangeTable::QueueKey;
    /// More urgent first, then older first.
    using Place = std::pair<int, MessageId>;
    struct Stored {
        Place place;
        std::string exchange;
        std::string routing_key;
        Message message;
        std::optional<Clock::time_point> expires_at;
        bool delivered_before = false;
    };
    struct Unsettled {
        ConsumerId holder;
        Stored stored;
    };
    struct Queue {
        QueueDeclaration declaration;
        ConnectionId owner = 0;  ///< Of an exclusive queue.
        std::map<Place, Stored> ready;
        std::multimap<Clock::time_point, Stored> delayed;
        std::unordered_map<MessageId, Unsettled> unsettled;
        std::uint32_t consumers = 0;
        Clock::time_point unused_since;
    };
    struct Consumer {
        ConnectionId connection;
        std::vector<std::string> queues;
        std::size_t turn = 0;  ///< Which queue comes first next time.
        std::shared_ptr<Waker> waker;
        std::unordered_map<MessageId, QueueKey> holds;
        bool cancelled = false;
    };

    // All of these with the mutex held.
    void remove_unused_queues(Clock::time_point now);
    void remove_queue(QueueKey key);
    [[nodiscard]] Queue* find(std::string_view name);
    Result<Queue*> usable(const std::string& name, ConnectionId connection);
    void leave_queue(const std::string& name, Clock::time_point now);
    void wake_consumers_of(const std::string& queue);
    static void promote_due(Queue& queue, Clock::time_point now);
    void take_from(Queue& queue, QueueKey key, Consumer& consumer, ConsumerId id, std::size_t limit,
                   Clock::time_point now, Taken& taken);

    std::mutex mutex_;
    ExchangeTable table_;
    std::map<QueueKey, Queue> queues_;
    std::map<ConsumerId, Consumer> consumers_;
    std::size_t expiring_queues_ =
        0;  ///< Queues declared with `expires`: nothing to look for when 0.
    std::uint64_t next_id_ = 1;
    std::size_t body_bytes_ = 0;
};

}  // namespace lovage
