#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/result_backend.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace lovage {

struct MemoryResultsOptions {
    std::chrono::milliseconds result_expires = std::chrono::hours{24};  ///< Zero: kept for good.
    std::size_t result_bytes_max = std::size_t{16} << 20U;  ///< Of one record's JSON text.
    /// Of all records together; beyond it store() is Errc::unavailable.
    std::size_t total_bytes_max = std::size_t{256} << 20U;
    std::function<TimePoint()> now =
        wall_clock_now;  ///< Called from any loop that stores or reads.
};

/// A connection to the result store called `name` of this process. All connections of that name, on
/// whatever loops, share its records; it is gone with the last of them.
[[nodiscard]] std::unique_ptr<ResultBackend> make_memory_results(Executor executor,
                                                                 std::string name,
                                                                 MemoryResultsOptions options = {});

}  // namespace lovage
