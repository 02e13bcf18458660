#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <lovage/core/error.hpp>

namespace lovage {

/// When and how often a task runs again: Celery's task options of the same names.
///
/// Pure: it reads no clock, and randomness is passed in.
struct RetryPolicy {
    using Milliseconds = std::chrono::milliseconds;
    /// Returns a uniformly distributed number from 0 to `most`.
    using Random = std::function<std::int64_t(std::int64_t most)>;

    /// Attempts after the first one; nothing: without end.
    std::optional<std::int64_t> max_retries = 3;
    /// The wait before a retry that says nothing else.
    Milliseconds default_retry_delay = std::chrono::minutes{3};

    /// Exceptions that retry by themselves: by C++ type …
    std::vector<std::function<bool(const std::exception_ptr&)>> autoretry_for_types;
    /// … and by the Python class name their failure has ("ValueError"; see
    /// failure_from_exception()).
    std::vector<std::string> autoretry_for_names;
    /// Automatic retries wait this long, doubled with every attempt; nothing: default_retry_delay.
    std::optional<Milliseconds> retry_backoff;
    Milliseconds retry_backoff_max = std::chrono::minutes{10};
    /// Wait a random part of the backoff, so that many tasks do not come back together.
    bool retry_jitter = true;

    /// No attempt is left after one that had `retries` before it. `max` replaces max_retries.
    [[nodiscard]] bool used_up(std::int64_t retries,
                               std::optional<std::int64_t> max = std::nullopt) const noexcept;

    /// Whether an exception retries by itself; `failure` is its record.
    [[nodiscard]] bool retries_for(const std::exception_ptr& error,
                                   const TaskFailure& failure) const;

    /// The wait before the automatic retry of an attempt that had `retries` before it:
    /// min(retry_backoff_max, retry_backoff · 2^retries), with jitter a uniform part of it.
    [[nodiscard]] Milliseconds automatic_delay(std::int64_t retries, const Random& random) const;
};

}  // namespace lovage
