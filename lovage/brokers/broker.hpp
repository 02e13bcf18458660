#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/message.hpp>
#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lovage {

/// A queue as it is declared. Declaring an existing queue with equal arguments is fine; with other
/// arguments it is Errc::conflict naming the queue and the argument.
struct QueueDeclaration {
    std::string name;
    bool durable = true;
    bool exclusive = false;    ///< Only this connection uses it; gone with the connection.
    bool auto_delete = false;  ///< Gone when its last consumer is (once it had one).
    std::optional<std::uint8_t> max_priority = std::nullopt;  ///< x-max-priority
    std::optional<std::chrono::milliseconds> expires =
        std::nullopt;  ///< x-expires: unused that long → gone
    std::optional<std::chrono::milliseconds> message_ttl = std::nullopt;  ///< x-message-ttl
    Json arguments = Json::object();  ///< Passed to the broker as they are.
};

enum class ExchangeType : std::uint8_t { direct, fanout, topic };
/// AMQP's word for it.
[[nodiscard]] std::string_view to_string(ExchangeType type) noexcept;

struct ExchangeDeclaration {
    std::string name;
    ExchangeType type = ExchangeType::direct;
    bool durable = true;
    bool auto_delete = false;
};

struct Binding {
    std::string queue;
    std::string exchange;
    std::string routing_key;
};

/// One publish. The empty exchange routes to the queue named by the routing key.
struct Publication {
    std::string exchange;
    std::string routing_key;
    Message message;
    bool mandatory = true;  ///< No queue takes it → Errc::unroutable instead of silence.
    /// Apart from the others: what goes wrong with it, such as a missing exchange, which costs AMQP
    /// a channel and leaves what is under way on that unconfirmed, touches none of them. For
    /// events and remote control.
    bool aside = false;
    /// A message that a broker has delivered is taken back whatever its size, by quarantine.
    bool any_size = false;
    /// Not visible to consumers before that long from now. A broker that does not delay natively
    /// shows it sooner, after half of that time or more (below a second: at once), and takes delays
    /// through the default exchange only: who receives it looks at its time again.
    std::chrono::milliseconds delay{0};
};

/// Identifies one delivery of one consumer; stale tags are recognised and dropped, never
/// misapplied.
struct DeliveryTag {
    std::uint64_t epoch = 0;  ///< Which incarnation of the connection delivered it.
    std::uint64_t value = 0;
    friend bool operator==(const DeliveryTag&, const DeliveryTag&) = default;
};

struct Delivery {
    DeliveryTag tag;
    std::string queue;
    std::string exchange;
    std::string routing_key;
    bool redelivered = false;  ///< A consumer had it before and did not settle it.
    /// The message's time to live ran out. Drivers that can, deliver such a message marked instead
    /// of discarding it, so that its task can end as REVOKED (RabbitMQ discards by itself).
    bool expired = false;
    Message message;
};

enum class Requeue : std::uint8_t { no, yes };

struct ConsumeOptions {
    std::vector<std::string> queues;  ///< Existing queues.
    std::uint32_t prefetch = 1;       ///< Most deliveries unsettled at a time; 1–65,535.
    std::string tag;                  ///< Shown by the broker's tools; empty: one is made.
};

/// A consumer of one or more queues. Belongs to the broker's loop; not thread-safe.
///
/// Dropping it without close() counts as the death of the consumer: what it has not settled is
/// redelivered.
class Consumer {
public:
    virtual ~Consumer() = default;

    /// Waits for deliveries; returns at least one, at most what prefetch allows. Higher priority
    /// first, then oldest first, the queues in turn. One caller at a time.
    /// Errors: deadline_exceeded (nothing came), cancelled (by cancel() or close()), disconnected
    /// (what was handed out is redelivered, its tags are stale), not_found (a queue was deleted;
    /// the detail names it, it is no longer consumed, the others are).
    virtual Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) = 0;

    /// Settles a delivery: it is gone. Returns at once; flush() tells when it is durable. Stale
    /// tags are ignored and counted.
    virtual void ack(DeliveryTag tag) = 0;
    /// Gives a delivery back (`yes`: to its place in the queue, marked redelivered) or discards it
    /// (`no`: dead-lettered where the broker has that).
    virtual void reject(DeliveryTag tag, Requeue requeue) = 0;
    /// Waits until every ack and reject made so far is carried out.
    virtual Awaitable<Result<void>> flush(Deadline deadline) = 0;

    /// Takes effect for the next deliveries; what is out stays out.
    virtual void set_prefetch(std::uint32_t prefetch) = 0;
    virtual Awaitable<Result<void>> add_queue(std::string queue, Deadline deadline) = 0;
    /// Stops consuming one queue; deliveries already out can still be settled.
    virtual Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline) = 0;

    /// Stops deliveries. What is out can still be settled.
    virtual Awaitable<Result<void>> cancel(Deadline deadline) = 0;
    /// Flushes, then returns everything unsettled to its queue. The consumer is unusable
    /// afterwards.
    virtual Awaitable<Result<void>> close(Deadline deadline) = 0;

    [[nodiscard]] virtual std::size_t unsettled() const noexcept = 0;
    /// Acks and rejects dropped because their delivery was no longer this consumer's.
    [[nodiscard]] virtual std::uint64_t stale_settlements() const noexcept { return 0; }
};

