#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/amqp/client.hpp>
#include <lovage/clients/amqp/settlement_ledger.hpp>
#include <lovage/runtime/notifier.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::amqp {

/// Identifies one delivery. `epoch` is the incarnation of the channel it came on, on whichever
/// connection; no two channels of a process have the same.
struct DeliveryId {
    std::uint64_t epoch = 0;
    std::uint64_t tag = 0;
};

struct Incoming {
    DeliveryId id;
    std::string queue;
    Delivered message;
};

/// What the server's limit of unsettled deliveries (basic.qos) counts.
enum class QosScope : std::uint8_t {
    /// All of a consumer's queues together, exactly; a change takes effect at once. RabbitMQ's
    /// quorum queues refuse it.
    channel,
    /// Each queue for itself, up to the next power of two; a change past that means consuming anew.
    /// What exceeds the prefetch waits here.
    queue,
};

struct ConsumerOptions {
    std::uint16_t prefetch = 1;        ///< Most deliveries handed out and not settled; at least 1.
    QosScope qos = QosScope::channel;  ///< A server that refuses `channel` gets `queue`.
    std::string tag;                   ///< Start of the consumer tags; empty: "lovage".
};

/// Consumes queues on a channel of its own, with acknowledgements. Belongs to the client's loop.
///
/// After a reconnect it consumes the same queues again. Settlements are collected and written once
/// a turn of the loop; those of an earlier channel are never sent.
///
/// Dropping it without close() gives what is unsettled back to its queues.
class Consumer final : private ChannelEvents, private Client::Resident {
public:
    Consumer(Client& client, ConsumerOptions options);
    ~Consumer();
    Consumer(const Consumer&) = delete;
    Consumer& operator=(const Consumer&) = delete;

    /// Waits for deliveries: at least one, at most what prefetch leaves room for, the queues in
    /// turn. One caller at a time. Errors: deadline_exceeded; cancelled (by cancel() or close());
    /// disconnected, once for each lost channel (what was handed out is redelivered); what the
    /// server said about a queue that cannot be consumed any more: not_found (deleted), conflict,
    /// rejected; the detail names it.
    [[nodiscard]] Awaitable<Result<std::vector<Incoming>>> receive(Deadline deadline);

    // False when the delivery is not this consumer's any more; then nothing is sent.
    bool ack(DeliveryId id);
    bool reject(DeliveryId id, bool requeue);
    /// Waits until the server has carried out every settlement made so far. Errors: disconnected
    /// (those not carried out are redelivered), deadline_exceeded.
    [[nodiscard]] Awaitable<Result<void>> flush(Deadline deadline);

    void set_prefetch(std::uint16_t prefetch);
    /// Errors: as Client::look_up() and for consuming; the other queues stay consumed.
    [[nodiscard]] Awaitable<Result<void>> add_queue(std::string queue, Deadline deadline);
    /// Errors: not_found (not consumed).
    [[nodiscard]] Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline);
    [[nodiscard]] Awaitable<Result<void>> cancel(Deadline deadline);
    /// Flushes; what is unsettled returns to its queues.
    [[nodiscard]] Awaitable<Result<void>> close(Deadline deadline);

    /// Handed out and not settled.
    [[nodiscard]] std::size_t unsettled() const noexcept { return handed_out_; }
    /// Of one queue, also those not handed out yet.
    [[nodiscard]] std::size_t unsettled_of(std::string_view queue) const noexcept;

private:
    using Source = SettlementLedger::Source;
    static constexpr Source kNobody = 0;  ///< Deliveries that crossed a basic.cancel.
    struct Answer;
    struct Subscription {
        std::string queue;
        std::string tag;
        std::string former_tag;  ///< Being cancelled; what still comes by it counts.
        Source source = kNobody;
        bool consuming = false;  ///< basic.consume was sent on this channel.
        std::deque<Delivered> waiting;
        std::shared_ptr<Answer> asked;  ///< Who waits to hear of the next basic.consume.
    };

    void on_delivered(Delivered message) override;
    void on_consumer_cancelled(std::string_view consumer_tag) override;
    void on_flush() override;
    void on_channel_closed(const Error& why) override;
    void on_connected(Session& session) override;
    void on_client_closed() override;
    [[nodiscard]] bool consumes(const std::string& queue) const override;

    [[nodiscard]] Subscription* find_queue(std::string_view queue) noexcept;
    [[nodiscard]] Subscription* find_tag(std::string_view tag) noexcept;
    void consume(Subscription& subscription, std::shared_ptr<Answer> answer = nullptr);
    /// More than a quorum queue does; see note_channel_qos_refused().
    [[nodiscard]] bool asked_too_much(const Error& why) const;
    void refused(const std::string& queue, const Error& why);
    void apply_prefetch();
    void consume_anew(Subscription& subscription);
    [[nodiscard]] std::uint16_t granted() const noexcept;
    [[nodiscard]] std::string next_tag();
    void drop(const std::string& queue);
    void drop_all();
    void give_back(Subscription& subscription);
    void write_settlements();
    void settled();
    [[nodiscard]] std::vector<Incoming> hand_out();
    /// `method` is what the answer is for.
    [[nodiscard]] Awaitable<Result<Reply>> answer(std::shared_ptr<Answer> answer,
                                                  std::uint32_t method, Deadline deadline);
    /// Where the consumer's channel is, or was.
    [[nodiscard]] std::string server() const;
    [[nodiscard]] Channel::OnReply into(const std::shared_ptr<Answer>& answer);

    Client* client_;
    ConsumerOptions options_;
    Notifier arrived_;
    Session* session_ = nullptr;
    Channel* channel_ = nullptr;
    std::uint64_t epoch_ = 0;
    SettlementLedger ledger_;
    std::deque<Subscription> subscriptions_;  ///< A deque: handlers hold references.
    Source next_source_ = kNobody + 1;
    std::uint64_t next_tag_ = 1;
    std::size_t turn_ = 0;
    std::size_t handed_out_ = 0;
    std::deque<Error> news_;         ///< For the next receive().
    std::uint64_t settlements_ = 0;  ///< Made so far.
    std::uint64_t flushed_ = 0;      ///< So many of them the server has carried out, or lost.
    bool cancelled_ = false;
    bool closed_ = false;
};

}  // namespace lovage::amqp
