#include <lovage/results/sqlite/state_table.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace lovage::detail::state_table {
namespace {

using sqlite::Blob;
using sqlite::Connection;
using sqlite::Sql;

// Versions start at the file's birth in microseconds: they are larger than those of a file that was
// here before and was deleted, which somebody may still hold as a fencing token.
constexpr std::array kSteps{Sql{R"(
CREATE TABLE state(
    key      TEXT PRIMARY KEY,
    value    BLOB NOT NULL,
    version  INTEGER NOT NULL,
    boot_id  TEXT,                -- whose clock expires_since_boot is on; NULL: unknown
    expires_since_boot INTEGER,   -- milliseconds
    expires_at         INTEGER    -- milliseconds since 1970; NULL: never
) STRICT, WITHOUT ROWID;
CREATE INDEX state_expiry ON state(expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE last_version(
    id      INTEGER PRIMARY KEY CHECK(id = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO last_version VALUES(1, CAST(strftime('%s', 'now') AS INTEGER) * 1000000);
)"}};

constexpr std::int32_t kApplicationId = 0x4C6F5374;  // "LoSt"
constexpr std::chrono::milliseconds kLongest = std::chrono::years{100};

std::int64_t milliseconds(TimePoint when) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
}

Result<std::uint64_t> next_version(Connection& connection) {
    const auto version = connection.integer(
        "UPDATE last_version SET version = version + 1 WHERE id = 1 RETURNING version");
    if (!version) return std::unexpected(version.error());
    if (!*version) return fail(Errc::malformed, "the state file has lost its version counter");
    return static_cast<std::uint64_t>(**version);
}

/// The entry's version is `expected`; 0 stands for "there is none".
Result<void> check(Connection& connection, std::string_view key, std::uint64_t expected,
                   const Moment& now) {
    const auto entry = get(connection, key, now);
    if (!entry) return std::unexpected(entry.error());
    const std::uint64_t actual = *entry ? (*entry)->version : 0;
    if (actual == expected) return {};
    return fail(Errc::conflict,
                fmt::format("state key '{}' has version {}, expected {}", key, actual, expected));
}

Result<void> sweep(Connection& connection, const Moment& now) {
    const auto removed = connection.run(
        "DELETE FROM state WHERE key IN "
        "(SELECT key FROM state WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 64) "
        "AND CASE WHEN boot_id = ?2 THEN expires_since_boot <= ?3 ELSE TRUE END",
        milliseconds(now.wall), now.boot_id, now.since_boot.count());
    if (!removed) return std::unexpected(removed.error());
    return {};
}

}  // namespace

const sqlite::Schema& schema() {
    static const sqlite::Schema schema{
        .name = "state", .application_id = kApplicationId, .steps = kSteps};
    return schema;
}

Result<std::optional<StateEntry>> get(Connection& connection, std::string_view key,
                                      const Moment& now) {
    const std::int64_t wall = milliseconds(now.wall);
    const std::int64_t since_boot = now.since_boot.count();
    auto entry = connection.query(
        "SELECT value, version FROM state WHERE key = ?1 AND (expires_at IS NULL OR "
        "CASE WHEN boot_id = ?2 THEN expires_since_boot > ?3 ELSE expires_at > ?4 END)",
        key, now.boot_id, since_boot, wall);
    const auto row = entry.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return std::optional<StateEntry>{};
    return StateEntry{std::string{entry.blob(0)}, static_cast<std::uint64_t>(entry.integer(1))};
}

Result<std::uint64_t> compare_and_set(Connection& connection, std::string_view key,
                                      std::uint64_t expected, std::string_view value,
                                      std::optional<std::chrono::milliseconds> ttl,
                                      const Moment& now) {
    if (auto same = check(connection, key, expected, now); !same) {
        return std::unexpected(same.error());
    }
    const auto version = next_version(connection);
    if (!version) return version;

    std::optional<std::int64_t> expires_since_boot;
    std::optional<std::int64_t> expires_at;
    if (ttl) {
        const auto bounded = std::min(*ttl, kLongest);
        expires_since_boot = (now.since_boot + bounded).count();
        expires_at = milliseconds(now.wall + bounded);
    }
    const auto written = connection.run(
        "INSERT OR REPLACE INTO state(key, value, version, boot_id, expires_since_boot, "
        "expires_at) "
        "VALUES(?, ?, ?, ?, ?, ?)",
        key, Blob{value}, static_cast<std::int64_t>(*version), now.boot_id, expires_since_boot,
        expires_at);
    if (!written) return std::unexpected(written.error());
    if (auto swept = sweep(connection, now); !swept) return std::unexpected(swept.error());
    return version;
}

Result<void> compare_and_erase(Connection& connection, std::string_view key, std::uint64_t expected,
                               const Moment& now) {
    if (auto same = check(connection, key, expected, now); !same) return same;
    const auto removed = connection.run("DELETE FROM state WHERE key = ?", key);
    if (!removed) return std::unexpected(removed.error());
    return {};
}

Result<std::vector<std::pair<std::string, StateEntry>>> list(Connection& connection,
                                                             std::string_view prefix,
                                                             std::size_t limit, const Moment& now) {
    const std::int64_t wall = milliseconds(now.wall);
    const std::int64_t since_boot = now.since_boot.count();
    auto rows = connection.query(
        "SELECT key, value, version FROM state WHERE key >= ?1 AND (expires_at IS NULL OR "
        "CASE WHEN boot_id = ?2 THEN expires_since_boot > ?3 ELSE expires_at > ?4 END) "
        "ORDER BY key",
        prefix, now.boot_id, since_boot, wall);
    std::vector<std::pair<std::string, StateEntry>> found;
    while (found.size() < limit) {
        const auto row = rows.step();
        if (!row) return std::unexpected(row.error());
        if (!*row || !rows.text(0).starts_with(prefix)) break;
        found.emplace_back(rows.text(0), StateEntry{std::string{rows.blob(1)},
                                                    static_cast<std::uint64_t>(rows.integer(2))});
    }
    return found;
}

}  // namespace lovage::detail::state_table
