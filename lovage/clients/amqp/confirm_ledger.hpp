#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace lovage::amqp {

struct Returned;
struct Properties;

/// How a publish ended.
enum class PublishOutcome : std::uint8_t {
    stored,
    refused,   ///< basic.nack: the queue took it not, or only in part.
    returned,  ///< No queue takes it (basic.return).
    lost,      ///< The channel ended first: it may be stored.
};

/// Gets the outcome of one publish.
class ConfirmListener {
public:
    virtual void on_settled(PublishOutcome outcome, const std::string& reason) = 0;

protected:
    ~ConfirmListener() = default;
};

/// Recognises a returned message among those in flight: basic.return carries no tag, and brokers
/// may send several returns before one confirm for all of them.
[[nodiscard]] std::uint64_t fingerprint(std::string_view exchange, std::string_view routing_key,
                                        const Properties& properties, std::string_view body);

/// The publishes of one channel that are not confirmed yet (RabbitMQ's publisher confirms).
///
/// Pure state; not thread-safe. Tags are the channel's: 1 for the first publish after
/// confirm.select.
class ConfirmLedger {
public:
    /// Returns the tag. `listener` gets exactly one call, unless forget() comes first.
    std::uint64_t add(ConfirmListener* listener, std::uint64_t fingerprint, std::size_t bytes);
    /// Nobody waits for it any more; the tag stays counted until it is settled.
    void forget(std::uint64_t tag) noexcept;

    /// basic.ack and basic.nack. Tags that are not in flight are ignored.
    void confirm(std::uint64_t tag, bool multiple, bool stored);
    /// basic.return; the confirm that follows settles it.
    void returned(std::uint64_t fingerprint, std::string reason);
    /// The channel is over.
    void lose_all(const std::string& reason);

    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
    [[nodiscard]] std::size_t bytes_in_flight() const noexcept { return bytes_; }

private:
    struct Entry {
        ConfirmListener* listener;
        std::uint64_t fingerprint;
        std::size_t bytes;
        bool settled = false;
        bool returned = false;
        std::string reason;  ///< Of the return; empty otherwise, so without memory of its own.
    };
    [[nodiscard]] Entry* find(std::uint64_t tag) noexcept;
    void settle(Entry& entry, PublishOutcome outcome, const std::string& reason);

    std::deque<Entry> entries_;
    std::uint64_t first_tag_ = 1;
    std::size_t in_flight_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace lovage::amqp
