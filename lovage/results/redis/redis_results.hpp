#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/redis/options.hpp>
#include <lovage/results/result_backend.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace lovage {

struct RedisResultsOptions {
    redis::Options server;
    /// Celery's `global_keyprefix`: stands before every key, with a `_` after it unless it ends in
    /// one of `:_-.`.
    std::string key_prefix;
    /// In whole seconds, as Redis keeps it for Celery; zero: kept for good.
    std::chrono::milliseconds result_expires = std::chrono::hours{24};
    std::size_t result_bytes_max = std::size_t{16} << 20U;  ///< Of one record's JSON text.
};

/// Results in Redis under Celery's keys: a Python Celery reads what this stores, and the other way
/// round.
///
/// Two connections at most: one for commands, and from the first wait() on one for subscriptions.
/// While the server is away, calls wait for it up to their deadline; then store() and store_many()
/// say `disconnected` (nothing was stored) or `unknown_outcome` (it was sent, no answer came:
/// storing it again is safe). `unavailable` means too much waits already, or that the server takes
/// no writes now (it loads, is full, is a replica); nothing was stored. `rejected`: it refuses
/// (rights). connect() may be called again after it has failed. After the first connect(), close()
/// must be awaited before the backend is destroyed.
[[nodiscard]] std::unique_ptr<ResultBackend> make_redis_results(Executor executor,
                                                                RedisResultsOptions options);

}  // namespace lovage
