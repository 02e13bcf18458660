#include <lovage/results/memory/memory_state_store.hpp>

#include <lovage/results/detail/shared_by_name.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace lovage {
namespace {

using Milliseconds = std::chrono::milliseconds;

/// The entries of one name. Thread-safe; pure state, `now` comes from the caller.
class Entries {
public:
    std::optional<StateEntry> get(const std::string& key, Milliseconds now) {
        const std::lock_guard lock{mutex_};
        const auto found = find(key, now);
        if (found == entries_.end()) return std::nullopt;
        return found->second.entry;
    }

    Result<std::uint64_t> compare_and_set(const std::string& key, std::uint64_t expected,
                                          std::string value, std::optional<Milliseconds> ttl,
                                          Milliseconds now, const MemoryStateOptions& options) {
        const std::lock_guard lock{mutex_};
        sweep(now);
        const auto old = find(key, now);
        if (auto same = check(old, key, expected); !same) return std::unexpected(same.error());
        if (old == entries_.end() && entries_.size() >= options.entries_max) {
            return fail(Errc::unavailable,
                        fmt::format("the in-memory state store is full: {} keys", entries_.size()));
        }
        if (old != entries_.end()) erase(old);
        const std::uint64_t version = next_version();
        const auto place = entries_.emplace(key, Slot{{std::move(value), version}, {}}).first;
        place->second.expiry =
            expiries_.emplace(ttl ? now + std::min(*ttl, kLongest) : Milliseconds::max(), key);
        return version;
    }

    Result<void> compare_and_erase(const std::string& key, std::uint64_t expected,
                                   Milliseconds now) {
        const std::lock_guard lock{mutex_};
        const auto old = find(key, now);
        if (auto same = check(old, key, expected); !same) return same;
        if (old != entries_.end()) erase(old);
        return {};
    }

    std::vector<std::pair<std::string, StateEntry>> list(const std::string& prefix,
                                                         std::size_t limit, Milliseconds now) {
        const std::lock_guard lock{mutex_};
        std::vector<std::pair<std::string, StateEntry>> found;
        for (auto place = entries_.lower_bound(prefix);
             place != entries_.end() && place->first.starts_with(prefix) && found.size() < limit;
             ++place) {
            if (place->second.expiry->first > now) {
                found.emplace_back(place->first, place->second.entry);
            }
        }
        return found;
    }

private:
    using ExpiryQueue = std::multimap<Milliseconds, std::string>;
    struct Slot {
        StateEntry entry;
        ExpiryQueue::iterator expiry;
    };
    using EntryMap = std::map<std::string, Slot>;

    static constexpr Milliseconds kLongest = std::chrono::years{100};

    /// One counter for the process, so that a store made again under its name reuses no version.
    static std::uint64_t next_version() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }

    Result<void> check(EntryMap::iterator place, const std::string& key, std::uint64_t expected) {
        const std::uint64_t actual = place == entries_.end() ? 0 : place->second.entry.version;
        if (actual == expected) return {};
        return fail(Errc::conflict, fmt::format("state key '{}' has version {}, expected {}", key,
                                                actual, expected));
    }
    EntryMap::iterator find(const std::string& key, Milliseconds now) {
        const auto found = entries_.find(key);
        if (found == entries_.end() || found->second.expiry->first > now) return found;
        erase(found);
        return entries_.end();
    }
    void erase(EntryMap::iterator place) {
        expiries_.erase(place->second.expiry);
        entries_.erase(place);
    }
    void sweep(Milliseconds now) {
        constexpr int kMost = 32;
        for (int left = kMost; left > 0 && !expiries_.empty(); --left) {
            if (expiries_.begin()->first > now) return;
            erase(entries_.find(expiries_.begin()->second));
        }
    }

    std::mutex mutex_;
    EntryMap entries_;
    ExpiryQueue expiries_;
};

class MemoryStateStore final : public StateStore {
public:
    MemoryStateStore(const std::string& name, MemoryStateOptions options)
        : options_{std::move(options)} {
        static detail::SharedByName<Entries> by_name;
        entries_ = by_name.get(name, [] { return std::make_shared<Entries>(); });
    }

    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline) override {
        co_return entries_->get(key, options_.since_boot());
    }

    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<Milliseconds> ttl,
                                                     Deadline) override {
        if (value.size() > options_.value_bytes_max) {
            co_return fail(Errc::too_large,
                           fmt::format("the value of state key '{}' is {} bytes; the limit is {}",
                                       key, value.size(), options_.value_bytes_max));
        }
        co_return entries_->compare_and_set(key, expected, std::move(value), ttl,
                                            options_.since_boot(), options_);
    }

    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline) override {
        co_return entries_->compare_and_erase(key, expected, options_.since_boot());
    }

    Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(std::string prefix,
                                                                            std::size_t limit,
                                                                            Deadline) override {
        co_return entries_->list(prefix, limit, options_.since_boot());
    }

private:
    MemoryStateOptions options_;
    std::shared_ptr<Entries> entries_;
};

}  // namespace

std::unique_ptr<StateStore> make_memory_state_store(Executor, std::string name,
                                                    MemoryStateOptions options) {
    return std::make_unique<MemoryStateStore>(name, std::move(options));
}

}  // namespace lovage
