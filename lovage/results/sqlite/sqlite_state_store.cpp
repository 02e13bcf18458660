#include <lovage/results/sqlite/sqlite_state_store.hpp>

#include <lovage/clients/sqlite/database.hpp>
#include <lovage/results/sqlite/state_table.hpp>

#include <fmt/format.h>

#include <utility>

namespace lovage {
namespace {

namespace state_table = detail::state_table;
using sqlite::Connection;

class SqliteStateStore final : public StateStore {
public:
    SqliteStateStore(const Executor& executor, SqliteStateOptions options)
        : options_{std::move(options)},
          session_{sqlite::Database::open({.file = options_.folder / "state.sqlite3",
                                           .schema = state_table::schema()}),
                   executor} {}

    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline deadline) override {
        co_return co_await session_.run(
            [key = std::move(key), now = moment()](Connection& connection) {
                return state_table::get(connection, key, now);
            },
            deadline);
    }

    Awaitable<Result<std::vector<std::optional<StateEntry>>>> get_many(
        std::vector<std::string> keys, Deadline deadline) override {
        using Entries = std::vector<std::optional<StateEntry>>;
        co_return co_await session_.run(
            [keys = std::move(keys), now = moment()](Connection& connection) -> Result<Entries> {
                Entries entries;
                entries.reserve(keys.size());
                for (const std::string& key : keys) {
                    auto entry = state_table::get(connection, key, now);
                    if (!entry) return std::unexpected(std::move(entry.error()));
                    entries.push_back(std::move(*entry));
                }
                return entries;
            },
            deadline);
    }

    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        if (value.size() > options_.value_bytes_max) {
            co_return fail(Errc::too_large,
                           fmt::format("the value of state key '{}' is {} bytes; the limit is {}",
                                       key, value.size(), options_.value_bytes_max));
        }
        co_return co_await session_.run(
            [key = std::move(key), expected, value = std::move(value), ttl,
             now = moment()](Connection& connection) {
                return state_table::compare_and_set(connection, key, expected, value, ttl, now);
            },
            deadline);
    }

    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline deadline) override {
        co_return co_await session_.run(
            [key = std::move(key), expected, now = moment()](Connection& connection) {
                return state_table::compare_and_erase(connection, key, expected, now);
            },
            deadline);
    }

    Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(
        std::string prefix, std::size_t limit, Deadline deadline) override {
        co_return co_await session_.run(
            [prefix = std::move(prefix), limit, now = moment()](Connection& connection) {
                return state_table::list(connection, prefix, limit, now);
            },
            deadline);
    }

private:
    [[nodiscard]] state_table::Moment moment() const {
        state_table::Moment moment{.since_boot = options_.since_boot(), .wall = options_.now()};
        if (!options_.boot_id.empty()) moment.boot_id = options_.boot_id;
        return moment;
    }

    SqliteStateOptions options_;
    sqlite::Session session_;
};

}  // namespace

std::unique_ptr<StateStore> make_sqlite_state_store(Executor executor, SqliteStateOptions options) {
    return std::make_unique<SqliteStateStore>(executor, std::move(options));
}

}  // namespace lovage
