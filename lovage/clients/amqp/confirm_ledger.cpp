#include <lovage/clients/amqp/confirm_ledger.hpp>

#include <lovage/clients/amqp/properties.hpp>

#include <functional>
#include <utility>

namespace lovage::amqp {

namespace {

/// So much of a body tells messages apart that agree in everything else.
constexpr std::size_t kBodyBytesCompared = 512;

std::uint64_t mixed(std::uint64_t seed, std::string_view text) {
    constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15U;
    const std::uint64_t hash = std::hash<std::string_view>{}(text);
    return (seed ^ hash) * kGolden + text.size();
}

}  // namespace

std::uint64_t fingerprint(std::string_view exchange, std::string_view routing_key,
                          const Properties& properties, std::string_view body) {
    std::uint64_t seed = mixed(body.size(), exchange);
    seed = mixed(seed, routing_key);
    if (properties.correlation_id) seed = mixed(seed, *properties.correlation_id);
    if (properties.message_id) seed = mixed(seed, *properties.message_id);
    return mixed(seed, body.substr(0, kBodyBytesCompared));
}

std::uint64_t ConfirmLedger::add(ConfirmListener* listener, std::uint64_t fingerprint,
                                 std::size_t bytes) {
    entries_.push_back({.listener = listener, .fingerprint = fingerprint, .bytes = bytes});
    ++in_flight_;
    bytes_ += bytes;
    return first_tag_ + entries_.size() - 1;
}

ConfirmLedger::Entry* ConfirmLedger::find(std::uint64_t tag) noexcept {
    if (tag < first_tag_ || tag - first_tag_ >= entries_.size()) return nullptr;
    return &entries_[tag - first_tag_];
}

void ConfirmLedger::forget(std::uint64_t tag) noexcept {
    if (Entry* const entry = find(tag)) entry->listener = nullptr;
}

void ConfirmLedger::settle(Entry& entry, PublishOutcome outcome, const std::string& reason) {
    if (std::exchange(entry.settled, true)) return;
    --in_flight_;
    bytes_ -= entry.bytes;
    if (ConfirmListener* const listener = std::exchange(entry.listener, nullptr)) {
        listener->on_settled(outcome, reason);
    }
}

void ConfirmLedger::confirm(std::uint64_t tag, bool multiple, bool stored) {
    Entry* const last = find(tag);
    if (last == nullptr) return;
    const auto outcome_of = [stored](const Entry& entry) {
        if (entry.returned) return PublishOutcome::returned;
        return stored ? PublishOutcome::stored : PublishOutcome::refused;
    };
    if (multiple) {
        for (std::uint64_t at = first_tag_; at <= tag; ++at) {
            Entry& entry = entries_[at - first_tag_];
            settle(entry, outcome_of(entry), entry.reason);
        }
    } else {
        settle(*last, outcome_of(*last), last->reason);
    }
    while (!entries_.empty() && entries_.front().settled) {
        entries_.pop_front();
        ++first_tag_;
    }
}

void ConfirmLedger::returned(std::uint64_t fingerprint, std::string reason) {
    // Returns come in the order of the publishes, so the first that looks alike is the one; if not,
    // the two are the same message twice and it does not matter which is told.
    for (Entry& entry : entries_) {
        if (entry.settled || entry.returned || entry.fingerprint != fingerprint) continue;
        entry.returned = true;
        entry.reason = std::move(reason);
        return;
    }
}

void ConfirmLedger::lose_all(const std::string& reason) {
    for (Entry& entry : entries_) settle(entry, PublishOutcome::lost, reason);
    entries_.clear();
    first_tag_ = 1;
}

}  // namespace lovage::amqp
