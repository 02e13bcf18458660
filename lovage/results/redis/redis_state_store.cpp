#include <lovage/results/redis/redis_state_store.hpp>

#include <lovage/clients/redis/client.hpp>
#include <lovage/results/redis/redis_keys.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace lovage {
namespace {

using redis::Commands;
using redis::Number;
using redis::Reply;

// An entry is the string "<version>:<value>". Versions are the server's time in microseconds, or
// one more than the last version if that is larger: they grow even when the whole data set is lost,
// as long as the clock does not go back by more than the data set is old. Two sorted sets help:
// names, for list(); and when names expire, so that every write can take a few of those that have
// out of the first.

/// Shared by the writing scripts. KEYS: entry, version, names, expiries. ARGV: name, expected
/// version.
#define LOVAGE_LUA_HELD                                               \
    "local held = redis.call('GET', KEYS[1])\n"                       \
    "local version = held and string.match(held, '^(%d+):') or '0'\n" \
    "if version ~= ARGV[2] then return 0 end\n"

/// ARGV: …, value, time to live in milliseconds (0: none). Returns the new version; 0: conflict.
constexpr const char* kSet = LOVAGE_LUA_HELD R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local new = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if new <= last then new = last + 1 end
local text = string.format('%.0f', new)
redis.call('SET', KEYS[2], text)
-- A second late, so that nothing alive is taken out.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - 1000, 'LIMIT', 0, 16)) do
  redis.call('ZREM', KEYS[3], name)
  redis.call('ZREM', KEYS[4], name)
end
redis.call('ZADD', KEYS[3], 0, ARGV[1])
if ARGV[4] == '0' then
  redis.call('SET', KEYS[1], text .. ':' .. ARGV[3])
  redis.call('ZREM', KEYS[4], ARGV[1])
else
  redis.call('SET', KEYS[1], text .. ':' .. ARGV[3], 'PX', ARGV[4])
  redis.call('ZADD', KEYS[4], now + ARGV[4], ARGV[1])
end
return new
)lua";

/// Returns 1; 0: conflict.
constexpr const char* kErase = LOVAGE_LUA_HELD R"lua(
if version == '0' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
return 1
)lua";

#undef LOVAGE_LUA_HELD

