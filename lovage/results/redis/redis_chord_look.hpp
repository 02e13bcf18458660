#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/clients/redis/commands.hpp>
#include <lovage/clients/redis/reply.hpp>
#include <lovage/core/error.hpp>
#include <lovage/results/chord.hpp>
#include <lovage/results/redis/redis_keys.hpp>

// What sweepers ask of chords in Redis. Beside Celery's keys of a chord stand a hash with what they
// know and have seen of it, and one sorted set of all chords by when they are looked at next. Times
// are the server's.
namespace lovage::detail {

/// Adds what makes a chord watched; what was noted before stays.
void add_chord_watch(redis::Commands& commands, const RedisKeys& keys, std::string_view group_id,
                     const Json& watch, std::string_view ttl_seconds);
/// Obeys ResultBackend::look_at_chords. A chord whose Celery keys are gone was ended by a Python
/// worker, and is forgotten here.
[[nodiscard]] redis::Commands look_at_chords(const RedisKeys& keys, const ChordLook& look,
                                             std::string_view ttl_seconds);
[[nodiscard]] Result<std::vector<UnfinishedChord>> read_look(const redis::Reply& reply);

}  // namespace lovage::detail
