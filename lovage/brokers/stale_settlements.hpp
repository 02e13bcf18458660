#pragma once

#include <cstdint>
#include <string>

namespace lovage {

/// Adds to `lovage_broker_stale_settlements_total{driver}`: settlements that a driver dropped,
/// since their deliveries were no longer its consumer's. Consumers come and go; this stays.
/// Thread-safe.
void count_stale_settlements(const std::string& driver, std::uint64_t count);

}  // namespace lovage
