#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace lovage::amqp {

/// What a consuming channel has to settle: acks and rejects are collected and written together,
/// once a turn of the loop, with one `multiple` ack for a finished prefix.
///
/// Pure state; not thread-safe. A channel's delivery tags count from 1 without gaps.
class SettlementLedger {
public:
    /// Which of the channel's consumers a delivery came by: small numbers.
    using Source = std::uint16_t;

    /// False when the tag is not the next one: the peer counts wrongly.
    [[nodiscard]] bool delivered(std::uint64_t tag, Source source);
    /// False when the tag is not outstanding: it was settled before, or never delivered.
    [[nodiscard]] bool ack(std::uint64_t tag);
    [[nodiscard]] bool reject(std::uint64_t tag, bool requeue);
    [[nodiscard]] bool outstanding(std::uint64_t tag) const noexcept;
    /// Everything of that source goes back to its queue; returns how many.
    std::size_t requeue_all(Source source);

    /// What is to be sent, in order.
    struct Settlement {
        enum class Kind : std::uint8_t { ack, ack_multiple, requeue, discard };
        Kind kind;
        std::uint64_t tag;
        friend bool operator==(const Settlement&, const Settlement&) = default;
    };
    /// Everything settled since the last call. Rejects come first: an ack that covers several must
    /// find none of them undecided.
    [[nodiscard]] std::vector<Settlement> take();
    [[nodiscard]] bool has_work() const noexcept { return !changed_.empty(); }

    /// Outstanding deliveries: of all sources, or of one.
    [[nodiscard]] std::size_t size() const noexcept { return outstanding_; }
    [[nodiscard]] std::size_t size(Source source) const noexcept {
        return source < by_source_.size() ? by_source_[source] : 0;
    }
    /// A new channel begins at 1 again.
    void clear();

private:
    enum class State : std::uint8_t { outstanding, acked, requeued, discarded, done };
    struct Entry {
        State state;
        Source source;
    };
    bool change(std::uint64_t tag, State to);
    [[nodiscard]] State& state(std::uint64_t tag) { return entries_[tag - first_tag_].state; }

    std::deque<Entry> entries_;  ///< From first_tag_ on.
    std::uint64_t first_tag_ = 1;
    std::vector<std::uint64_t> changed_;
    std::size_t outstanding_ = 0;
    std::vector<std::size_t> by_source_;
};

}  // namespace lovage::amqp
