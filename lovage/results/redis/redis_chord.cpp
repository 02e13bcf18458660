#include <lovage/results/redis/redis_chord.hpp>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <lovage/core/task_meta.hpp>
#include <lovage/results/redis/redis_chord_look.hpp>

namespace lovage::detail {
namespace {

/// What both scripts below begin with. KEYS: parts, extra, size, the group's record, who completed
/// it, what sweepers know. `returns` gives the group's record or null and every entry in order, or
/// "too large" and the bytes when these are too many; nothing while parts are missing.
constexpr const char* kCommon = R"lua(
local list = redis.call('TYPE', KEYS[1])['ok'] == 'list'
local function all()
  return redis.call(list and 'LRANGE' or 'ZRANGE', KEYS[1], 0, -1)
end
local function live_on(ttl)
  if ttl == '0' then return end
  for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]}) do
    redis.call('EXPIRE', key, ttl)
  end
end
local function returns(bytes_most, ttl, taker)
  local size = redis.call('GET', KEYS[3])
  if not size then return end
  size = tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or 0)
  if redis.call(list and 'LLEN' or 'ZCARD', KEYS[1]) < size then return end
  local entries, known, distinct, bytes = all(), {}, 0, 0
  for _, entry in ipairs(entries) do
    local id = string.match(entry, '^%[1, ("[^"]*")') or entry
    if not known[id] then
      known[id] = true
      distinct = distinct + 1
    end
    bytes = bytes + #entry
  end
  if distinct < size then return end
  if not taker then return {} end
  redis.call('SET', KEYS[5], taker)
  if ttl ~= '0' then redis.call('EXPIRE', KEYS[5], ttl) end
  if bytes > tonumber(bytes_most) then return {'too large', tostring(bytes)} end
  table.insert(entries, 1, redis.call('GET', KEYS[4]))
  table.insert(entries, 1, 'complete')
  return entries
end
)lua";

/// ARGV: the part's score and entry, how all entries of its task begin, seconds to live (0: for
/// good), the most bytes of all entries together, its task, the mark of what is over.
///
/// Returns what `returns` does, and that nobody watches the chord; nothing as well when the part
/// returns again and another one has completed it.
///
/// Parts lie in a list instead of a sorted set when Python workers run with
/// result_chord_ordered=False; whoever came first has decided.
constexpr const char* kAddPart = R"lua(
local completed_by = redis.call('GET', KEYS[5])
if completed_by == ARGV[7] then
  if redis.call('EXISTS', KEYS[3]) == 0 then return {} end
  completed_by = nil
end
local earlier
for _, entry in ipairs(list and all() or redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])) do
  if string.sub(entry, 1, #ARGV[3]) == ARGV[3] then earlier = entry end
end
local succeeded = ARGV[3] .. '"SUCCESS"'
if not earlier or string.sub(earlier, 1, #succeeded) ~= succeeded then
  if list then
    if earlier then redis.call('LREM', KEYS[1], 1, earlier) end
    redis.call('RPUSH', KEYS[1], ARGV[2])
  else
    if earlier then redis.call('ZREM', KEYS[1], earlier) end
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
  end
end
live_on(ARGV[4])
local again_elsewhere = earlier and completed_by and completed_by ~= ARGV[6]
local complete = returns(ARGV[5], ARGV[4], not again_elsewhere and ARGV[6])
if complete then
  if not again_elsewhere then redis.call('HDEL', KEYS[6], 'seen') end
  return complete
end
if redis.call('EXISTS', KEYS[6]) == 0 then return {'unwatched'} end
return {}
)lua";

/// ARGV: the most bytes of all entries together, seconds to live (0: for good), who asks, how many
/// entries that one has seen ("": whatever there is). Returns what `returns` does, or "incomplete"
/// and the ids of what has returned.
constexpr const char* kTake = R"lua(
local as_seen = ARGV[4] == ''
if not as_seen then
  local count = tostring(redis.call(list and 'LLEN' or 'ZCARD', KEYS[1]))
  as_seen = count == ARGV[4] and redis.call('HGET', KEYS[6], 'seen') == count
end
local complete = as_seen and returns(ARGV[1], ARGV[2], ARGV[3])
if complete then return complete end
local ids = {'incomplete'}
for _, entry in ipairs(all()) do
  ids[#ids + 1] = string.match(entry, '^%[1, "([^"]*)"') or ''
end
return ids
)lua";

/// KEYS: who completed it, the chords by their next turn, parts, extra, size, what extra counts.
/// ARGV: the mark of what is over, seconds to live (0: for good), the group.
constexpr const char* kEnd = R"lua(
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.call('ZREM', KEYS[2], ARGV[3])
return redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
)lua";

