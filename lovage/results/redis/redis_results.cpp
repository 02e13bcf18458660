#include <lovage/results/redis/redis_results.hpp>

#include <lovage/clients/redis/client.hpp>
#include <lovage/clients/redis/subscriber.hpp>
#include <lovage/results/detail/waiters.hpp>
#include <lovage/results/redis/redis_chord.hpp>
#include <lovage/results/redis/redis_chord_look.hpp>
#include <lovage/results/redis/redis_keys.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using redis::Commands;
using redis::Reply;
using redis::Resend;

/// What Python's Celery does with GET, MULTI, SETEX, PUBLISH, EXEC, in one step; so precedence also
/// holds between two writers at once. Returns 1 when stored, 0 when the existing record stays.
/// Sent twice, because the first answer was lost, it says 1 twice.
///
/// ARGV: the record, its time to live in seconds (0: none), whether its state is final (1 or 0).
/// The usual record is its task's first and costs two commands. For the others, the condition in
/// the middle says the same as states::may_replace(); Celery writes the status first, so that a
/// large record need not be read, and any other JSON is decoded.
constexpr const char* kStore = R"lua(
local function set(...)
  if ARGV[2] == '0' then return redis.call('SET', KEYS[1], ARGV[1], ...) end
  return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], ...)
end
if not set('NX') then
  local status = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^{"status": "([^"\\]*)"')
  if not status then
    local readable, meta = pcall(cjson.decode, redis.call('GET', KEYS[1]))
    if readable and type(meta) == 'table' then status = meta['status'] end
  end
  local final = status == 'SUCCESS' or status == 'FAILURE' or status == 'REVOKED'
  if status == 'SUCCESS' or (final and ARGV[3] == '0') then
    if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
    return 0
  end
  set()
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
)lua";

/// Records read in one round trip after subscribing.
constexpr std::size_t kChannelsAtOnce = 32;
/// Records read, or made to stay, in one round trip of a call for many.
constexpr std::size_t kRecordsAtOnce = 256;
constexpr auto kReadAttempt = 30s;
constexpr auto kReadPause = 200ms;

const redis::Script& store_script() {
    static const redis::Script script{kStore};
    return script;
}

/// Reading, and writing with kStore, twice is like once.
constexpr redis::Client::RunOptions kRepeatable{.resend = Resend::when_unsure};

class RedisResults final : public ResultBackend {
public:
    RedisResults(Executor executor, RedisResultsOptions options)
        : executor_{std::move(executor)},
          options_{std::move(options)},
          keys_{options_.key_prefix},
          ttl_seconds_{seconds(options_.result_expires)},
          waiters_{std::make_shared<detail::Waiters>(executor_)} {}

    Awaitable<Result<void>> connect(Deadline deadline) override;
    Awaitable<void> close(Deadline deadline) override;
    Awaitable<Result<StoreOutcome>> store(TaskMeta meta, Deadline deadline) override;
    Awaitable<std::vector<Result<StoreOutcome>>> store_many(std::vector<TaskMeta> metas,
                                                            Deadline deadline) override;
    Awaitable<Result<std::optional<TaskMeta>>> get(std::string task_id, Deadline deadline) override;
    Awaitable<Result<std::vector<std::optional<TaskMeta>>>> get_many(
        std::vector<std::string> task_ids, Deadline deadline) override;
    Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) override;
    Awaitable<Result<void>> forget(std::string task_id, Deadline deadline) override;
    Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) override;
    Awaitable<Result<bool>> is_known(std::string task_id, Deadline deadline) override;
    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline) override;
    Awaitable<Result<void>> grow_chord(std::string group_id, std::string part_id,
                                       Deadline deadline) override;
    Awaitable<Result<ChordReturns>> add_chord_part(ChordPart part, Deadline deadline) override;
    Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline) override;
    Awaitable<Result<void>> watch_chord(std::string group_id, Json watch,
                                        Deadline deadline) override;
    Awaitable<Result<std::optional<Json>>> chord_watch(std::string group_id,
                                                       Deadline deadline) override;
    Awaitable<Result<std::vector<UnfinishedChord>>> look_at_chords(ChordLook look,
                                                                   Deadline deadline) override;
    Awaitable<Result<ChordReturns>> take_chord(std::string group_id, std::string taker,
                                               std::optional<std::int64_t> returned,
                                               Deadline deadline) override;
    Awaitable<Result<void>> keep(std::vector<std::string> task_ids, Deadline deadline) override;
    Awaitable<Result<void>> save_group(std::string group_id, Json result,
                                       Deadline deadline) override;
    Awaitable<Result<std::optional<Json>>> saved_group(std::string group_id,
                                                       Deadline deadline) override;
    Awaitable<Result<void>> forget_group(std::string group_id, Deadline deadline) override;
    Awaitable<Result<void>> ping(Deadline deadline) override;

    [[nodiscard]] std::string display_url() const override { return options_.server.display_url(); }

