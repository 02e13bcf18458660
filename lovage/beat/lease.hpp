#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/results/state_store.hpp>
#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace lovage {

/// A key of the state store that one process at a time holds, for as long as it renews it.
///
/// Who holds it may believe so a moment too long (it was stopped, or its clock stood): a lease
/// keeps two from working at once most of the time, and what must hold always needs
/// compare-and-set, too. Belongs to the store's loop; not thread-safe.
class Lease {
public:
    /// `value` tells who holds it; no other process may use the same one. Lifetime: `store` must
    /// outlive the lease.
    Lease(StateStore& store, std::string key, std::string value, std::chrono::milliseconds ttl)
        : store_{store}, key_{std::move(key)}, value_{std::move(value)}, ttl_{ttl} {}

    /// Takes it, or renews it. False: somebody else has it. Errors: those of the store; whether it
    /// is held is then as it was.
    [[nodiscard]] Awaitable<Result<bool>> keep(Deadline deadline);
    /// Gives it up at once, so that nobody has to wait for its end.
    [[nodiscard]] Awaitable<void> release(Deadline deadline);

    [[nodiscard]] bool held() const noexcept { return version_ != 0; }

private:
    [[nodiscard]] Result<bool> taken(const Result<std::uint64_t>& version);

    StateStore& store_;
    std::string key_;
    std::string value_;
    std::chrono::milliseconds ttl_;
    std::uint64_t version_ = 0;
};

}  // namespace lovage
