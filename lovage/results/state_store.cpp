#include <lovage/results/state_store.hpp>

#include <boost/asio/awaitable.hpp>

namespace lovage {

Awaitable<Result<std::vector<std::optional<StateEntry>>>> StateStore::get_many(
    std::vector<std::string> keys, Deadline deadline) {
    std::vector<std::optional<StateEntry>> entries;
    entries.reserve(keys.size());
    for (std::string& key : keys) {
        auto entry = co_await get(std::move(key), deadline);
        if (!entry) co_return std::unexpected{std::move(entry.error())};
        entries.push_back(std::move(*entry));
    }
    co_return entries;
}

Awaitable<void> StateStore::close(Deadline deadline) {
    static_cast<void>(deadline);
    co_return;
}

}  // namespace lovage
