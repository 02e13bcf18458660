#include <lovage/clients/amqp/settlement_ledger.hpp>

#include <algorithm>
#include <utility>

namespace lovage::amqp {

bool SettlementLedger::delivered(std::uint64_t tag, Source source) {
    if (tag != first_tag_ + entries_.size()) return false;
    entries_.push_back({State::outstanding, source});
    if (source >= by_source_.size()) by_source_.resize(source + std::size_t{1});
    ++by_source_[source];
    ++outstanding_;
    return true;
}

bool SettlementLedger::outstanding(std::uint64_t tag) const noexcept {
    return tag >= first_tag_ && tag - first_tag_ < entries_.size() &&
           entries_[tag - first_tag_].state == State::outstanding;
}

bool SettlementLedger::change(std::uint64_t tag, State to) {
    if (!outstanding(tag)) return false;
    Entry& entry = entries_[tag - first_tag_];
    entry.state = to;
    changed_.push_back(tag);
    --by_source_[entry.source];
    --outstanding_;
    return true;
}

std::size_t SettlementLedger::requeue_all(Source source) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (entries_[i].source == source && change(first_tag_ + i, State::requeued)) ++count;
    }
    return count;
}

bool SettlementLedger::ack(std::uint64_t tag) {
    return change(tag, State::acked);
}

bool SettlementLedger::reject(std::uint64_t tag, bool requeue) {
    return change(tag, requeue ? State::requeued : State::discarded);
}

std::vector<SettlementLedger::Settlement> SettlementLedger::take() {
    using Kind = Settlement::Kind;
    std::vector<Settlement> settlements;
    std::ranges::sort(changed_);
    for (const std::uint64_t tag : changed_) {
        State& now = state(tag);
        if (now == State::acked) continue;
        settlements.push_back({now == State::requeued ? Kind::requeue : Kind::discard, tag});
        now = State::done;
    }
    // The finished prefix: one ack up to its last acked message, if that covers several.
    std::size_t prefix = 0;
    std::size_t acked = 0;
    std::uint64_t last_acked = 0;
    for (; prefix < entries_.size() && entries_[prefix].state != State::outstanding; ++prefix) {
        if (entries_[prefix].state != State::acked) continue;
        ++acked;
        last_acked = first_tag_ + prefix;
    }
    if (acked > 0) settlements.push_back({acked > 1 ? Kind::ack_multiple : Kind::ack, last_acked});
    for (const std::uint64_t tag : changed_) {
        State& now = state(tag);
        if (now != State::acked) continue;
        if (tag > last_acked) settlements.push_back({Kind::ack, tag});
        now = State::done;
    }
    changed_.clear();
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(prefix));
    first_tag_ += prefix;
    return settlements;
}

void SettlementLedger::clear() {
    entries_.clear();
    by_source_.clear();
    changed_.clear();
    first_tag_ = 1;
    outstanding_ = 0;
}

}  // namespace lovage::amqp
