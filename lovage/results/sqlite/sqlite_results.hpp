#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/result_backend.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>

namespace lovage {

struct SqliteResultsOptions {
    std::filesystem::path folder;  ///< Made when missing; the file in it is `results.sqlite3`.
    std::chrono::milliseconds result_expires = std::chrono::hours{24};  ///< Zero: kept for good.
    std::size_t result_bytes_max = std::size_t{16} << 20U;  ///< Of one record's JSON text.
    std::function<TimePoint()> now = wall_clock_now;        ///< Called on the executor's loop.
};

/// A connection to the results in a folder, shared by all processes of the machine that use it.
///
/// store() returns after the COMMIT; stores of one process are committed in groups. Call close()
/// and wait for it before destroying a connected backend.
[[nodiscard]] std::unique_ptr<ResultBackend> make_sqlite_results(Executor executor,
                                                                 SqliteResultsOptions options);

}  // namespace lovage
