#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/results/boot_clock.hpp>
#include <lovage/results/state_store.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace lovage {

struct MemoryStateOptions {
    std::size_t value_bytes_max = std::size_t{1} << 20U;  ///< Larger values are Errc::too_large.
    std::size_t entries_max = 1'000'000;                  ///< Further keys are Errc::unavailable.
    /// The clock that times to live are measured on. Called from any loop that uses the store.
    std::function<std::chrono::milliseconds()> since_boot = time_since_boot;
};

/// A connection to the state store called `name` of this process. All connections of that name, on
/// whatever loops, share its entries; it is gone with the last of them. Versions are not reused
/// even then.
[[nodiscard]] std::unique_ptr<StateStore> make_memory_state_store(Executor executor,
                                                                  std::string name,
                                                                  MemoryStateOptions options = {});

}  // namespace lovage
