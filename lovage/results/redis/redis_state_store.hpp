#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/redis/options.hpp>
#include <lovage/results/state_store.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace lovage {

struct RedisStateOptions {
    redis::Options server;
    std::string key_prefix;                               ///< As RedisResultsOptions::key_prefix.
    std::size_t value_bytes_max = std::size_t{1} << 20U;  ///< Larger values are Errc::too_large.
};

/// The state store in Redis: one string per entry, Lua scripts for what must happen at once. Times
/// to live run on the server's clock.
///
/// Connects at the first call. A compare-and-set whose answer was lost ends as unknown_outcome:
/// reading the key tells which it was. close() must be awaited before a store that was used is
/// destroyed.
[[nodiscard]] std::unique_ptr<StateStore> make_redis_state_store(Executor executor,
                                                                 RedisStateOptions options);

}  // namespace lovage