/// KEYS: extra, the parts that are counted there, who completed the chord, its size. ARGV: the
/// part, seconds to live of the first, of the second (0: for good), the mark of what is over.
///
/// Nothing is counted for a chord that is over: nothing would come of it. Parts outlive a count
/// that has expired; they are none of a chord that is sent again.
constexpr const char* kGrow = R"lua(
if redis.call('GET', KEYS[3]) == ARGV[4] and redis.call('EXISTS', KEYS[4]) == 0 then return {} end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then redis.call('INCR', KEYS[1]) end
if ARGV[2] ~= '0' then
  for i = 1, 2 do redis.call('EXPIRE', KEYS[i], ARGV[i + 1]) end
end
return {}
)lua";

const redis::Script& grow_script() {
    static const redis::Script script{kGrow};
    return script;
}

const redis::Script& add_part_script() {
    static const redis::Script script{std::string{kCommon} + kAddPart};
    return script;
}
const redis::Script& take_script() {
    static const redis::Script script{std::string{kCommon} + kTake};
    return script;
}

const redis::Script& end_script() {
    static const redis::Script script{kEnd};
    return script;
}

/// The keys of the first two.
struct ChordKeys {
    ChordKeys(const RedisKeys& keys, std::string_view group_id)
        : names{keys.chord_parts(group_id),        keys.chord_extra(group_id),
                keys.chord_size(group_id),         keys.group(group_id),
                keys.chord_completed_by(group_id), keys.chord_watch(group_id)},
          views{names.begin(), names.end()} {}
    std::vector<std::string> names;
    std::vector<std::string_view> views;
};

/// Wire: `[1, "<task id>", "<STATE>", <result or exception map>]`.
std::string entry_start(const std::string& task_id) {
    std::string text = "[1, ";
    append_json_string(text, task_id);
    return text + ", ";
}

Result<ChordPart> read_entry(const std::string& text) {
    const auto entry = parse_json_shallow(text, 1, {.bytes = text.size()});
    const Json::Array* const items =
        entry && entry->is_array() && entry->as_array().size() == 4 ? &entry->as_array() : nullptr;
    if (items == nullptr || !(*items)[1].is_string() || !(*items)[2].is_string()) {
        constexpr std::size_t kShown = 80;
        return fail(Errc::malformed, "a part of the chord is noted in a form nobody knows: " +
                                         text.substr(0, kShown));
    }
    ChordPart part;
    part.task_id = (*items)[1].as_string();
    part.state = (*items)[2].as_string();
    part.result = (*items)[3];
    return part;
}

/// `{"result": [[id, parent], members]}` (celery-wire reference, section 11.4).
Json structure_of(const redis::Reply& record) {
    if (!record.is_text()) return {};
    const auto meta = parse_json_shallow(record.text, 1, {.bytes = record.text.size()});
    const Json* const result = meta ? meta->find("result") : nullptr;
    return result != nullptr ? *result : Json{};
}

/// Wire: Celery's record of a group.
std::string group_text(const Json& result) {
    return to_json_text(Json::object({{"result", result}}));
}

void set(redis::Commands& commands, const std::string& key, std::string_view value,
         std::string_view ttl_seconds) {
    if (ttl_seconds == "0") {
        commands.add({"SET", key, value});
    } else {
        commands.add({"SET", key, value, "EX", ttl_seconds});
    }
}

}  // namespace

redis::Commands start_chord(const RedisKeys& keys, const ChordStart& chord,
                            std::string_view ttl_seconds) {
    redis::Commands commands;
    if (!chord.structure.is_null()) {
        set(commands, keys.group(chord.group_id), group_text(chord.structure), ttl_seconds);
    }
    set(commands, keys.chord_size(chord.group_id), redis::Number{chord.size}, ttl_seconds);
    if (!chord.watch.is_null()) {
        add_chord_watch(commands, keys, chord.group_id, chord.watch, ttl_seconds);
    }
    return commands;
}

