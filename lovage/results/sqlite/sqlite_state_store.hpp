#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/boot_clock.hpp>
#include <lovage/results/state_store.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace lovage {

struct SqliteStateOptions {
    std::filesystem::path folder;  ///< Made when missing; the file in it is `state.sqlite3`.
    std::size_t value_bytes_max = std::size_t{1} << 20U;  ///< Larger values are Errc::too_large.
    // The clocks that times to live are measured on: time since boot while the machine runs on, the
    // wall clock across a restart. Called on the executor's loop.
    std::function<std::chrono::milliseconds()> since_boot = time_since_boot;
    std::function<TimePoint()> now = wall_clock_now;
    std::string boot_id = lovage::boot_id();
};

/// The shared state in a folder, for all processes of the machine that use it. The file is opened
/// by the first operation; every write is durable when it returns.
[[nodiscard]] std::unique_ptr<StateStore> make_sqlite_state_store(Executor executor,
                                                                  SqliteStateOptions options);

}  // namespace lovage
