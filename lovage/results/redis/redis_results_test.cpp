// What the conformance suite cannot ask of every driver: Python's records byte for byte, and
// servers that go away, fall silent, fill up.
#include <lovage/results/redis/redis_results.hpp>
#include <lovage/results/redis/redis_state_store.hpp>

#include <lovage/clients/redis/subscriber.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <lovage/results/conformance.hpp>
#include <lovage/runtime/notifier.hpp>
#include <tests/support/fixture.hpp>
#include <tests/support/soon.hpp>

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using conformance::ResultConnection;
using conformance::StateConnection;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TaskMeta record(const std::string& task_id, std::string_view status = states::kSuccess,
                const std::string& result_json = "42") {
    TaskMeta meta;
    meta.task_id = task_id;
    meta.status = status;
    meta.result = Json::raw(result_json);
    return meta;
}

/// A backend over a server, on a loop and thread of its own.
class Backend {
public:
    explicit Backend(RedisResultsOptions options) {
        loop_.start();
        backend_ = make_redis_results(loop_.executor(), std::move(options));
    }
    ~Backend() { loop_.run_blocking(end(this)); }
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Result<void> connect(Deadline deadline = soon()) {
        return loop_.run_blocking(backend_->connect(deadline));
    }
    Result<StoreOutcome> store(TaskMeta meta, Deadline deadline = soon()) {
        return loop_.run_blocking(backend_->store(std::move(meta), deadline));
    }
    std::vector<Result<StoreOutcome>> store_many(std::vector<TaskMeta> metas) {
        return loop_.run_blocking(backend_->store_many(std::move(metas), soon()));
    }
    Result<std::optional<TaskMeta>> get(const std::string& task_id) {
        return loop_.run_blocking(backend_->get(task_id, soon()));
    }
    [[nodiscard]] std::string display_url() const { return backend_->display_url(); }

private:
    static Awaitable<void> end(Backend* self) {
        co_await self->backend_->close(Deadline::in(0s));
        self->backend_.reset();
    }
    Loop loop_{"results-test"};
    std::unique_ptr<ResultBackend> backend_;
};

/// A connection of the conformance suite, whose waits return futures.
std::unique_ptr<ResultConnection> connected(const redis::TestServer& server) {
    auto connection = std::make_unique<ResultConnection>([&](Executor executor) {
        return make_redis_results(std::move(executor), {.server = server.options()});
    });
    connection->connect();
    return connection;
}

/// Everything published on the result channels, as a Python client would hear it.
class Ear {
public:
    explicit Ear(const redis::TestServer& server) {
        loop_.start();
        loop_.run_blocking(start(this, server.options()));
    }
    ~Ear() { loop_.run_blocking(end(this)); }
    Ear(const Ear&) = delete;
    Ear& operator=(const Ear&) = delete;

    struct Message {
        std::string channel;
        std::string payload;
    };
    /// Waits for the message number `index`, counted from 0.
    Message message(std::size_t index) { return loop_.run_blocking(wait(this, index)); }

private:
    static Awaitable<void> start(Ear* self, redis::Options options) {
        redis::Client::Hooks hooks;
        hooks.pushed = [self](redis::Reply reply) {
            // "pmessage", pattern, channel, payload
            self->messages_.push_back({reply.items.at(2).text, reply.items.at(3).text});
            self->changed_.notify_all();
        };
        self->client_ = std::make_unique<redis::Client>(self->loop_.executor(), std::move(options),
                                                        std::move(hooks));
        self->client_->start();
        std::vector<std::string> patterns{"*"};
        value_or_throw(
            co_await self->client_->change_subscription("PSUBSCRIBE", std::move(patterns), soon()));
    }
    static Awaitable<Message> wait(Ear* self, std::size_t index) {
        const Deadline deadline = soon();
        while (self->messages_.size() <= index) {
            if (!co_await self->changed_.wait(deadline)) co_return Message{};
        }
        co_return self->messages_[index];
    }
    static Awaitable<void> end(Ear* self) {
        co_await self->client_->close(Deadline::in(0s));
        self->client_.reset();
    }
    Loop loop_{"ear"};
    Notifier changed_{loop_.executor()};
    std::vector<Message> messages_;
    std::unique_ptr<redis::Client> client_;
};

