#include <lovage/beat/lease.hpp>

#include <utility>

namespace lovage {

Awaitable<Result<bool>> Lease::keep(Deadline deadline) {
    if (held()) {
        auto renewed =
            taken(co_await store_.compare_and_set(key_, version_, value_, ttl_, deadline));
        if (!renewed || *renewed) co_return renewed;
        // It has ended; perhaps nobody has taken it since.
    }
    auto found = co_await store_.get(key_, deadline);
    if (!found) co_return std::unexpected{std::move(found.error())};
    if (*found) {
        // Its own value: it was written, and the answer was lost.
        if ((*found)->value != value_) co_return false;
        version_ = (*found)->version;
    }
    co_return taken(co_await store_.compare_and_set(key_, version_, value_, ttl_, deadline));
}

Result<bool> Lease::taken(const Result<std::uint64_t>& version) {
    if (version) {
        version_ = *version;
        return true;
    }
    if (version.error().code != Errc::conflict) return std::unexpected{version.error()};
    version_ = 0;
    return false;
}

Awaitable<void> Lease::release(Deadline deadline) {
    if (!held()) co_return;
    const std::uint64_t version = std::exchange(version_, 0);
    // It ends by itself when this fails.
    (void)co_await store_.compare_and_erase(key_, version, deadline);
}

}  // namespace lovage
