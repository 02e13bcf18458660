#include <lovage/results/sqlite/result_table.hpp>

#include <array>

namespace lovage::detail::result_table {
namespace {

using sqlite::Blob;
using sqlite::Connection;
using sqlite::Sql;

// `meta` stands last and is a BLOB: rows can be scanned and measured without reading it.
constexpr std::array kSteps{Sql{R"(
CREATE TABLE result(
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id    TEXT NOT NULL UNIQUE,
    status     TEXT NOT NULL,
    expires_at INTEGER,              -- milliseconds since 1970; NULL: never
    meta       BLOB NOT NULL         -- the record as Celery's JSON text
) STRICT;
CREATE INDEX result_expiry ON result(expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE sent(
    task_id    TEXT PRIMARY KEY,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_expiry ON sent(expires_at) WHERE expires_at IS NOT NULL;
)"},
                            Sql{R"(
CREATE TABLE chord(
    group_id   TEXT PRIMARY KEY,
    size       INTEGER,              -- NULL: not known yet
    returned   INTEGER NOT NULL,     -- how many rows chord_part has for it
    expires_at INTEGER,
    structure  BLOB NOT NULL         -- JSON text
) STRICT, WITHOUT ROWID;
CREATE INDEX chord_expiry ON chord(expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE chord_part(
    group_id   TEXT NOT NULL,
    task_id    TEXT NOT NULL,
    place      INTEGER,              -- in the list of results; NULL: at the end
    state      TEXT NOT NULL,
    result     BLOB NOT NULL,        -- JSON text
    PRIMARY KEY(group_id, task_id)
) STRICT, WITHOUT ROWID;
)"},
                            Sql{R"(
ALTER TABLE chord ADD COLUMN completed_by TEXT;  -- the task whose return completed it
)"},
                            Sql{R"(
-- What sweepers know and have seen; times in milliseconds since 1970.
ALTER TABLE chord ADD COLUMN watch BLOB;          -- JSON text; NULL: it is not swept
ALTER TABLE chord ADD COLUMN look_at INTEGER;     -- when somebody looks at it again
ALTER TABLE chord ADD COLUMN seen INTEGER;        -- `returned` at the last look
ALTER TABLE chord ADD COLUMN quiet_since INTEGER; -- when that was seen first
ALTER TABLE chord ADD COLUMN kept INTEGER;        -- when its parts' results were last made to stay
CREATE INDEX chord_look ON chord(look_at) WHERE look_at IS NOT NULL;
)"}};

constexpr std::int32_t kApplicationId = 0x4C6F5265;  // "LoRe"

std::int64_t milliseconds(TimePoint when) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
}
std::optional<std::int64_t> milliseconds(std::optional<TimePoint> when) {
    return when ? std::optional{milliseconds(*when)} : std::nullopt;
}

}  // namespace

const sqlite::Schema& schema() {
    static const sqlite::Schema schema{
        .name = "results", .application_id = kApplicationId, .steps = kSteps};
    return schema;
}

Result<StoreOutcome> store(Connection& connection, const NewRecord& record, TimePoint now) {
    const auto expires_at = milliseconds(record.expires_at);
    const auto inserted = connection.run(
        "INSERT INTO result(task_id, status, expires_at, meta) VALUES(?, ?, ?, ?) "
        "ON CONFLICT(task_id) DO NOTHING",
        record.task_id, record.status, expires_at, Blob{record.json});
    if (!inserted) return std::unexpected(inserted.error());
    if (*inserted == 1) return StoreOutcome::stored;

    {
        auto existing = connection.query(
            "SELECT status FROM result WHERE task_id = ? AND (expires_at IS NULL OR expires_at > "
            "?)",
            record.task_id, milliseconds(now));
        const auto row = existing.step();
        if (!row) return std::unexpected(row.error());
        if (*row && !states::may_replace(existing.text(0), record.status)) {
            return StoreOutcome::kept_existing;
        }
    }
    const auto replaced = connection.run(
        "INSERT OR REPLACE INTO result(task_id, status, expires_at, meta) VALUES(?, ?, ?, ?)",
        record.task_id, record.status, expires_at, Blob{record.json});
    if (!replaced) return std::unexpected(replaced.error());
    return StoreOutcome::stored;
}

Result<std::optional<StoredRecord>> get(Connection& connection, std::string_view task_id,
                                        TimePoint now) {
    const std::int64_t now_ms = milliseconds(now);
    auto record = connection.query(
        "SELECT status, meta FROM result "
        "WHERE task_id = ? AND (expires_at IS NULL OR expires_at > ?)",
        task_id, now_ms);
    const auto row = record.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return std::optional<StoredRecord>{};
    return StoredRecord{std::string{record.text(0)}, std::string{record.blob(1)}};
}

Result<void> keep(Connection& connection, std::string_view task_id,
                  std::optional<TimePoint> expires_at, TimePoint now) {
    const auto kept =
        connection.run("UPDATE result SET expires_at = ? WHERE task_id = ? AND expires_at > ?",
                       milliseconds(expires_at), task_id, milliseconds(now));
    if (!kept) return std::unexpected(kept.error());
    return {};
}

Result<void> forget(Connection& connection, std::string_view task_id) {
    const auto record = connection.run("DELETE FROM result WHERE task_id = ?", task_id);
    if (!record) return std::unexpected(record.error());
    const auto mark = connection.run("DELETE FROM sent WHERE task_id = ?", task_id);
    if (!mark) return std::unexpected(mark.error());
    return {};
}

Result<void> mark_sent(Connection& connection, std::string_view task_id,
                       std::optional<TimePoint> expires_at) {
    const auto marked = connection.run(
        "INSERT INTO sent(task_id, expires_at) VALUES(?, ?) "
        "ON CONFLICT(task_id) DO UPDATE SET expires_at = excluded.expires_at",
        task_id, milliseconds(expires_at));
    if (!marked) return std::unexpected(marked.error());
    return {};
}

Result<bool> is_known(Connection& connection, std::string_view task_id, TimePoint now) {
    const std::int64_t now_ms = milliseconds(now);
    const auto known = connection.integer(
        "SELECT EXISTS(SELECT 1 FROM result "
        "              WHERE task_id = ?1 AND (expires_at IS NULL OR expires_at > ?2)) "
        "    OR EXISTS(SELECT 1 FROM sent "
        "              WHERE task_id = ?1 AND (expires_at IS NULL OR expires_at > ?2))",
        task_id, now_ms);
    if (!known) return std::unexpected(known.error());
    return known->value_or(0) != 0;
}

Result<std::int64_t> last_seq(Connection& connection) {
    const auto seq = connection.integer("SELECT seq FROM sqlite_sequence WHERE name = 'result'");
    if (!seq) return std::unexpected(seq.error());
    return seq->value_or(0);
}

Result<Changes> changes_since(Connection& connection, std::int64_t seq, std::size_t limit) {
    auto rows = connection.query(
        "SELECT seq, task_id, status FROM result WHERE seq > ? ORDER BY seq LIMIT ?", seq,
        static_cast<std::int64_t>(limit));
    Changes changes{.last_seq = seq};
    std::size_t read = 0;
    for (;; ++read) {
        const auto row = rows.step();
        if (!row) return std::unexpected(row.error());
        if (!*row) break;
        changes.last_seq = rows.integer(0);
        if (states::is_ready(rows.text(2))) changes.ready_ids.emplace_back(rows.text(1));
    }
    changes.complete = read < limit;
    return changes;
}

Result<void> sweep(Connection& connection, TimePoint now) {
    constexpr std::int64_t kRowsMost = 256;
    constexpr std::int64_t kBytesMost = std::int64_t{4} << 20U;
    const std::int64_t now_ms = milliseconds(now);

    std::vector<std::int64_t> expired;
    {
        auto rows = connection.query(
            "SELECT seq, length(meta) FROM result WHERE expires_at <= ? ORDER BY expires_at LIMIT "
            "?",
            now_ms, kRowsMost);
        for (std::int64_t bytes = 0; bytes < kBytesMost;) {
            const auto row = rows.step();
            if (!row) return std::unexpected(row.error());
            if (!*row) break;
            expired.push_back(rows.integer(0));
            bytes += rows.integer(1);
        }
    }
    for (const std::int64_t seq : expired) {
        const auto removed = connection.run("DELETE FROM result WHERE seq = ?", seq);
        if (!removed) return std::unexpected(removed.error());
    }
    const auto marks = connection.run(
        "DELETE FROM sent WHERE task_id IN "
        "(SELECT task_id FROM sent WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        now_ms, kRowsMost);
    if (!marks) return std::unexpected(marks.error());
    return {};
}

}  // namespace lovage::detail::result_table
