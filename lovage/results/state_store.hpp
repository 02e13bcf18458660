#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lovage {

struct StateEntry {
    std::string value;
    /// Grows with every write of any key and is never used twice: a key that was removed and made
    /// again has another version, so compare-and-set doubles as a fencing token.
    std::uint64_t version = 0;
};

/// Small shared facts (leases, crash counts, revocations, uniqueness, rate buckets, schedules)
/// under compare-and-set with a time to live. Belongs to one loop; not thread-safe.
class StateStore {
public:
    virtual ~StateStore() = default;

    virtual Awaitable<Result<std::optional<StateEntry>>> get(std::string key,
                                                             Deadline deadline) = 0;
    /// The entries of several keys, in their order. Drivers do it in one round trip; this default
    /// asks one by one.
    virtual Awaitable<Result<std::vector<std::optional<StateEntry>>>> get_many(
        std::vector<std::string> keys, Deadline deadline);
    /// Writes when the key's version is `expected` (0: the key must not exist or have expired).
    /// Returns the new version. Errors: conflict (somebody else was first).
    virtual Awaitable<Result<std::uint64_t>> compare_and_set(
        std::string key, std::uint64_t expected, std::string value,
        std::optional<std::chrono::milliseconds> ttl, Deadline deadline) = 0;
    /// Removes when the version is `expected`. Errors: conflict.
    virtual Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                                      Deadline deadline) = 0;
    /// Entries whose key starts with `prefix`, by key, at most `limit`.
    virtual Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(
        std::string prefix, std::size_t limit, Deadline deadline) = 0;

    /// Lets what was submitted finish until the deadline and ends what the store runs; awaited
    /// before a store that was used is destroyed. This default is for stores that run nothing.
    virtual Awaitable<void> close(Deadline deadline);
};

}  // namespace lovage
