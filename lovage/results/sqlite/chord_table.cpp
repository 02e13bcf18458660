#include <lovage/results/sqlite/chord_table.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/task_meta.hpp>

namespace lovage::detail::chord_table {
namespace {

using sqlite::Blob;
using sqlite::Connection;

std::optional<std::int64_t> milliseconds(std::optional<TimePoint> when) {
    if (!when) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::milliseconds>(when->time_since_epoch()).count();
}

std::string_view text_of(const Json& value, std::string& kept) {
    kept = to_json_text(value);
    return kept;
}

struct Count {
    std::int64_t returned = 0;
    std::optional<std::int64_t> size;
    std::optional<std::string> completed_by;
    Json structure;
    std::optional<std::int64_t>
        seen;  ///< By the latest look, unless who completed it was told since.
};

Result<Count> count_of(Connection& connection, std::string_view group_id) {
    auto row = connection.query(
        "SELECT returned, size + (SELECT COUNT(*) FROM chord_addition AS a "
        "WHERE a.group_id = chord.group_id), completed_by, structure, seen FROM chord "
        "WHERE group_id = ?",
        group_id);
    const auto found = row.step();
    if (!found) return std::unexpected(found.error());
    if (!*found) return Count{};
    Count count{row.integer(0), row.optional_integer(1), std::nullopt,
                Json::raw(std::string{row.blob(3)}), row.optional_integer(4)};
    if (!row.is_null(2)) count.completed_by = row.text(2);
    return count;
}

/// Notes the part; true when it is a further one.
Result<bool> write_part(Connection& connection, const ChordPart& part) {
    std::string result;
    const auto inserted = connection.run(
        "INSERT INTO chord_part(group_id, task_id, place, state, result) VALUES(?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        part.group_id, part.task_id, part.index, part.state, Blob{text_of(part.result, result)});
    if (!inserted) return std::unexpected(inserted.error());
    if (*inserted == 1) return true;
    const auto replaced = connection.run(
        "UPDATE chord_part SET place = ?, state = ?, result = ? "
        "WHERE group_id = ? AND task_id = ? AND state <> ?",
        part.index, part.state, Blob{result}, part.group_id, part.task_id, states::kSuccess);
    if (!replaced) return std::unexpected(replaced.error());
    return false;
}

Result<std::vector<ChordPart>> read_parts(Connection& connection, std::string_view group_id,
                                          std::size_t together_bytes_max) {
    std::vector<ChordPart> parts;
    std::size_t bytes = 0;
    auto rows = connection.query(
        "SELECT task_id, place, state, result FROM chord_part WHERE group_id = ? "
        "ORDER BY place IS NULL, place, task_id",
        group_id);
    while (true) {
        const auto row = rows.step();
        if (!row) return std::unexpected(row.error());
        if (!*row) return parts;
        bytes += rows.blob(3).size();
        if (bytes > together_bytes_max) {
            return fail(Errc::too_large,
                        fmt::format("the results of chord '{}' are more than {} bytes together",
                                    group_id, together_bytes_max));
        }
        parts.push_back({std::string{group_id}, rows.optional_integer(1), std::string{rows.text(0)},
                         std::string{rows.text(2)}, Json::raw(std::string{rows.blob(3)})});
    }
}

/// Everything of a chord that is complete.
Result<ChordReturns> read_all(Connection& connection, std::string_view group_id, const Count& count,
                              std::size_t together_bytes_max) {
    auto parts = read_parts(connection, group_id, together_bytes_max);
    if (!parts) return std::unexpected(parts.error());
    auto structure = count.structure.expanded();
    if (!structure) return std::unexpected(structure.error());
    ChordReturns returns;
    returns.complete = true;
    returns.parts = std::move(*parts);
    returns.structure = std::move(*structure);
    return returns;
}

/// A chord whose turn to be looked at it is.
struct DueChord {
    std::string group_id;
    std::optional<std::int64_t> size;
    std::int64_t seen = 0;
    std::optional<std::int64_t> seen_before;
    std::int64_t quiet_since = 0;
    std::int64_t kept = 0;
    std::optional<std::int64_t> expires_at;
};

Result<std::vector<DueChord>> read_due(Connection& connection, const ChordLook& look,
                                       std::int64_t now_ms) {
    std::vector<DueChord> due;
    auto rows = connection.query(
        "SELECT group_id, size, returned, seen, quiet_since, kept, expires_at FROM chord "
        "WHERE look_at <= ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY look_at LIMIT ?",
        now_ms, now_ms, static_cast<std::int64_t>(look.most));
    while (true) {
        const auto row = rows.step();
        if (!row) return std::unexpected(row.error());
        if (!*row) return due;
        due.push_back({std::string{rows.text(0)}, rows.optional_integer(1), rows.integer(2),
                       rows.optional_integer(3), rows.optional_integer(4).value_or(now_ms),
                       rows.optional_integer(5).value_or(now_ms), rows.optional_integer(6)});
    }
}

Result<void> forget_additions(Connection& connection, std::string_view group_id) {
    const auto done = connection.run("DELETE FROM chord_addition WHERE group_id = ?", group_id);
    if (!done) return std::unexpected(done.error());
    return {};
}

}  // namespace

Result<std::optional<Json>> watch(Connection& connection, std::string_view group_id) {
    auto row = connection.query("SELECT watch FROM chord WHERE group_id = ? AND watch IS NOT NULL",
                                group_id);
    const auto found = row.step();
    if (!found) return std::unexpected(found.error());
    if (!*found) return std::optional<Json>{};
    return std::optional<Json>{Json::raw(std::string{row.blob(0)})};
}

Result<void> start(Connection& connection, const ChordStart& chord,
                   std::optional<TimePoint> expires_at, TimePoint now) {
    std::string structure;
    const auto written = connection.run(
        "INSERT INTO chord(group_id, size, structure, returned, expires_at) VALUES(?, ?, ?, 0, ?) "
        "ON CONFLICT(group_id) DO UPDATE SET size = excluded.size, "
        "structure = excluded.structure, expires_at = excluded.expires_at",
        chord.group_id, chord.size, Blob{text_of(chord.structure, structure)},
        milliseconds(expires_at));
    if (!written) return std::unexpected(written.error());
    if (chord.watch.is_null()) return {};
    std::string watch;
    const auto watched = connection.run(
        "UPDATE chord SET watch = ?, look_at = ?, kept = ? WHERE group_id = ? AND look_at IS NULL",
        Blob{text_of(chord.watch, watch)}, milliseconds(now), milliseconds(now), chord.group_id);
    if (!watched) return std::unexpected(watched.error());
    return {};
}

Result<void> grow(Connection& connection, std::string_view group_id, std::string_view part_id,
                  std::optional<TimePoint> expires_at) {
    const auto chord = connection.run(
        "INSERT INTO chord(group_id, structure, returned, expires_at) VALUES(?, ?, 0, ?) "
        "ON CONFLICT(group_id) DO UPDATE SET expires_at = excluded.expires_at",
        group_id, Blob{"null"}, milliseconds(expires_at));
    if (!chord) return std::unexpected(chord.error());
    const auto part = connection.run(
        "INSERT INTO chord_addition(group_id, task_id) VALUES(?, ?) ON CONFLICT DO NOTHING",
        group_id, part_id);
    if (!part) return std::unexpected(part.error());
    return {};
}

Result<ChordReturns> add_part(Connection& connection, const ChordPart& part,
                              std::optional<TimePoint> expires_at, TimePoint now,
                              std::size_t together_bytes_max) {
    if (auto swept = sweep(connection, now); !swept) return std::unexpected(swept.error());
    const auto further = write_part(connection, part);
    if (!further) return std::unexpected(further.error());
    const auto counted = connection.run(
        "INSERT INTO chord(group_id, structure, returned, expires_at) VALUES(?, ?, 1, ?) "
        "ON CONFLICT(group_id) DO UPDATE SET returned = returned + ?, "
        "expires_at = excluded.expires_at",
        part.group_id, Blob{"null"}, milliseconds(expires_at), *further ? 1 : 0);
    if (!counted) return std::unexpected(counted.error());
    auto count = count_of(connection, part.group_id);
    if (!count) return std::unexpected(count.error());
    ChordReturns returns;
    if (!count->size || count->returned < *count->size) return returns;
    if (!*further && count->completed_by.value_or(part.task_id) != part.task_id) return returns;
    const auto completed =
        connection.run("UPDATE chord SET completed_by = ?, seen = NULL WHERE group_id = ?",
                       part.task_id, part.group_id);
    if (!completed) return std::unexpected(completed.error());
    return read_all(connection, part.group_id, *count, together_bytes_max);
}

Result<ChordReturns> take(Connection& connection, std::string_view group_id, std::string_view taker,
                          std::optional<std::int64_t> returned, std::size_t together_bytes_max) {
    auto count = count_of(connection, group_id);
    if (!count) return std::unexpected(count.error());
    const bool as_seen = count->seen == count->returned && returned == count->returned;
    if (count->size && count->returned >= *count->size && (!returned || as_seen)) {
        const auto taken =
            connection.run("UPDATE chord SET completed_by = ? WHERE group_id = ?", taker, group_id);
        if (!taken) return std::unexpected(taken.error());
        return read_all(connection, group_id, *count, together_bytes_max);
    }
    ChordReturns returns;
    auto rows =
        connection.query("SELECT task_id, place FROM chord_part WHERE group_id = ?", group_id);
    while (true) {
        const auto row = rows.step();
        if (!row) return std::unexpected(row.error());
        if (!*row) return returns;
        returns.parts.push_back(
            {std::string{group_id}, rows.optional_integer(1), std::string{rows.text(0)}, {}, {}});
    }
}

Result<std::vector<UnfinishedChord>> look(Connection& connection, const ChordLook& look,
                                          std::chrono::milliseconds result_expires, TimePoint now) {
    const std::int64_t now_ms = *milliseconds(now);
    auto due = read_due(connection, look, now_ms);
    if (!due) return std::unexpected(due.error());
    std::vector<UnfinishedChord> found;
    for (DueChord& chord : *due) {
        if (chord.seen != chord.seen_before) chord.quiet_since = now_ms;
        const std::chrono::milliseconds quiet{
            std::max<std::int64_t>(now_ms - chord.quiet_since, 0)};
        const bool keeps = quiet < kChordKeptMost && result_expires.count() > 0;
        const bool keep_results = keeps && now_ms - chord.kept >= result_expires.count() / 4;
        const std::optional<std::int64_t> expires_at =
            keeps ? std::optional{now_ms + result_expires.count()} : chord.expires_at;
        const auto noted = connection.run(
            "UPDATE chord SET look_at = ?, seen = ?, quiet_since = ?, kept = ?, expires_at = ? "
            "WHERE group_id = ?",
            now_ms + next_look(look, quiet).count(), chord.seen, chord.quiet_since,
            keep_results ? now_ms : chord.kept, expires_at, chord.group_id);
        if (!noted) return std::unexpected(noted.error());
        if (quiet < look.quiet && !keep_results) continue;
        auto known = watch(connection, chord.group_id);
        if (!known) return std::unexpected(known.error());
        found.push_back({std::move(chord.group_id), known->value_or(Json{}), chord.size, chord.seen,
                         quiet, keep_results});
    }
    return found;
}

Result<void> end(Connection& connection, std::string_view group_id) {
    if (auto done = forget_additions(connection, group_id); !done) return done;
    const auto parts = connection.run("DELETE FROM chord_part WHERE group_id = ?", group_id);
    if (!parts) return std::unexpected(parts.error());
    const auto unwatched =
        connection.run("DELETE FROM chord WHERE group_id = ? AND watch IS NULL", group_id);
    if (!unwatched) return std::unexpected(unwatched.error());
    // What sweepers knew of it tells what the group led to.
    const auto over = connection.run(
        "UPDATE chord SET size = NULL, returned = 0, completed_by = NULL, look_at = NULL, "
        "structure = ? WHERE group_id = ?",
        Blob{"null"}, group_id);
    if (!over) return std::unexpected(over.error());
    return {};
}

Result<void> sweep(Connection& connection, TimePoint now) {
    constexpr std::int64_t kChordsMost = 16;
    constexpr std::int64_t kPartsMost = 1'024;
    std::vector<std::string> expired;
    {
        auto rows = connection.query(
            "SELECT group_id FROM chord WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            milliseconds(now), kChordsMost);
        while (true) {
            const auto row = rows.step();
            if (!row) return std::unexpected(row.error());
            if (!*row) break;
            expired.emplace_back(rows.text(0));
        }
    }
    std::int64_t left = kPartsMost;
    for (const std::string& group_id : expired) {
        const auto parts = connection.run(
            "DELETE FROM chord_part WHERE (group_id, task_id) IN "
            "(SELECT group_id, task_id FROM chord_part WHERE group_id = ? LIMIT ?)",
            group_id, left);
        if (!parts) return std::unexpected(parts.error());
        left -= *parts;
        if (left == 0) return {};
        if (auto done = forget_additions(connection, group_id); !done) return done;
        const auto chord = connection.run("DELETE FROM chord WHERE group_id = ?", group_id);
        if (!chord) return std::unexpected(chord.error());
    }
    return {};
}

}  // namespace lovage::detail::chord_table