TEST(RedisResults, StoreAndPublishEveryRecordOfPythonsCeleryByteForByte) {
    const redis::TestServer server;
    Backend backend{{.server = server.options()}};
    ASSERT_TRUE(backend.connect());
    Ear ear{server};
    const Json fixture = testing_support::load_fixture("celery_results.json");
    std::size_t stored = 0;
    for (const Json& recorded : fixture.find("records")->as_array()) {
        const std::string& raw = recorded.find("raw")->as_string();
        SCOPED_TRACE(recorded.find("name")->as_string());
        const TaskMeta meta = value_or_throw(TaskMeta::from_json(raw));
        ASSERT_EQ(backend.store(meta), StoreOutcome::stored);

        // Wire: celery-wire reference 12.1 and 12.2; captures/results/*, pubsub_notifications.
        const std::string key = "celery-task-meta-" + meta.task_id;
        EXPECT_EQ(server.cli("--raw get " + key), raw);
        EXPECT_EQ(server.cli("--raw keys '*'"), key) << "nothing but Celery's key";
        // A day; what a busy machine takes to ask is off.
        EXPECT_THAT(std::stoi(server.cli("--raw ttl " + key)),
                    testing::AllOf(testing::Gt(86'400 - 60), testing::Le(86'400)));
        const auto heard = ear.message(stored++);
        EXPECT_EQ(heard.channel, key);
        EXPECT_EQ(heard.payload, raw);
        ASSERT_EQ(server.cli("flushall"), "OK");
    }
    EXPECT_GT(stored, 50U);
}

TEST(RedisResults, KeepForGoodWithoutAnExpiry) {
    const redis::TestServer server;
    Backend backend{{.server = server.options(), .result_expires = 0ms}};
    ASSERT_TRUE(backend.connect());
    ASSERT_EQ(backend.store(record("kept")), StoreOutcome::stored);
    EXPECT_EQ(server.cli("--raw ttl celery-task-meta-kept"), "-1");
}

TEST(RedisResults, PutCelerysPrefixBeforeTheirKeys) {
    const redis::TestServer server;
    for (const auto& [prefix, key] :
         {std::pair{"shop", "shop_celery-task-meta-a"}, {"shop:", "shop:celery-task-meta-a"}}) {
        Backend backend{{.server = server.options(), .key_prefix = prefix}};
        ASSERT_TRUE(backend.connect());
        ASSERT_EQ(backend.store(record("a")), StoreOutcome::stored);
        EXPECT_EQ(server.cli(std::string{"--raw exists "} + key), "1");
    }
}

TEST(RedisResults, RespectASuccessThatSomebodyElseWroteInHisOwnJson) {
    const redis::TestServer server;
    Backend backend{{.server = server.options()}};
    ASSERT_TRUE(backend.connect());
    const std::string key = "celery-task-meta-foreign";
    for (const char* json : {R"({"task_id": "foreign", "result": NaN, "status": "SUCCESS"})",
                             R"({"status":"SUCCESS","result":1})"}) {
        ASSERT_EQ(server.cli("set " + key + " '" + json + "'"), "OK");
        EXPECT_EQ(backend.store(record("foreign", states::kFailure, "{}")),
                  StoreOutcome::kept_existing);
        EXPECT_EQ(server.cli("--raw get " + key), json);
    }
    for (const char* json : {"not JSON", "[1]", R"({"state": "SUCCESS"})", ""}) {
        ASSERT_EQ(server.cli("set " + key + " '" + json + "'"), "OK");
        EXPECT_EQ(backend.store(record("foreign", states::kStarted, "{}")), StoreOutcome::stored)
            << "what says no state is in nobody's way";
    }
}

TEST(RedisResults, StoringTheSameRecordTwiceIsLikeOnce) {
    const redis::TestServer server;
    Backend backend{{.server = server.options()}};
    ASSERT_TRUE(backend.connect());
    EXPECT_EQ(backend.store(record("twice")), StoreOutcome::stored);
    EXPECT_EQ(backend.store(record("twice")), StoreOutcome::stored);
    EXPECT_EQ(backend.store(record("twice", states::kSuccess, "43")), StoreOutcome::kept_existing);
}