redis::Commands grow_chord(const RedisKeys& keys, std::string_view group_id,
                           std::string_view part_id, std::string_view ttl_seconds) {
    redis::Commands commands;
    // The count lives on as its chord does; what it is made of must not go before it.
    const redis::Number kept{
        std::chrono::duration_cast<std::chrono::seconds>(kChordKeptMost).count() * 2};
    commands.add_script(grow_script(),
                        {keys.chord_extra(group_id), keys.chord_additions(group_id),
                         keys.chord_completed_by(group_id), keys.chord_size(group_id)},
                        {part_id, ttl_seconds, kept, kChordOver});
    return commands;
}

redis::Commands save_group(const RedisKeys& keys, std::string_view group_id, const Json& result,
                           std::string_view ttl_seconds) {
    redis::Commands commands;
    set(commands, keys.group(group_id), group_text(result), ttl_seconds);
    return commands;
}

Json read_group(const redis::Reply& record) {
    return structure_of(record);
}

redis::Commands add_chord_part(const RedisKeys& keys, const ChordPart& part,
                               std::string_view ttl_seconds, std::size_t together_bytes_max) {
    const std::string start = entry_start(part.task_id);
    std::string entry = start;
    append_json_string(entry, part.state);
    entry += ", ";
    append_json_text(entry, part.result);
    entry += "]";
    const ChordKeys names{keys, part.group_id};
    const std::string score = part.index ? std::to_string(*part.index) : "+inf";
    redis::Commands commands;
    commands.add_script(
        add_part_script(), names.views,
        std::vector<std::string_view>{score, entry, start, ttl_seconds,
                                      redis::Number{together_bytes_max}, part.task_id, kChordOver});
    return commands;
}

redis::Commands take_chord(const RedisKeys& keys, std::string_view group_id, std::string_view taker,
                           std::optional<std::int64_t> returned, std::string_view ttl_seconds,
                           std::size_t together_bytes_max) {
    const ChordKeys names{keys, group_id};
    const std::string seen = returned ? std::to_string(*returned) : std::string{};
    redis::Commands commands;
    commands.add_script(
        take_script(), names.views,
        std::vector<std::string_view>{redis::Number{together_bytes_max}, ttl_seconds, taker, seen});
    return commands;
}

Result<ChordReturns> read_chord_returns(const redis::Reply& reply, std::string_view group_id) {
    if (reply.is_error()) return std::unexpected{redis::to_error(reply)};
    ChordReturns returns;
    if (reply.items.empty()) return returns;
    if (reply.items[0].text == "unwatched") {
        returns.unwatched = true;
        return returns;
    }
    if (reply.items[0].text == "incomplete") {
        for (std::size_t i = 1; i < reply.items.size(); ++i) {
            returns.parts.push_back({std::string{group_id}, {}, reply.items[i].text, {}, {}});
        }
        return returns;
    }
    if (reply.items.size() < 2 || reply.items[0].text != "complete") {
        return fail(Errc::too_large,
                    fmt::format("the results of chord '{}' are {} bytes together", group_id,
                                reply.items.size() > 1 ? reply.items[1].text : "too many"));
    }
    returns.complete = true;
    returns.structure = structure_of(reply.items[1]);
    std::unordered_map<std::string, std::size_t> places;
    for (std::size_t i = 2; i < reply.items.size(); ++i) {
        auto part = read_entry(reply.items[i].text);
        if (!part) return std::unexpected{std::move(part.error())};
        part->group_id = group_id;
        const auto [place, added] = places.try_emplace(part->task_id, returns.parts.size());
        if (added) {
            returns.parts.push_back(std::move(*part));
        } else if (ChordPart& known = returns.parts[place->second];
                   known.state != states::kSuccess) {
            known = std::move(*part);  // A Python worker has run it twice.
        }
    }
    return returns;
}

redis::Commands end_chord(const RedisKeys& keys, std::string_view group_id,
                          std::string_view ttl_seconds) {
    redis::Commands commands;
    commands.add_script(
        end_script(),
        {keys.chord_completed_by(group_id), keys.chords(), keys.chord_parts(group_id),
         keys.chord_extra(group_id), keys.chord_size(group_id), keys.chord_additions(group_id)},
        {kChordOver, ttl_seconds, group_id});
    return commands;
}

}  // namespace lovage::detail