private:
    /// What exists between connect() and close().
    struct Connections {
        Connections(const Executor& executor, const redis::Options& server,
                    redis::Subscriber::Hooks hooks)
            : client{executor, named(server, "lovage-results")},
              subscriber{std::make_shared<redis::Subscriber>(
                  executor, named(server, "lovage-results-wait"), std::move(hooks))},
              scope{executor} {}
        static redis::Options named(redis::Options server, std::string name) {
            if (server.client_name.empty()) server.client_name = std::move(name);
            return server;
        }
        redis::Client client;
        std::shared_ptr<redis::Subscriber> subscriber;
        TaskScope scope;
    };

    /// A channel is wanted as long as this lives.
    class Interest {
    public:
        Interest(std::shared_ptr<redis::Subscriber> subscriber, std::string channel)
            : subscriber_{std::move(subscriber)}, channel_{std::move(channel)} {
            subscriber_->add(channel_);
        }
        ~Interest() { subscriber_->remove(channel_); }
        Interest(const Interest&) = delete;
        Interest& operator=(const Interest&) = delete;

    private:
        std::shared_ptr<redis::Subscriber> subscriber_;
        std::string channel_;
    };

    static std::string seconds(std::chrono::milliseconds time) {
        return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count());
    }
    [[nodiscard]] std::unexpected<Error> not_connected() const {
        return fail(Errc::disconnected, "result backend " + display_url() + " is not connected");
    }
    /// One command that may be repeated; its reply, an error reply as error.
    Awaitable<Result<Reply>> run(Commands command, Deadline deadline) {
        if (!connected_) co_return not_connected();
        co_return redis::accepted(
            co_await connections_->client.run_one(std::move(command), kRepeatable, deadline));
    }
    /// Several that may be repeated; the first error among their replies.
    Awaitable<Result<void>> run_all(Commands commands, Deadline deadline) {
        if (!connected_) co_return not_connected();
        const auto replies =
            co_await connections_->client.run(std::move(commands), kRepeatable, deadline);
        if (!replies) co_return std::unexpected{replies.error()};
        for (const Reply& reply : *replies) {
            if (reply.is_error()) co_return std::unexpected{redis::to_error(reply)};
        }
        co_return Result<void>{};
    }
    void start();
    Result<void> add_store(const TaskMeta& meta, Commands& commands) const;
    void read_again(std::vector<std::string> channels);
    Awaitable<void> read_records(std::vector<std::string> channels);
    void deliver(std::string_view channel, std::string text);

    Executor executor_;
    RedisResultsOptions options_;
    detail::RedisKeys keys_;
    std::string ttl_seconds_;
    std::shared_ptr<detail::Waiters> waiters_;
    bool connected_ = false;
    std::unique_ptr<Connections> connections_;
};

void RedisResults::start() {
    redis::Subscriber::Hooks hooks;
    hooks.message = [this](std::string_view channel, std::string payload) {
        deliver(channel, std::move(payload));
    };
    hooks.subscribed = [this](std::vector<std::string> channels) {
        read_again(std::move(channels));
    };
    connections_ = std::make_unique<Connections>(executor_, options_.server, std::move(hooks));
    connections_->client.start();
}

Awaitable<Result<void>> RedisResults::connect(Deadline deadline) {
    if (!connections_) start();
    auto done = co_await connections_->client.connected(deadline);
    connected_ = done.has_value();
    co_return done;
}