TEST(RedisResults, ManyRecordsGetOneOutcomeEach) {
    const redis::TestServer server;
    Backend backend{{.server = server.options(), .result_bytes_max = 1000}};
    ASSERT_TRUE(backend.connect());
    ASSERT_EQ(backend.store(record("done")), StoreOutcome::stored);
    ASSERT_EQ(server.cli("rpush celery-task-meta-list item"), "1");

    const auto outcomes = backend.store_many(
        {record("first"), record("large", states::kSuccess, '"' + std::string(1000, 'x') + '"'),
         record("done", states::kFailure), record("list"), record("last")});
    ASSERT_EQ(outcomes.size(), 5U);
    EXPECT_EQ(outcomes[0], StoreOutcome::stored);
    EXPECT_EQ(outcomes[1].error().code, Errc::too_large);
    EXPECT_EQ(outcomes[2], StoreOutcome::kept_existing);
    EXPECT_EQ(outcomes[3].error().code, Errc::rejected) << "WRONGTYPE";
    EXPECT_EQ(outcomes[4], StoreOutcome::stored);
}

TEST(RedisResults, WaitForAServerThatIsDownAtTheStart) {
    redis::TestServer server;
    server.kill();
    Backend backend{{.server = server.options()}};
    const auto refused = backend.connect(Deadline::in(500ms));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::disconnected);
    EXPECT_THAT(refused.error().detail,
                AllOf(StartsWith("redis+socket:///"), HasSubstr("No such file")));
    EXPECT_EQ(backend.store(record("early")).error().code, Errc::disconnected);
    server.start();
    ASSERT_TRUE(backend.connect());
    EXPECT_EQ(backend.store(record("early")), StoreOutcome::stored);
}

TEST(RedisResults, TellWhatWasNotStoredFromWhatIsUnknown) {
    redis::TestServer server;
    Backend backend{{.server = server.options()}};
    ASSERT_TRUE(backend.connect());

    server.pause();
    auto outcome = backend.store(record("silent"), Deadline::in(500ms));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::unknown_outcome);
    server.resume();
    EXPECT_EQ(backend.store(record("silent")), StoreOutcome::stored) << "again is safe";

    server.kill();
    // The first attempt may go out before the loss is noticed; after it nothing can.
    (void)backend.store(record("gone"), Deadline::in(50ms));
    outcome = backend.store(record("gone"), Deadline::in(50ms));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::disconnected);

    server.start();
    EXPECT_EQ(backend.store(record("gone")), StoreOutcome::stored) << "and it finds its way back";
}

TEST(RedisResults, SayThatAFullServerTakesNothingNow) {
    const redis::TestServer server;
    Backend backend{{.server = server.options()}};
    ASSERT_TRUE(backend.connect());
    ASSERT_EQ(server.cli("config set maxmemory 1"), "OK");
    EXPECT_EQ(backend.store(record("full")).error().code, Errc::unavailable);
    ASSERT_EQ(server.cli("config set maxmemory 0"), "OK");
    EXPECT_EQ(backend.store(record("full")), StoreOutcome::stored);
}

TEST(RedisResults, ReadAgainAfterAReconnectWhatWasPublishedMeanwhile) {
    const redis::TestServer server;
    const auto reader = connected(server);
    auto wait = reader->wait("missed", soon());
    // Another wait of the same connection ends, so the first one's subscription is in force.
    auto other = reader->wait("other", soon());
    const auto writer = connected(server);
    ASSERT_EQ(writer->store(record("other")), StoreOutcome::stored);
    ASSERT_TRUE(other.get());

    // Stored without a word, as if it had been published while nobody listened.
    ASSERT_EQ(server.cli("set celery-task-meta-missed '" + record("missed").to_json() + "'"), "OK");
    EXPECT_EQ(wait.wait_for(0s), std::future_status::timeout);
    ASSERT_EQ(server.cli("client kill type pubsub"), "1");
    ASSERT_EQ(wait.wait_for(30s), std::future_status::ready);
    EXPECT_EQ(wait.get()->task_id, "missed");
}