/// KEYS: names, expiries. ARGV: prefix of names, limit, prefix of entries' keys. Returns names of
/// entries in their order; takes out those whose entry has expired.
constexpr const char* kNames = R"lua(
local found = {}
local from = '[' .. ARGV[1]
local limit = tonumber(ARGV[2])
while #found < limit do
  local names = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, 256)
  if #names == 0 then return found end
  for _, name in ipairs(names) do
    if string.sub(name, 1, #ARGV[1]) ~= ARGV[1] or #found == limit then return found end
    if redis.call('EXISTS', ARGV[3] .. name) == 1 then
      found[#found + 1] = name
    else
      redis.call('ZREM', KEYS[1], name)
      redis.call('ZREM', KEYS[2], name)
    end
    from = '(' .. name
  end
end
return found
)lua";

const redis::Script& set_script() {
    static const redis::Script script{kSet};
    return script;
}
const redis::Script& erase_script() {
    static const redis::Script script{kErase};
    return script;
}
const redis::Script& names_script() {
    static const redis::Script script{kNames};
    return script;
}

constexpr redis::Client::RunOptions kRead{.resend = redis::Resend::when_unsure};
constexpr redis::Client::RunOptions kWrite{.resend = redis::Resend::never};
/// Entries read in one round trip by list(): bounds the memory a reply takes.
constexpr std::size_t kKeysAtOnce = 64;

Result<std::optional<StateEntry>> entry(Result<Reply> reply, std::string_view key) {
    reply = redis::accepted(std::move(reply));
    if (!reply) return std::unexpected{std::move(reply.error())};
    if (reply->is_null()) return std::optional<StateEntry>{};
    const std::string& text = reply->text;
    StateEntry found;
    const char* end = text.data() + text.size();
    const auto [colon, error] = std::from_chars(text.data(), end, found.version);
    if (error != std::errc{} || colon == end || *colon != ':') {
        return fail(Errc::malformed,
                    fmt::format("the entry '{}' does not begin with its version", key));
    }
    found.value.assign(colon + 1, end);
    return found;
}

class RedisStateStore final : public StateStore {
public:
    RedisStateStore(Executor executor, RedisStateOptions options)
        : options_{std::move(options)}, keys_{options_.key_prefix} {
        if (options_.server.client_name.empty()) options_.server.client_name = "lovage-state";
        client_ = std::make_unique<redis::Client>(std::move(executor), options_.server);
    }

    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline deadline) override {
        client_->start();
        auto reply = co_await client_->run_one({"GET", keys_.state(key)}, kRead, deadline);
        co_return entry(std::move(reply), key);
    }

    Awaitable<Result<std::vector<std::optional<StateEntry>>>> get_many(
        std::vector<std::string> keys, Deadline deadline) override {
        client_->start();
        Commands commands;
        for (const std::string& key : keys) commands.add({"GET", keys_.state(key)});
        auto replies = co_await client_->run(std::move(commands), kRead, deadline);
        if (!replies) co_return std::unexpected{std::move(replies.error())};
        std::vector<std::optional<StateEntry>> entries;
        entries.reserve(replies->size());
        for (std::size_t index = 0; index < replies->size(); ++index) {
            auto found = entry(std::move((*replies)[index]), keys[index]);
            if (!found) co_return std::unexpected{std::move(found.error())};
            entries.push_back(std::move(*found));
        }
        co_return entries;
    }

    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        if (value.size() > options_.value_bytes_max) {
            co_return fail(Errc::too_large,
                           fmt::format("the entry '{}' would be {} bytes; the limit is {}", key,
                                       value.size(), options_.value_bytes_max));
        }
        // Redis takes no time to live below a millisecond.
        const auto live_for = ttl ? std::max<std::int64_t>(ttl->count(), 1) : 0;
        Commands commands;
        commands.add_script(
            set_script(), written_keys(key),
            std::vector<std::string_view>{key, Number{expected}, value, Number{live_for}});
        co_return co_await write(std::move(commands), std::move(key), deadline);
    }

    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline deadline) override {
        Commands commands;
        commands.add_script(erase_script(), written_keys(key),
                            std::vector<std::string_view>{key, Number{expected}});
        auto done = co_await write(std::move(commands), std::move(key), deadline);
        if (!done) co_return std::unexpected{std::move(done.error())};
        co_return Result<void>{};
    }

    Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(
        std::string prefix, std::size_t limit, Deadline deadline) override {
        client_->start();
        Commands commands;
        commands.add_script(names_script(), {keys_.state_names(), keys_.state_expiries()},
                            {prefix, Number{limit}, keys_.state("")});
        auto names =
            redis::accepted(co_await client_->run_one(std::move(commands), kRead, deadline));
        if (!names) co_return std::unexpected{std::move(names.error())};
        std::vector<std::pair<std::string, StateEntry>> found;
        for (std::size_t at = 0; at < names->items.size(); at += kKeysAtOnce) {
            std::vector<std::string> keys;
            for (std::size_t index = at; index < std::min(at + kKeysAtOnce, names->items.size());
                 ++index) {
                keys.push_back(std::move(names->items[index].text));
            }
            auto entries = co_await get_many(keys, deadline);
            if (!entries) co_return std::unexpected{std::move(entries.error())};
            for (std::size_t index = 0; index < keys.size(); ++index) {
                auto& held = (*entries)[index];
                if (held) found.emplace_back(std::move(keys[index]), *std::move(held));
            }
        }
        co_return found;
    }

    Awaitable<void> close(Deadline deadline) override { co_await client_->close(deadline); }

private:
    /// The keys of the writing scripts; lives until the next call.
    std::vector<std::string_view> written_keys(const std::string& key) {
        written_ = {keys_.state(key), keys_.state_version(), keys_.state_names(),
                    keys_.state_expiries()};
        return {written_.begin(), written_.end()};
    }

    Awaitable<Result<std::uint64_t>> write(Commands commands, std::string key, Deadline deadline) {
        client_->start();
        auto reply =
            redis::accepted(co_await client_->run_one(std::move(commands), kWrite, deadline));
        if (!reply) co_return std::unexpected{std::move(reply.error())};
        if (reply->integer == 0) {
            co_return fail(Errc::conflict, "the entry '" + key + "' has another version");
        }
        co_return static_cast<std::uint64_t>(reply->integer);
    }

    RedisStateOptions options_;
    detail::RedisKeys keys_;
    std::vector<std::string> written_;
    std::unique_ptr<redis::Client> client_;
};

}  // namespace

std::unique_ptr<StateStore> make_redis_state_store(Executor executor, RedisStateOptions options) {
    return std::make_unique<RedisStateStore>(std::move(executor), std::move(options));
}

}  // namespace lovage
