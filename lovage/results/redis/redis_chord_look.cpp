#include <lovage/results/redis/redis_chord_look.hpp>

#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include <lovage/results/redis/redis_chord.hpp>

namespace lovage::detail {
namespace {

/// KEYS: the chords by their next turn. ARGV: how the keys of a chord, of what is known of it, and
/// of who completed it begin; every, quiet, the longest time that it is kept when nothing returns
/// (milliseconds); how many; seconds to live (0: for good); the mark of what is over.
///
/// Returns six values a chord: its group, what is known of it, its size or "", entries, how long it
/// is quiet, whether the results of its parts shall stay (1 or 0).
constexpr const char* kLook = R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local every, quiet_least, kept_most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[7])) do
  local group, watch = ARGV[1] .. id, ARGV[2] .. id
  local parts, extra, size_key = group .. '.j', group .. '.t', group .. '.s'
  local list = redis.call('TYPE', parts)['ok'] == 'list'
  local returned = redis.call(list and 'LLEN' or 'ZCARD', parts)
  local size = redis.call('GET', size_key)
  local known = redis.call('HMGET', watch, 'seen', 'since', 'kept')
  if redis.call('EXISTS', watch) == 0 then
    redis.call('ZREM', KEYS[1], id)
  elseif not size and returned == 0 then
    redis.call('ZREM', KEYS[1], id)
    if ARGV[8] == '0' then
      redis.call('SET', ARGV[3] .. id, ARGV[9])
    else
      redis.call('SET', ARGV[3] .. id, ARGV[9], 'EX', ARGV[8])
    end
  else
    local since = tonumber(known[2] or now)
    if tonumber(known[1] or -1) ~= returned then since = now end
    local kept = tonumber(known[3] or now)
    local quiet = math.max(now - since, 0)
    local keep = 0
    if ARGV[8] ~= '0' and quiet < kept_most then
      for _, key in ipairs({parts, extra, size_key, group, watch, ARGV[3] .. id}) do
        redis.call('EXPIRE', key, ARGV[8])
      end
      if now - kept >= tonumber(ARGV[8]) * 250 then
        keep = 1
        kept = now
      end
    end
    redis.call('HSET', watch, 'seen', returned, 'since', since, 'kept', kept)
    redis.call('ZADD', KEYS[1], now + math.max(every, math.min(quiet / 4, every * 2)), id)
    if quiet >= quiet_least or keep == 1 then
      if size then size = tostring(tonumber(size) + tonumber(redis.call('GET', extra) or 0)) end
      for _, value in ipairs({id, redis.call('HGET', watch, 'watch'), size or '', returned, quiet,
                              keep}) do
        found[#found + 1] = value
      end
    end
  end
end
return found
)lua";
constexpr std::size_t kValuesEach = 6;

const redis::Script& look_script() {
    static const redis::Script script{kLook};
    return script;
}

std::optional<std::int64_t> number_in(const std::string& text) {
    std::int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

}  // namespace

void add_chord_watch(redis::Commands& commands, const RedisKeys& keys, std::string_view group_id,
                     const Json& watch, std::string_view ttl_seconds) {
    const std::string key = keys.chord_watch(group_id);
    commands.add({"HSETNX", key, "watch", to_json_text(watch)});
    if (ttl_seconds != "0") commands.add({"EXPIRE", key, ttl_seconds});
    commands.add({"ZADD", keys.chords(), "NX", "0", group_id});
}

redis::Commands look_at_chords(const RedisKeys& keys, const ChordLook& look,
                               std::string_view ttl_seconds) {
    redis::Commands commands;
    commands.add_script(
        look_script(), {keys.chords()},
        {keys.group(""), keys.chord_watch(""), keys.chord_completed_by(""),
         redis::Number{look.every.count()}, redis::Number{look.quiet.count()},
         redis::Number{kChordKeptMost.count()}, redis::Number{look.most}, ttl_seconds, kChordOver});
    return commands;
}

Result<std::vector<UnfinishedChord>> read_look(const redis::Reply& reply) {
    if (reply.is_error()) return std::unexpected{redis::to_error(reply)};
    std::vector<UnfinishedChord> found;
    for (std::size_t i = 0; i + kValuesEach <= reply.items.size(); i += kValuesEach) {
        UnfinishedChord chord;
        chord.group_id = reply.items[i].text;
        chord.watch = Json::raw(reply.items[i + 1].text);
        chord.size = number_in(reply.items[i + 2].text);
        chord.returned = reply.items[i + 3].integer;
        chord.quiet = std::chrono::milliseconds{reply.items[i + 4].integer};
        chord.keep_results = reply.items[i + 5].integer == 1;
        found.push_back(std::move(chord));
    }
    return found;
}

}  // namespace lovage::detail