TEST(RedisResults, AWaitEndsByItsDeadlineWhenTheQueueOfCallsIsFull) {
    redis::TestServer server;
    RedisResultsOptions options{.server = server.options()};
    options.server.queue.calls = 1;
    ResultConnection reader{
        [&](Executor executor) { return make_redis_results(std::move(executor), options); }};
    reader.connect();
    // Another wait of the same connection ends, so the first one's subscription is in force.
    auto wait = reader.wait("late", soon());
    auto other = reader.wait("other", soon());
    const auto writer = connected(server);
    ASSERT_EQ(writer->store(record("other")), StoreOutcome::stored);
    ASSERT_TRUE(other.get());

    server.pause();
    // Reads once more, unanswered; the next finds no room. Once it tried again without a pause.
    auto reading = reader.wait("late", Deadline::in(20ms));
    auto refused = reader.wait("late", Deadline::in(20ms));
    const bool ended = refused.wait_for(30s) == std::future_status::ready;
    server.resume();
    ASSERT_TRUE(ended) << "the loop is frozen";
    EXPECT_EQ(refused.get().error().code, Errc::deadline_exceeded);
    EXPECT_EQ(reading.get().error().code, Errc::deadline_exceeded);
    ASSERT_EQ(writer->store(record("late")), StoreOutcome::stored);
    EXPECT_TRUE(wait.get());
}

TEST(RedisResults, WaitersOutliveARestartOfTheServer) {
    redis::TestServer server;
    const auto reader = connected(server);
    const auto writer = connected(server);
    auto wait = reader->wait("survivor", soon());
    EXPECT_EQ(reader->is_known("survivor"), false);
    server.kill();
    server.start();
    ASSERT_EQ(writer->store(record("survivor")), StoreOutcome::stored);
    ASSERT_EQ(wait.wait_for(30s), std::future_status::ready);
    const auto outcome = wait.get();
    EXPECT_TRUE(outcome) << outcome.error().message();
}

TEST(RedisResults, TakeOneConnectionAndOneMoreForAllWhoWait) {
    const redis::TestServer server;
    const auto connection = connected(server);
    const auto clients = [&] {
        const std::string list = server.cli("client list");
        std::vector<std::string> names;
        for (std::size_t at = 0; (at = list.find("name=lovage", at)) != std::string::npos; ++at) {
            names.push_back(list.substr(at + 5, list.find(' ', at) - at - 5));
        }
        return names;
    };
    EXPECT_THAT(clients(), testing::ElementsAre("lovage-results"));
    std::vector<std::future<Result<TaskMeta>>> waits;
    for (int task = 0; task < 100; ++task) {
        waits.push_back(connection->wait("task-" + std::to_string(task), soon()));
    }
    for (int task = 0; task < 100; ++task) {
        ASSERT_EQ(connection->store(record("task-" + std::to_string(task))), StoreOutcome::stored);
    }
    for (auto& wait : waits) ASSERT_TRUE(wait.get());
    EXPECT_THAT(clients(), testing::UnorderedElementsAre("lovage-results", "lovage-results-wait"));
}

