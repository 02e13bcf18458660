#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/chord.hpp>

/// The statements that count chords in the file of results; each runs inside the caller's
/// transaction. Its tables are part of result_table::schema().
namespace lovage::detail::chord_table {

[[nodiscard]] Result<void> start(sqlite::Connection& connection, const ChordStart& chord,
                                 std::optional<TimePoint> expires_at, TimePoint now);
[[nodiscard]] Result<void> grow(sqlite::Connection& connection, std::string_view group_id,
                                std::string_view part_id, std::optional<TimePoint> expires_at);
/// Obeys ResultBackend::add_chord_part.
[[nodiscard]] Result<ChordReturns> add_part(sqlite::Connection& connection, const ChordPart& part,
                                            std::optional<TimePoint> expires_at, TimePoint now,
                                            std::size_t together_bytes_max);
/// Obeys ResultBackend::take_chord.
[[nodiscard]] Result<ChordReturns> take(sqlite::Connection& connection, std::string_view group_id,
                                        std::string_view taker,
                                        std::optional<std::int64_t> returned,
                                        std::size_t together_bytes_max);
/// Obeys ResultBackend::look_at_chords. `result_expires`: zero when nothing does.
[[nodiscard]] Result<std::vector<UnfinishedChord>> look(sqlite::Connection& connection,
                                                        const ChordLook& look,
                                                        std::chrono::milliseconds result_expires,
                                                        TimePoint now);
/// What was noted of a chord.
[[nodiscard]] Result<std::optional<Json>> watch(sqlite::Connection& connection,
                                                std::string_view group_id);
/// Removes the parts; what was noted stays until it expires.
[[nodiscard]] Result<void> end(sqlite::Connection& connection, std::string_view group_id);

/// Removes expired chords, at most 16 of them and 1,024 of their parts a call.
[[nodiscard]] Result<void> sweep(sqlite::Connection& connection, TimePoint now);

}  // namespace lovage::detail::chord_table