Awaitable<void> RedisResults::close(Deadline deadline) {
    connected_ = false;
    waiters_->close_all();
    if (!connections_) co_return;
    // They stay in place until the end: coroutines of the scope use them.
    connections_->scope.request_stop();
    co_await connections_->subscriber->close();
    co_await connections_->client.close(deadline);
    co_await connections_->scope.join(Deadline::in(1min));
    connections_.reset();
}

// ---- Writing

Result<void> RedisResults::add_store(const TaskMeta& meta, Commands& commands) const {
    const std::string record = meta.to_json();
    if (record.size() > options_.result_bytes_max) {
        return fail(Errc::too_large,
                    fmt::format("the record of task '{}' is {} bytes; the limit is {}",
                                meta.task_id, record.size(), options_.result_bytes_max));
    }
    const std::string key = keys_.result(meta.task_id);
    commands.add_script(store_script(), {key}, {record, ttl_seconds_, meta.ready() ? "1" : "0"});
    return {};
}

Awaitable<std::vector<Result<StoreOutcome>>> RedisResults::store_many(std::vector<TaskMeta> metas,
                                                                      Deadline deadline) {
    std::vector<Result<StoreOutcome>> outcomes;
    outcomes.reserve(metas.size());
    if (!connected_) {
        for (std::size_t index = 0; index < metas.size(); ++index) {
            outcomes.emplace_back(not_connected());
        }
        co_return outcomes;
    }
    constexpr std::size_t kUsualBytes = 512;  // Of a record and the words around it.
    Commands commands;
    commands.reserve(metas.size(), metas.size() * kUsualBytes);
    for (const TaskMeta& meta : metas) {
        auto added = add_store(meta, commands);
        outcomes.push_back(added ? Result<StoreOutcome>{StoreOutcome::stored}
                                 : std::unexpected{std::move(added.error())});
    }
    metas.clear();
    auto replies = co_await connections_->client.run(std::move(commands), kRepeatable, deadline);
    std::size_t next = 0;
    for (auto& outcome : outcomes) {
        if (!outcome) continue;  // Was not sent.
        if (!replies) {
            outcome = std::unexpected{replies.error()};
        } else if (const Reply& reply = (*replies)[next++]; reply.is_error()) {
            outcome = std::unexpected{redis::to_error(reply)};
        } else if (reply.integer == 0) {
            outcome = StoreOutcome::kept_existing;
        }
    }
    co_return outcomes;
}

Awaitable<Result<StoreOutcome>> RedisResults::store(TaskMeta meta, Deadline deadline) {
    std::vector<TaskMeta> one;
    one.push_back(std::move(meta));
    auto outcomes = co_await store_many(std::move(one), deadline);
    co_return std::move(outcomes.front());
}

Awaitable<Result<void>> RedisResults::mark_sent(std::string task_id, Deadline deadline) {
    const std::string key = keys_.sent(task_id);
    const bool expires = options_.result_expires.count() > 0;
    auto done = co_await run(
        expires ? Commands{"SET", key, "1", "EX", ttl_seconds_} : Commands{"SET", key, "1"},
        deadline);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return Result<void>{};
}

Awaitable<Result<void>> RedisResults::forget(std::string task_id, Deadline deadline) {
    co_return co_await run_all({"DEL", keys_.result(task_id), keys_.sent(task_id)}, deadline);
}

// ---- Chords

Awaitable<Result<void>> RedisResults::start_chord(ChordStart chord, Deadline deadline) {
    co_return co_await run_all(detail::start_chord(keys_, chord, ttl_seconds_), deadline);
}