TEST(RedisResults, NeedNoMoreRightsThanTheReadmeNames) {
    const redis::TestServer server;
    ASSERT_EQ(server.cli("acl setuser worker on '>pw' resetchannels '&celery-task-meta-*' "
                         "'~celery-task-meta-*' '~celery-taskset-meta-*' '~lovage-*' -@all +get "
                         "+set +del +exists +expire +type +getrange +publish +evalsha "
                         "'+script|load' +zadd +zrem +zcard +sadd +incr +zrange +zrangebyscore "
                         "+zrangebylex +hset +hsetnx +hget +hmget +hdel +lrange +llen +lrem +rpush "
                         "+time +ping +hello "
                         "'+client|setname' +select +subscribe "
                         "+unsubscribe"),
              "OK");
    auto options = server.options();
    options.user = "worker";
    options.password = "pw";
    options.database = 1;
    ResultConnection results{[&](Executor executor) {
        return make_redis_results(std::move(executor), {.server = options});
    }};
    results.connect();
    auto wait = results.wait("task", soon());
    ASSERT_EQ(results.store(record("task")), StoreOutcome::stored);
    EXPECT_TRUE(wait.get());
    EXPECT_TRUE(results.mark_sent("task"));
    EXPECT_EQ(results.is_known("task"), true);
    EXPECT_TRUE(results.forget("task"));
    ASSERT_TRUE(results.start_chord({"sorted", 1, Json::array()}));
    ASSERT_TRUE(results.grow_chord("sorted", "another"));
    EXPECT_FALSE(results.add_chord_part({"sorted", 1, "another", "SUCCESS", 1})->complete);
    EXPECT_TRUE(results.add_chord_part({"sorted", 0, "task", "FAILURE", 1})->complete);
    EXPECT_TRUE(results.add_chord_part({"sorted", 0, "task", "SUCCESS", 2})->complete);
    EXPECT_FALSE(results.take_chord("sorted", "sweeper", 2)->complete);
    EXPECT_TRUE(results.end_chord("sorted"));
    ASSERT_EQ(server.cli("-n 1 rpush celery-taskset-meta-list.j '[1, \"task\", \"FAILURE\", 1]'"),
              "1");
    ASSERT_TRUE(results.start_chord({"list", 1, {}}));
    EXPECT_TRUE(results.add_chord_part({"list", 0, "task", "SUCCESS", 2})->complete);

    StateConnection state{[&](Executor executor) {
        return make_redis_state_store(std::move(executor), {.server = options});
    }};
    const auto version = value_or_throw(state.set("lease", 0, "mine", 1h));
    EXPECT_THAT(state.keys("le"), testing::ElementsAre("lease"));
    EXPECT_TRUE(state.erase("lease", version));
    EXPECT_EQ(server.cli("acl log"), "");
}

// The keys of celery-wire's captured chord in flight (Celery 5.2.6), with its redis-cli rendering.
TEST(RedisResults, CountChordsUnderCelerysKeysInCelerysWords) {
    const redis::TestServer server;
    const auto backend = connected(server);
    const std::string group = "7bdf7acd-0efd-4081-a1d5-ab0ea3f7ddd7";
    const std::string key = "celery-taskset-meta-" + group;
    ASSERT_TRUE(backend->start_chord({group, 3, {}}));
    ASSERT_TRUE(
        backend->add_chord_part({group, 2, "5754488b-a268-4c0a-9855-5563d7906f24", "SUCCESS", 8}));
    ASSERT_TRUE(
        backend->add_chord_part({group, 0, "7fd6c713-1490-4a7c-8e5c-c51aa0352594", "SUCCESS", 2}));
    EXPECT_EQ(server.cli("--raw zrange " + key + ".j 0 -1 withscores"),
              R"([1, "7fd6c713-1490-4a7c-8e5c-c51aa0352594", "SUCCESS", 2])"
              "\n0\n"
              R"([1, "5754488b-a268-4c0a-9855-5563d7906f24", "SUCCESS", 8])"
              "\n2");
    EXPECT_EQ(server.cli("--raw get " + key + ".s"), "3");
    for (const char* name : {".j", ".s"}) {
        EXPECT_THAT(server.cli("--raw ttl " + key + name), testing::AnyOf("86400", "86399"));
    }
    EXPECT_EQ(server.cli("--raw exists " + key + " " + key + ".t"), "0");
    ASSERT_TRUE(backend->end_chord(group));
    EXPECT_EQ(server.cli("--raw keys '" + key + "*'"), "");
}

