#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/chord.hpp>

/// The statements that count chords in the file of results; each runs inside the caller's
/// transaction. Its tables are part of result_table::schema().
namespace lovage::detail::chord_table {

[[nodiscard]] Result<void> start(sqlite::Connection& connection, const ChordStart& chord,
                                 std::optional<TimePoint> expires_at);
[[nodiscard]] Result<void> grow(sqlite::Connection& connection, std::string_view group_id,
                                std::string_view part_id, std::optional<TimePoint> expires_at);
/// Obeys ResultBackend::add_chord_part.
[[nodiscard]] Result<ChordReturns> add_part(sqlite::Connection& connection, const ChordPart& part,
                                            std::optional<TimePoint> expires_at, TimePoint now,
                                            std::size_t together_bytes_max);
[[nodiscard]] Result<void> end(sqlite::Connection& connection, std::string_view group_id);

/// Removes expired chords, at most 16 of them and 1,024 of their parts a call.
[[nodiscard]] Result<void> sweep(sqlite::Connection& connection, TimePoint now);

}  // namespace lovage::detail::chord_table