Awaitable<Result<ChordReturns>> RedisResults::add_chord_part(ChordPart part, Deadline deadline) {
    if (!connected_) co_return not_connected();
    // Counted twice is counted once.
    const auto reply = co_await connections_->client.run_one(
        detail::add_chord_part(keys_, part, ttl_seconds_, options_.result_bytes_max), kRepeatable,
        deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    co_return detail::read_chord_returns(*reply, part.group_id);
}

Awaitable<Result<void>> RedisResults::grow_chord(std::string group_id, std::string part_id,
                                                 Deadline deadline) {
    auto done = co_await run(detail::grow_chord(keys_, group_id, part_id, ttl_seconds_), deadline);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return Result<void>{};
}

Awaitable<Result<void>> RedisResults::end_chord(std::string group_id, Deadline deadline) {
    auto done = co_await run(detail::end_chord(keys_, group_id, ttl_seconds_), deadline);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return Result<void>{};
}

Awaitable<Result<void>> RedisResults::watch_chord(std::string group_id, Json watch,
                                                  Deadline deadline) {
    Commands commands;
    detail::add_chord_watch(commands, keys_, group_id, watch, ttl_seconds_);
    co_return co_await run_all(std::move(commands), deadline);
}

Awaitable<Result<std::optional<Json>>> RedisResults::chord_watch(std::string group_id,
                                                                 Deadline deadline) {
    const auto reply = co_await run({"HGET", keys_.chord_watch(group_id), "watch"}, deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    if (!reply->is_text()) co_return std::optional<Json>{};
    co_return std::optional<Json>{Json::raw(reply->text)};
}

Awaitable<Result<std::vector<UnfinishedChord>>> RedisResults::look_at_chords(ChordLook look,
                                                                             Deadline deadline) {
    const auto reply = co_await run(detail::look_at_chords(keys_, look, ttl_seconds_), deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    co_return detail::read_look(*reply);
}

Awaitable<Result<ChordReturns>> RedisResults::take_chord(std::string group_id, std::string taker,
                                                         std::optional<std::int64_t> returned,
                                                         Deadline deadline) {
    const auto reply = co_await run(detail::take_chord(keys_, group_id, taker, returned,
                                                       ttl_seconds_, options_.result_bytes_max),
                                    deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    co_return detail::read_chord_returns(*reply, group_id);
}

Awaitable<Result<void>> RedisResults::keep(std::vector<std::string> task_ids, Deadline deadline) {
    if (options_.result_expires.count() == 0) co_return Result<void>{};
    for (std::size_t at = 0; at < task_ids.size(); at += kRecordsAtOnce) {
        Commands commands;
        for (std::size_t i = at; i < std::min(at + kRecordsAtOnce, task_ids.size()); ++i) {
            commands.add({"EXPIRE", keys_.result(task_ids[i]), ttl_seconds_});
        }
        auto done = co_await run_all(std::move(commands), deadline);
        if (!done) co_return done;
    }
    co_return Result<void>{};
}

// ---- Groups

Awaitable<Result<void>> RedisResults::save_group(std::string group_id, Json result,
                                                 Deadline deadline) {
    if (!connected_) co_return not_connected();
    const auto reply = co_await connections_->client.run_one(
        detail::save_group(keys_, group_id, result, ttl_seconds_), kRepeatable, deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    co_return Result<void>{};
}

Awaitable<Result<std::optional<Json>>> RedisResults::saved_group(std::string group_id,
                                                                 Deadline deadline) {
    const auto reply = co_await run({"GET", keys_.group(group_id)}, deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    Json result = detail::read_group(*reply);
    if (result.is_null()) co_return std::optional<Json>{};
    co_return std::optional<Json>{std::move(result)};
}

Awaitable<Result<void>> RedisResults::forget_group(std::string group_id, Deadline deadline) {
    co_return co_await run_all({"DEL", keys_.group(group_id)}, deadline);
}

// ---- Reading

Awaitable<Result<std::optional<TaskMeta>>> RedisResults::get(std::string task_id,
                                                             Deadline deadline) {
    const auto reply = co_await run({"GET", keys_.result(task_id)}, deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    if (reply->is_null()) co_return std::optional<TaskMeta>{};
    co_return TaskMeta::from_json(reply->text);
}

Awaitable<Result<std::vector<std::optional<TaskMeta>>>> RedisResults::get_many(
    std::vector<std::string> task_ids, Deadline deadline) {
    std::vector<std::optional<TaskMeta>> records;
    records.reserve(task_ids.size());
    for (std::size_t at = 0; at < task_ids.size(); at += kRecordsAtOnce) {
        if (!connected_) co_return not_connected();
        Commands commands;
        for (std::size_t i = at; i < std::min(at + kRecordsAtOnce, task_ids.size()); ++i) {
            commands.add({"GET", keys_.result(task_ids[i])});
        }
        auto replies =
            co_await connections_->client.run(std::move(commands), kRepeatable, deadline);
        if (!replies) co_return std::unexpected{std::move(replies.error())};
        for (const Reply& reply : *replies) {
            if (reply.is_error()) co_return std::unexpected{redis::to_error(reply)};
            if (reply.is_null()) {
                records.emplace_back();
                continue;
            }
            auto meta = TaskMeta::from_json(reply.text);
            if (!meta) co_return std::unexpected{std::move(meta.error())};
            records.emplace_back(std::move(*meta));
        }
    }
    co_return records;
}

Awaitable<Result<bool>> RedisResults::is_known(std::string task_id, Deadline deadline) {
    const auto reply =
        co_await run({"EXISTS", keys_.result(task_id), keys_.sent(task_id)}, deadline);
    if (!reply) co_return std::unexpected{reply.error()};
    co_return reply->integer > 0;
}

Awaitable<Result<void>> RedisResults::ping(Deadline deadline) {
    co_return co_await run_all({"PING"}, deadline);
}

Awaitable<Result<TaskMeta>> RedisResults::wait(std::string task_id, Deadline deadline) {
    if (!connected_) co_return not_connected();
    const std::string channel = keys_.result(task_id);
    detail::Waiters::Ticket ticket{waiters_, task_id};
    const bool read_already = connections_->subscriber->is_subscribed(channel);
    const Interest interest{connections_->subscriber, channel};
    // Subscribing ends in a read; who joins a subscription that is in force needs one of his own.
    if (read_already) read_again({channel});
    // From here on `*this` is not touched: close() may have ended it when this goes on.
    const auto arrived = co_await ticket.arrived(deadline);
    if (!arrived) co_return std::unexpected{arrived.error()};
    co_return TaskMeta::from_json(**arrived);
}

void RedisResults::read_again(std::vector<std::string> channels) {
    if (!connections_) return;
    connections_->scope.spawn("read results", read_records(std::move(channels)));
}

Awaitable<void> RedisResults::read_records(std::vector<std::string> channels) {
    while (true) {
        // What has arrived meanwhile, or is not waited for any more, need not be read.
        std::erase_if(channels, [this](const std::string& channel) {
            return !waiters_->waits_for(keys_.task_id(channel));
        });
        if (channels.empty()) co_return;
        const std::size_t count = std::min(channels.size(), kChannelsAtOnce);
        Commands commands;
        for (std::size_t index = 0; index < count; ++index) commands.add({"GET", channels[index]});
        auto replies = co_await connections_->client.run(std::move(commands), kRepeatable,
                                                         Deadline::in(kReadAttempt));
        if (!replies && replies.error().code == Errc::closed) co_return;
        if (!replies) {
            // Those who wait have deadlines of their own. A full queue refuses at once: without a
            // pause nothing else would run on this loop.
            boost::asio::steady_timer pause{executor_, kReadPause};
            co_await pause.async_wait(boost::asio::use_awaitable);
            continue;
        }
        for (std::size_t index = 0; index < count; ++index) {
            Reply& reply = (*replies)[index];
            if (reply.is_text()) deliver(channels[index], std::move(reply.text));
            if (reply.is_error()) {
                log::error("results", "reading '{}': {}", channels[index], reply.text);
            }
        }
        channels.erase(channels.begin(), std::next(channels.begin(), static_cast<long>(count)));
    }
}

void RedisResults::deliver(std::string_view channel, std::string text) {
    const std::string_view task_id = keys_.task_id(channel);
    if (!waiters_->waits_for(task_id)) return;
    const auto meta = TaskMeta::from_json(text);
    if (!meta) {
        log::error("results", "the record of task '{}' is not readable: {}", task_id,
                   meta.error().message());
        return;
    }
    if (meta->ready()) {
        waiters_->deliver(task_id, std::make_shared<const std::string>(std::move(text)));
    }
}

}  // namespace

std::unique_ptr<ResultBackend> make_redis_results(Executor executor, RedisResultsOptions options) {
    return std::make_unique<RedisResults>(std::move(executor), std::move(options));
}

}  // namespace lovage
