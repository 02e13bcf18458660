#include <lovage/results/redis/redis_chord.hpp>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/task_meta.hpp>

namespace lovage::detail {
namespace {

/// KEYS: parts, extra, size, the group's record, who completed it. ARGV: the part's score and
/// entry, how all entries of its task begin, seconds to live (0: for good), the most bytes of all
/// entries together, its task.
///
/// Returns nothing while parts are missing, or when the part returns again and another one
/// has completed the chord; else the
/// group's record or null, and every entry in order. "too large" and the bytes when these are too
/// many.
///
/// Parts lie in a list instead of a sorted set when Python workers run with
/// result_chord_ordered=False; whoever came first has decided.
constexpr const char* kAddPart = R"lua(
local list = redis.call('TYPE', KEYS[1])['ok'] == 'list'
local function all()
  return redis.call(list and 'LRANGE' or 'ZRANGE', KEYS[1], 0, -1)
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
if ARGV[4] ~= '0' then
  for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
end
local size = redis.call('GET', KEYS[3])
if not size then return {} end
size = tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or 0)
if redis.call(list and 'LLEN' or 'ZCARD', KEYS[1]) < size then return {} end
local entries, known, distinct, bytes = all(), {}, 0, 0
for _, entry in ipairs(entries) do
  local id = string.match(entry, '^%[1, ("[^"]*")') or entry
  if not known[id] then
    known[id] = true
    distinct = distinct + 1
  end
  bytes = bytes + #entry
end
if distinct < size then return {} end
local completed_by = redis.call('GET', KEYS[5])
if earlier and completed_by and completed_by ~= ARGV[6] then return {} end
redis.call('SET', KEYS[5], ARGV[6])
if ARGV[4] ~= '0' then redis.call('EXPIRE', KEYS[5], ARGV[4]) end
if bytes > tonumber(ARGV[5]) then return {'too large', tostring(bytes)} end
table.insert(entries, 1, redis.call('GET', KEYS[4]))
table.insert(entries, 1, 'complete')
return entries
)lua";

/// KEYS: extra, the parts that are counted there. ARGV: the part, seconds to live (0: for good).
constexpr const char* kGrow = R"lua(
if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then redis.call('INCR', KEYS[1]) end
if ARGV[2] ~= '0' then
  for i = 1, 2 do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
end
return {}
)lua";

const redis::Script& grow_script() {
    static const redis::Script script{kGrow};
    return script;
}

const redis::Script& add_part_script() {
    static const redis::Script script{kAddPart};
    return script;
}

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
    return commands;
}

redis::Commands grow_chord(const RedisKeys& keys, std::string_view group_id,
                           std::string_view part_id, std::string_view ttl_seconds) {
    redis::Commands commands;
    commands.add_script(grow_script(), {keys.chord_extra(group_id), keys.chord_additions(group_id)},
                        {part_id, ttl_seconds});
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
    const std::string score = part.index ? std::to_string(*part.index) : "+inf";
    redis::Commands commands;
    commands.add_script(
        add_part_script(),
        {keys.chord_parts(part.group_id), keys.chord_extra(part.group_id),
         keys.chord_size(part.group_id), keys.group(part.group_id),
         keys.chord_completed_by(part.group_id)},
        {score, entry, start, ttl_seconds, redis::Number{together_bytes_max}, part.task_id});
    return commands;
}

Result<ChordReturns> read_chord_returns(const redis::Reply& reply, std::string_view group_id) {
    if (reply.is_error()) return std::unexpected{redis::to_error(reply)};
    ChordReturns returns;
    if (reply.items.empty()) return returns;
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

redis::Commands end_chord(const RedisKeys& keys, std::string_view group_id) {
    return {"DEL",
            keys.chord_parts(group_id),
            keys.chord_extra(group_id),
            keys.chord_size(group_id),
            keys.chord_completed_by(group_id),
            keys.chord_additions(group_id)};
}

}  // namespace lovage::detail