struct QueueStatus {
    std::uint64_t ready = 0;    ///< Visible now, not delivered to anyone.
    std::uint64_t delayed = 0;  ///< Waiting for their time (0 where the broker cannot tell).
    /// Delivered, neither acked nor rejected (RabbitMQ: only those of this connection).
    std::uint64_t unsettled = 0;
    std::uint32_t consumers = 0;
};

/// A connection to a message broker. Belongs to one loop; not thread-safe. Once connected it must
/// be closed before it is destroyed, and its consumers must not be used after that.
///
/// Every operation takes a deadline. Errors common to all: disconnected (nothing was done),
/// unavailable (disk full, alarm), deadline_exceeded (nothing was done), unknown_outcome (it may
/// have been done).
class Broker {
public:
    virtual ~Broker() = default;

    /// Connects, creating what an embedded broker needs. Calling it when connected does nothing.
    virtual Awaitable<Result<void>> connect(Deadline deadline) = 0;
    /// Closes every consumer and the connection. Any number of times.
    virtual Awaitable<void> close(Deadline deadline) = 0;

    virtual Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) = 0;
    virtual Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange,
                                                     Deadline deadline) = 0;
    virtual Awaitable<Result<void>> bind(Binding binding, Deadline deadline) = 0;
    /// Removes the queue with what is in it. Errors: not_found.
    virtual Awaitable<Result<void>> delete_queue(std::string queue, Deadline deadline) = 0;

    /// A queue that is not used from here on: it stays as it is, but a broker that makes what it
    /// declared anew with a new connection leaves this one out.
    virtual void forget_queue(const std::string& /*queue*/) {}

    /// Publishes and waits for the broker's confirm: success means the message is stored as durably
    /// as its delivery mode asks for. Any number at the same time; they are batched. Errors:
    /// unroutable, too_large, rejected: not stored; unknown_outcome: it may be stored.
    virtual Awaitable<Result<void>> publish(Publication publication, Deadline deadline) = 0;

    virtual Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                                 Deadline deadline) = 0;

    /// Removes what is ready or delayed (not what is unsettled); returns how many. Errors:
    /// not_found.
    virtual Awaitable<Result<std::uint64_t>> purge(std::string queue, Deadline deadline) = 0;
    /// Errors: not_found.
    virtual Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline deadline) = 0;
    /// Names of all queues this connection may know of, sorted. A broker that cannot list them
    /// returns those declared here.
    virtual Awaitable<Result<std::vector<std::string>>> list_queues(Deadline deadline) = 0;

    /// Whether list_queues() knows all queues, or only those declared over this connection.
    [[nodiscard]] virtual bool lists_all_queues() const noexcept { return true; }

    /// Whether the broker would take a message now, for health checks. Errors: disconnected (a
    /// connection is down and being made again), unavailable (an alarm, a full disk).
    virtual Awaitable<Result<void>> ping(Deadline deadline) = 0;

    /// Makes the connection that delivers anew, for a consumer to which nothing comes although the
    /// connection seems alive. Its consumers lose what they hold, as when it breaks by itself. A
    /// broker without connections has nothing to do. Errors: the connection could not be made; call
    /// it again.
    virtual Awaitable<Result<void>> renew(Deadline /*deadline*/) { co_return Result<void>{}; }

    /// The URL without credentials, for banners and logs.
    [[nodiscard]] virtual std::string display_url() const = 0;
    /// True when Publication::delay is honoured exactly and for any length.
    [[nodiscard]] virtual bool delays_natively() const noexcept = 0;
};

}  // namespace lovage
