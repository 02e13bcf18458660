#pragma once

#include <chrono>
#include <string>

namespace lovage {

/// Time since the machine started, sleep included (CLOCK_BOOTTIME): the same for all its processes,
/// and no setting of the wall clock moves it.
[[nodiscard]] std::chrono::milliseconds time_since_boot() noexcept;

/// Names this start of the machine; empty when the system does not tell.
[[nodiscard]] std::string boot_id();

}  // namespace lovage
