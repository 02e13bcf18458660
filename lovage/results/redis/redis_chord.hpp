#pragma once

#include <cstddef>
#include <string_view>

#include <lovage/clients/redis/commands.hpp>
#include <lovage/clients/redis/reply.hpp>
#include <lovage/core/error.hpp>
#include <lovage/results/chord.hpp>
#include <lovage/results/redis/redis_keys.hpp>

// How chords are counted in Redis: Celery's keys and entries (celery-wire reference, section 12.6),
// so that parts may run in Python and in C++.
namespace lovage::detail {

/// Makes a chord's size known, and its structure when it has one. `ttl_seconds` as text; "0": kept
/// for good.
[[nodiscard]] redis::Commands start_chord(const RedisKeys& keys, const ChordStart& chord,
                                          std::string_view ttl_seconds);
/// Makes a chord one part larger, once for each `part_id`, under the key where Celery's
/// add_to_chord counts.
[[nodiscard]] redis::Commands grow_chord(const RedisKeys& keys, std::string_view group_id,
                                         std::string_view part_id, std::string_view ttl_seconds);
/// Counts a part. One script call: Celery's ZADD and ZCOUNT, but a part that returns again takes
/// its earlier entry's place, and completeness is told by distinct tasks.
[[nodiscard]] redis::Commands add_chord_part(const RedisKeys& keys, const ChordPart& part,
                                             std::string_view ttl_seconds,
                                             std::size_t together_bytes_max);
/// What it answered. Errors: those of an error reply; too_large; malformed (somebody else's entry
/// cannot be read).
[[nodiscard]] Result<ChordReturns> read_chord_returns(const redis::Reply& reply,
                                                      std::string_view group_id);
/// A group under Celery's key (celery-wire reference, section 11.4), and what such a key holds.
[[nodiscard]] redis::Commands save_group(const RedisKeys& keys, std::string_view group_id,
                                         const Json& result, std::string_view ttl_seconds);
[[nodiscard]] Json read_group(const redis::Reply& record);
/// Removes what has been counted for a chord, and leaves a mark that it is over, so that a part
/// that returns late begins nothing anew.
[[nodiscard]] redis::Commands end_chord(const RedisKeys& keys, std::string_view group_id,
                                        std::string_view ttl_seconds);
/// Obeys ResultBackend::take_chord; read_chord_returns() reads the answer.
[[nodiscard]] redis::Commands take_chord(const RedisKeys& keys, std::string_view group_id,
                                         std::string_view taker,
                                         std::optional<std::int64_t> returned,
                                         std::string_view ttl_seconds,
                                         std::size_t together_bytes_max);

/// The mark, in the place of who completed the chord; no task's id.
inline constexpr std::string_view kChordOver = "!over";

}  // namespace lovage::detail