TEST(RedisResults, CountTogetherWithPythonsWorkers) {
    const redis::TestServer server;
    const auto backend = connected(server);
    const std::string key = "celery-taskset-meta-g";
    ASSERT_EQ(server.cli("set " + key + ".s 2"), "OK");
    ASSERT_EQ(server.cli("incr " + key + ".t"), "1");  // add_to_chord
    const auto python = [&](const std::string& score, const std::string& entry) {
        return server.cli("zadd " + key + ".j " + score + " '" + entry + "'");
    };
    ASSERT_EQ(python("1", R"([1, "p", "SUCCESS", {"a": [1.0]}])"), "1");
    // Run twice with two results: one part.
    ASSERT_EQ(python("1", R"([1, "p", "FAILURE", {"exc_type": "E"}])"), "1");
    EXPECT_FALSE(backend->add_chord_part({"g", 0, "c", "SUCCESS", 1})->complete);
    const auto returns = backend->add_chord_part({"g", std::nullopt, "d", "SUCCESS", 2});
    ASSERT_TRUE(returns && returns->complete);
    std::vector<std::string> parts;
    for (const ChordPart& part : returns->parts) {
        parts.push_back(part.task_id + " " + part.state + " " + to_json_text(part.result));
    }
    EXPECT_THAT(parts,
                testing::ElementsAre("c SUCCESS 1", R"(p SUCCESS {"a": [1.0]})", "d SUCCESS 2"));
}

TEST(RedisResults, TakePartsInAListWherePythonPutsThemThere) {
    const redis::TestServer server;
    const auto backend = connected(server);
    const std::string key = "celery-taskset-meta-g.j";
    ASSERT_TRUE(backend->start_chord({"g", 2, {}}));
    ASSERT_EQ(server.cli("rpush " + key + R"( '[1, "p", "SUCCESS", 5]')"), "1");
    const auto returns = backend->add_chord_part({"g", 0, "c", "SUCCESS", 1});
    ASSERT_TRUE(returns && returns->complete);
    EXPECT_EQ(returns->parts.front().task_id, "p");
    EXPECT_EQ(server.cli("--raw llen " + key), "2");
    EXPECT_TRUE(backend->add_chord_part({"g", 0, "c", "SUCCESS", 1})->complete);
    EXPECT_EQ(server.cli("--raw llen " + key), "2");
}

TEST(RedisResults, SayThatAChordHoldsWhatNobodyCanRead) {
    const redis::TestServer server;
    const auto backend = connected(server);
    ASSERT_TRUE(backend->start_chord({"g", 2, {}}));
    ASSERT_EQ(server.cli("zadd celery-taskset-meta-g.j 0 'no entry'"), "1");
    const auto returns = backend->add_chord_part({"g", 1, "c", "SUCCESS", 1});
    ASSERT_FALSE(returns);
    EXPECT_EQ(returns.error().code, Errc::malformed);
}

TEST(RedisResults, LogNoPassword) {
    redis::Options options;
    options.password = "canary";
    options.user = "worker";
    Backend backend{{.server = options}};
    EXPECT_EQ(backend.display_url(), "redis://worker:********@localhost:6379/0");
}

TEST(RedisState, VersionsGrowEvenWhenTheServerLosesEverything) {
    redis::TestServer server;
    StateConnection store{[&](Executor executor) {
        return make_redis_state_store(std::move(executor), {.server = server.options()});
    }};
    const auto before = value_or_throw(store.set("fence", 0, "held"));
    server.kill();
    server.start();
    EXPECT_EQ(store.set("fence", before, "still mine?").error().code, Errc::conflict);
    EXPECT_GT(value_or_throw(store.set("fence", 0, "new")), before);
}

TEST(RedisState, TakesTheNamesOfExpiredEntriesAway) {
    const redis::TestServer server;
    StateConnection store{[&](Executor executor) {
        return make_redis_state_store(std::move(executor), {.server = server.options()});
    }};
    for (int index = 0; index < 10; ++index) {
        ASSERT_TRUE(store.set("brief-" + std::to_string(index), 0, "", 1ms));
    }
    EXPECT_EQ(server.cli("--raw zcard lovage-state-names"), "10");
    // As if they had expired long ago.
    for (int index = 0; index < 10; ++index) {
        const std::string name = "brief-" + std::to_string(index);
        (void)server.cli("zadd lovage-state-expiries 1 " + name);
        (void)server.cli("del lovage-state:" + name);
    }
    ASSERT_TRUE(store.set("kept", 0, ""));
    EXPECT_EQ(server.cli("--raw zrange lovage-state-names 0 -1"), "kept");
    EXPECT_EQ(server.cli("--raw zcard lovage-state-expiries"), "0");
}

}  // namespace
}  // namespace lovage
