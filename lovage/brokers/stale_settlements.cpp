#include <lovage/brokers/stale_settlements.hpp>

#include <lovage/runtime/metrics.hpp>

namespace lovage {

void count_stale_settlements(const std::string& driver, std::uint64_t count) {
    if (count == 0) return;
    static const metrics::CounterFamily family = metrics::default_registry().counter(
        "lovage_broker_stale_settlements_total",
        "Acks and rejects dropped because the delivery was no longer this consumer's.", {"driver"});
    auto counter = family.with({driver});
    counter.increment(static_cast<double>(count));
}

}  // namespace lovage
