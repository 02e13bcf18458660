// Remote control through a running worker: what is asked over its broker, and what it answers.

#include <lovage/worker/control/mailbox.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lovage/brokers/sqlite/sqlite_broker.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/control/control_message.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/events/event.hpp>
#include <lovage/runtime/url.hpp>
#include <tests/support/event_follower.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_state_store.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

/// The memory broker, or SQLite's; results in memory.
class RemoteControl : public ::testing::TestWithParam<std::string> {
protected:
    Settings settings() {
        Settings settings = memory_settings();
        if (GetParam() == "sqlite") {
            register_broker_driver(
                "sqlite", {[](Executor executor, const std::string& url, const Settings&) {
                    const auto parsed = value_or_throw(parse_url(url));
                    return make_sqlite_broker(std::move(executor),
                                              {.folder = value_or_throw(url_folder(parsed))});
                }});
            settings.broker_url = "sqlite:///" + folder_.path().string();
        }
        return settings;
    }

private:
    sqlite::TestFolder folder_;
};

/// A memory store whose writes wait while `held`.
class HeldStore final : public WrappedStateStore {
public:
    HeldStore(Executor executor, const std::string& url)
        : WrappedStateStore{make_memory_state_store(executor, url)}, let_go_{std::move(executor)} {
        current = this;
    }

    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        ++waiting;
        while (held) co_await let_go_.wait();
        --waiting;
        co_return co_await WrappedStateStore::compare_and_set(std::move(key), expected,
                                                              std::move(value), ttl, deadline);
    }

    /// On the loop: all writes go on in one batch.
    static Awaitable<void> let_go() {
        held = false;
        current->let_go_.notify_all();
        co_return;
    }

    static inline std::atomic<bool> held{false};
    static inline std::atomic<int> waiting{0};
    static inline HeldStore* current = nullptr;  // the one made last

private:
    Notifier let_go_;
};

Settings with_held_store(Settings settings) {
    register_result_driver("held", {[](Executor executor, const std::string& url, const Settings&) {
                                        return make_memory_results(std::move(executor), url);
                                    },
                                    [](Executor executor, const std::string& url, const Settings&) {
                                        return std::unique_ptr<StateStore>{
                                            std::make_unique<HeldStore>(std::move(executor), url)};
                                    }});
    settings.result_backend.replace(0, settings.result_backend.find(':'), "held");
    return settings;
}

/// Broadcasts requests that nobody waits for.
Awaitable<void> tell_over(std::shared_ptr<AppCore> core, std::vector<ControlRequest> requests) {
    const ControlNames names;
    for (const ControlRequest& request : requests) {
        value_or_throw(co_await core->broker().publish(control_publication(names, request),
                                                       Deadline::in(kLong)));
    }
}

/// Broadcasts requests, one after the other, and returns the first reply to any of them.
Awaitable<Json> ask_over(std::shared_ptr<AppCore> core, std::vector<ControlRequest> requests) {
    const Deadline deadline = Deadline::in(kLong);
    const ControlNames names;
    const std::string oid = uuid4();
    ControlTopology box = names.reply_box(oid);
    const std::string queue = box.queue.name;
    Broker& broker = core->broker();
    (void)co_await broker.declare_exchange(std::move(box.exchange), deadline);
    (void)co_await broker.declare_exchange(names.mailbox("").exchange, deadline);
    (void)co_await broker.declare_queue(std::move(box.queue), deadline);
    (void)co_await broker.bind(std::move(box.binding), deadline);
    ConsumeOptions options{{queue}, 10, "asker"};
    auto consumer = value_or_throw(co_await broker.consume(std::move(options), deadline));
    const std::string ticket = uuid4();
    for (ControlRequest& request : requests) {
        request.ticket = ticket;
        request.reply_to = ReplyAddress{names.reply_exchange(), oid};
        value_or_throw(co_await broker.publish(control_publication(names, request), deadline));
    }
    auto deliveries = co_await consumer->receive(deadline);
    Json value;
    if (deliveries) {
        const auto reply = value_or_throw(decode_control_reply(deliveries->front().message));
        if (reply.ticket == ticket) value = reply.value;
    }
    (void)co_await consumer->close(Deadline::in(5s));
    co_return value;
}

Json ask(App& app, std::vector<ControlRequest> requests) {
    return app.core()->loop().run_blocking(ask_over(app.core(), std::move(requests)));
}

Json ask(App& app, ControlRequest request) {
    std::vector<ControlRequest> requests;
    requests.push_back(std::move(request));
    return ask(app, std::move(requests));
}

Json ask(App& app, std::string method, Json arguments = Json::object()) {
    return ask(app, {.method = std::move(method), .arguments = std::move(arguments)});
}

TEST_P(RemoteControl, IsAnsweredWhileEverySlotIsStuck) {
    App app{"test", settings()};
    std::counting_semaphore<> begun{0};
    std::binary_semaphore go_on{0};
    auto stuck = app.task(
        "stuck",
        [&](int n) {
            begun.release();
            go_on.acquire();
            go_on.release();
            return n;
        },
        arg("n"));
    RunningWorker worker{app, 1};
    const auto first = stuck.delay(1);
    begun.acquire();
    const auto second = stuck.delay(2);  // stays with the broker: there is no room

    EXPECT_EQ(ask(app, "ping"), Json::object({{"ok", "pong"}}));
    const Json active = ask(app, "active");
    ASSERT_EQ(active.as_array().size(), 1U);
    EXPECT_EQ(ask(app, "reserved"), Json::array());
    EXPECT_EQ(*active.as_array().front().find("id"), Json{first.id()});
    EXPECT_EQ(*active.as_array().front().find("args"), Json::array({1}));
    EXPECT_EQ(*ask(app, "stats").find("total")->find("stuck"), Json{1});
    go_on.release();
    EXPECT_EQ(first.get(kLong), 1);
    EXPECT_EQ(second.get(kLong), 2);
    EXPECT_TRUE(worker.stop());
}

TEST_P(RemoteControl, ReachesOnlyThoseItIsAddressedTo) {
    App app{"test", settings()};
    RunningWorker worker{app};
    EXPECT_EQ(ask(app, {.method = "ping", .destination = {"w@test"}}),
              Json::object({{"ok", "pong"}}));
    EXPECT_EQ(ask(app, {.method = "ping", .pattern = "w@*", .matcher = NodeMatcher::glob}),
              Json::object({{"ok", "pong"}}));
    // It would answer the first of them first.
    std::vector<ControlRequest> requests;
    requests.push_back({.method = "ping", .destination = {"other@test"}});
    requests.push_back({.method = "report"});
    EXPECT_THAT(to_json_text(ask(app, std::move(requests))), HasSubstr("software"));
}

TEST_P(RemoteControl, SurvivesWhatNobodyUnderstands) {
    App app{"test", settings()};
    RunningWorker worker{app};
    const auto shout = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
        for (const char* body : {"", "[]", "{}", R"({"method": "ping", "destination": 7})"}) {
            Publication publication;
            publication.exchange = ControlNames{}.request_exchange();
            publication.mandatory = false;
            publication.message.body = body;
            (void)co_await core->broker().publish(std::move(publication), Deadline::in(5s));
        }
    };
    app.core()->loop().run_blocking(shout(app.core()));
    EXPECT_EQ(ask(app, "no_such"), Json::object({{"error", "KeyError('no_such')"}}));
}

TEST_P(RemoteControl, HearsMoreWhenAllThatItMayCarryOutEndsAtOnce) {
    App app{"test", with_held_store(settings())};
    RunningWorker worker{app};
    HeldStore::held = true;
    std::vector<ControlRequest> revokes;
    for (int i = 0; i < 65; ++i) {
        revokes.push_back({.method = "revoke",
                           .arguments = Json::object({{"task_id", "t-" + std::to_string(i)}})});
    }
    app.core()->loop().run_blocking(tell_over(app.core(), std::move(revokes)));
    const std::string mailbox = ControlNames{}.mailbox_queue("w@test");
    wait_for([&] { return HeldStore::waiting == 64 && messages_in(app, mailbox) == 0; });

    app.core()->loop().run_blocking(HeldStore::let_go());
    EXPECT_EQ(ask(app, "ping"), Json::object({{"ok", "pong"}}));
    EXPECT_EQ(ask(app, "revoked").as_array().size(), 65U);
}

TEST_P(RemoteControl, GrowsAndShrinksThePool) {
    App app{"test", settings()};
    RunningWorker worker{app, 2};
    EXPECT_EQ(ask(app, "pool_grow", Json::object({{"n", 3}})),
              Json::object({{"ok", "pool will grow"}}));
    EXPECT_EQ(*ask(app, "stats").find("pool")->find("max-concurrency"), Json{5});
    EXPECT_EQ(ask(app, "pool_shrink"), Json::object({{"ok", "pool will shrink"}}));
    EXPECT_EQ(*ask(app, "stats").find("pool")->find("max-concurrency"), Json{4});
    EXPECT_NE(ask(app, "pool_shrink", Json::object({{"n", 4}})).find("error"), nullptr);
}

TEST_P(RemoteControl, RevokesWhatWaitsAndWhatIsSentLater) {
    App app{"test", settings()};
    std::binary_semaphore begun{0};
    std::binary_semaphore go_on{0};
    std::atomic<int> runs{0};
    auto hold = app.task("hold", [&] {
        begun.release();
        go_on.acquire();
    });
    auto count = app.task("count", [&runs] { ++runs; });
    RunningWorker worker{app, 1};
    const auto running = hold.delay();
    begun.acquire();
    const auto waiting = count.delay();
    const Json done = ask(app, "revoke", Json::object({{"task_id", waiting.id()}}));
    EXPECT_EQ(*done.find("ok"), Json{"tasks {'" + waiting.id() + "'} flagged as revoked"});
    EXPECT_NE(ask(app, "revoke", Json::object({{"task_id", "later"}})).find("ok"), nullptr);
    EXPECT_THAT(ask(app, "revoked").as_array(), UnorderedElementsAre(waiting.id(), "later"));
    const auto later = count.apply_async({}, {.task_id = "later"});
    const auto last = count.delay();

    go_on.release();
    running.get(kLong);
    last.get(kLong);
    EXPECT_EQ(waiting.wait(kLong).status, "REVOKED");
    EXPECT_EQ(later.wait(kLong).status, "REVOKED");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(runs, 1);
}

TEST_P(RemoteControl, RevokesByStamp) {
    App app{"test", settings()};
    app.task("count", [] { return 1; });
    RunningWorker worker{app, 1};
    const Json headers = Json::object({{"headers", Json::array({"batch=7"})}});
    EXPECT_NE(ask(app, "revoke_by_stamped_headers", headers).find("ok"), nullptr);
    for (const char* stamp : {"7", "8"}) {
        TaskMessage message;
        message.id = std::string{"stamped-"} + stamp;
        message.task = "count";
        message.stamped_headers = Json::array({"batch"});
        message.stamps = Json::object({{"batch", Json::array({stamp})}});
        publish(app, encode_task_message(message));
    }
    EXPECT_EQ(app.async_result("stamped-7").wait(kLong).status, "REVOKED");
    EXPECT_EQ(app.async_result("stamped-8").wait(kLong).status, "SUCCESS");
}

TEST_P(RemoteControl, TerminatesWhatRuns) {
    App app{"test", settings()};
    std::binary_semaphore begun{0};
    auto spin = app.task("spin", [&begun](TaskContext& context) {
        begun.release();
        while (true) {
            context.checkpoint();
            std::this_thread::yield();
        }
    });
    RunningWorker worker{app, 1};
    const auto running = spin.delay();
    begun.acquire();
    EXPECT_EQ(ask(app, "terminate", Json::object({{"task_id", running.id()}, {"signal", "TERM"}})),
              Json::object({{"ok", "terminate: " + running.id()}}));
    EXPECT_EQ(running.wait(kLong).status, "REVOKED");
}

TEST_P(RemoteControl, AddsAndCancelsQueues) {
    App app{"test", settings()};
    auto answer = app.task("answer", [] { return 42; });
    RunningWorker worker{app, 1};
    EXPECT_EQ(ask(app, "add_consumer", Json::object({{"queue", "extra"}})),
              Json::object({{"ok", "add consumer extra"}}));
    EXPECT_EQ(answer.apply_async({}, {.queue = "extra"}).get(kLong), 42);
    EXPECT_EQ(ask(app, "active_queues").as_array().size(), 2U);

    for (const char* queue : {"extra", "celery", "celery"}) {
        EXPECT_EQ(ask(app, "cancel_consumer", Json::object({{"queue", queue}})),
                  Json::object({{"ok", std::string{"no longer consuming from "} + queue}}));
    }
    EXPECT_EQ(ask(app, "active_queues"), Json::array());
    const auto unserved = answer.delay();
    EXPECT_EQ(status_of(app, "celery").ready, 1U);
    EXPECT_EQ(*ask(app, "add_consumer", Json::object({{"queue", "celery"}})).find("ok"),
              Json{"add consumer celery"});
    EXPECT_EQ(unserved.get(kLong), 42);
}

/// What a worker of Celery's says that stands in an election.
Awaitable<void> stand(std::shared_ptr<AppCore> core, std::string node) {
    Event event{.type = "worker-elect", .hostname = node, .pid = 7};
    event.fields =
        Json::object({{"id", "e-1"}, {"topic", "task"}, {"action", Json{}}, {"cver", 1}});
    Publication publication{.exchange = "celeryev", .routing_key = event_routing_key(event.type)};
    publication.message = event_message(node, encode_event(event));
    value_or_throw(co_await core->broker().publish(std::move(publication), Deadline::in(kLong)));
}

TEST_P(RemoteControl, AcknowledgesCandidatesWhenThereAreTwo) {
    App app{"test", settings()};
    RunningWorker worker{app, 1};
    EventFollower follower{app};
    for (const char* const node : {"py1@h", "py2@h", "py3@h"}) {
        app.core()->loop().run_blocking(stand(app.core(), node));
    }
    const auto acknowledged = [](const std::vector<Event>& events) {
        return std::ranges::count_if(events, [](const Event& event) {
            return event.type == "worker-elect-ack" && event.hostname == "w@test" &&
                   event.text("id") == "e-1";
        });
    };
    follower.until([&](const auto& all) { return acknowledged(all) >= 3; });
}

Awaitable<void> publish_to(std::shared_ptr<AppCore> core, std::string exchange, std::string key) {
    Publication publication{.exchange = std::move(exchange), .routing_key = std::move(key)};
    publication.message.body = "{}";
    value_or_throw(co_await core->broker().publish(std::move(publication), Deadline::in(kLong)));
}

TEST_P(RemoteControl, AddsAQueueWhoseOwnExchangeIsOfAnotherType) {
    App app{"test", settings()};
    RunningWorker worker{app, 1};
    const Json arguments = Json::object({{"queue", "reports"},
                                         {"exchange", "reports"},
                                         {"exchange_type", "topic"},
                                         {"routing_key", "reports.#"}});
    for (int time = 0; time < 2; ++time) {
        EXPECT_EQ(ask(app, "add_consumer", arguments),
                  Json::object({{"ok", "add consumer reports"}}));
    }
    (void)ask(app, "cancel_consumer", Json::object({{"queue", "reports"}}));
    app.core()->loop().run_blocking(publish_to(app.core(), "reports", "reports.daily"));
    EXPECT_EQ(status_of(app, "reports").ready, 1U);
}

TEST_P(RemoteControl, AddsAQueueThatIsThereWithOptions) {
    App app{"test", settings()};
    RunningWorker worker{app, 1};
    const auto declare = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
        QueueDeclaration queue{.name = "brief"};
        queue.durable = false;
        value_or_throw(
            co_await core->broker().declare_queue(std::move(queue), Deadline::in(kLong)));
    };
    app.core()->loop().run_blocking(declare(app.core()));
    EXPECT_THAT(to_json_text(ask(app, "add_consumer", Json::object({{"queue", "brief"}}))),
                HasSubstr("conflict"));
    EXPECT_EQ(ask(app, "add_consumer", Json::object({{"queue", "brief"}, {"durable", false}})),
              Json::object({{"ok", "add consumer brief"}}));
    EXPECT_EQ(status_of(app, "brief").consumers, 1U);
}

TEST_P(RemoteControl, ATaskOfAQueueWithOptionsIsRetriedThere) {
    App app{"test", settings()};
    auto flaky = app.task("flaky", [](TaskContext& context) {
        if (context.retries() == 0) context.retry({.countdown = 0ms});
        return context.retries();
    });
    RunningWorker worker{app, 1};
    const Json arguments = Json::object({{"queue", "brief"}, {"durable", false}});
    EXPECT_EQ(ask(app, "add_consumer", arguments), Json::object({{"ok", "add consumer brief"}}));
    // Another program's, which knows nothing of the options.
    TaskMessage message;
    message.id = uuid4();
    message.task = "flaky";
    const auto send = [](std::shared_ptr<AppCore> core, Message what) -> Awaitable<void> {
        Publication publication{.routing_key = "brief", .message = std::move(what)};
        value_or_throw(
            co_await core->broker().publish(std::move(publication), Deadline::in(kLong)));
    };
    app.core()->loop().run_blocking(send(app.core(), encode_task_message(message)));
    EXPECT_EQ(app.async_result(message.id).wait(kLong).result, Json{1});
    EXPECT_TRUE(worker.stop());
}

TEST_P(RemoteControl, ChangesTheRateOfATaskForThoseThatWait) {
    App app{"test", settings()};
    auto slow = app.task("slow", [] { return 1; });
    slow.rate_limit("10/h");
    RunningWorker worker{app, 1};
    EXPECT_EQ(slow.delay().get(kLong), 1);
    const auto second = slow.delay();  // its turn is in six minutes
    wait_for([&] { return ask(app, "reserved").as_array().size() == 1; });
    EXPECT_THAT(to_json_text(ask(app, "registered")), HasSubstr("slow [rate_limit=10/h]"));
    const Json arguments = Json::object({{"task_name", "slow"}, {"rate_limit", 0}});
    EXPECT_EQ(ask(app, "rate_limit", arguments),
              Json::object({{"ok", "rate limit disabled successfully"}}));
    EXPECT_EQ(second.get(kLong), 1);
}

TEST_P(RemoteControl, EndsAtOnceWhatItHoldsOfARevokedTask) {
    App app{"test", settings()};
    auto slow = app.task("slow", [] { return 1; });
    slow.rate_limit("10/h");
    app.task("later", [] { return 1; });
    std::binary_semaphore begun{0};
    std::binary_semaphore go_on{0};
    auto keyed = app.task("keyed", [&] {
        begun.release();
        go_on.acquire();
    });
    keyed.concurrency_limit(1);
    RunningWorker worker{app, 2};
    EXPECT_EQ(slow.delay().get(kLong), 1);
    const auto first = keyed.delay();
    begun.acquire();
    TaskMessage message;  // by hand: a client would leave it to the broker until shortly before
    message.id = "later-id";
    message.task = "later";
    message.eta = wall_clock_now() + 25s;
    publish(app, encode_task_message(message));
    const std::vector<std::string> ids{slow.delay().id(), keyed.delay().id(), message.id};
    const Json query = Json::object({{"ids", to_json(ids)}});
    wait_for([&] { return ask(app, "query_task", query).as_object().size() == 3; });
    EXPECT_EQ(ask(app, "query_task", query).as_object().size(), 3U);
    EXPECT_NE(ask(app, "revoke", Json::object({{"task_id", to_json(ids)}})).find("ok"), nullptr);
    wait_for([&] { return messages_in(app, "celery") == 1; });  // the one that runs
    EXPECT_EQ(messages_in(app, "celery"), 1U);
    EXPECT_EQ(to_json_text(ask(app, "query_task", query)), "{}");
    for (const std::string& id : ids) EXPECT_EQ(app.async_result(id).state(), "REVOKED");
    // Nobody waits for the turn of a task that is gone.
    EXPECT_EQ(ask(app, "reserved"), Json::array());
    go_on.release();
    first.get(kLong);
}

TEST_P(RemoteControl, NewTimeLimitsHoldForWhatHasNotStarted) {
    App app{"test", settings()};
    std::binary_semaphore begun{0};
    std::binary_semaphore go_on{0};
    auto hold = app.task("hold", [&] {
        begun.release();
        go_on.acquire();
    });
    auto quick = app.task("quick", [] { return 1; });
    auto spin = app.task("spin", [](TaskContext& context) {
        while (true) {
            context.checkpoint();
            std::this_thread::yield();
        }
    });
    RunningWorker worker{app, 1};
    // Short tasks make the worker fetch some ahead.
    for (int i = 0; i < 20; ++i) (void)quick.delay().get(kLong);
    const auto held = hold.delay();
    begun.acquire();
    const auto in_pool = spin.delay();
    const auto later = spin.apply_async({}, {.countdown = 1s});
    const Json query = Json::object({{"ids", to_json(std::vector{in_pool.id(), later.id()})}});
    wait_for([&] { return ask(app, "query_task", query).as_object().size() == 2; });
    EXPECT_EQ(ask(app, "time_limit", Json::object({{"task_name", "spin"}, {"soft", 0.05}})),
              Json::object({{"ok", "time limits set successfully"}}));
    go_on.release();
    held.get(kLong);
    for (const auto* spinning : {&in_pool, &later}) {
        const TaskMeta meta = spinning->wait(kLong);
        ASSERT_TRUE(meta.failure());
        EXPECT_EQ(meta.failure()->exc_type, "SoftTimeLimitExceeded");
    }
}

TEST_P(RemoteControl, ShutsDownWarmlyWithoutAReply) {
    App app{"test", settings()};
    RunningWorker worker{app};
    const auto open_box = [](std::shared_ptr<AppCore> core) -> Awaitable<std::string> {
        const Deadline deadline = Deadline::in(kLong);
        ControlTopology box = ControlNames{}.reply_box("box");
        std::string queue = box.queue.name;
        Broker& broker = core->broker();
        value_or_throw(co_await broker.declare_queue(std::move(box.queue), deadline));
        value_or_throw(co_await broker.bind(std::move(box.binding), deadline));
        co_return queue;
    };
    const std::string box = app.core()->loop().run_blocking(open_box(app.core()));
    std::vector<ControlRequest> requests;
    requests.push_back({.method = "shutdown",
                        .ticket = "ticket",
                        .reply_to = ReplyAddress{ControlNames{}.reply_exchange(), "box"}});
    app.core()->loop().run_blocking(tell_over(app.core(), std::move(requests)));
    EXPECT_TRUE(worker.wait_stopped());  // replies have left before
    EXPECT_EQ(messages_in(app, box), 0U);
}

TEST_P(RemoteControl, WarnsOfAnotherWorkerOfItsName) {
    App app{"test", settings()};
    RunningWorker worker{app};
    ::testing::internal::CaptureStderr();
    log::configure({.level = log::Level::warning, .background = false});
    {
        RunningWorker twin{app};
    }
    log::configure({.level = log::Level::off});
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("another worker named w@test"));
}

TEST_P(RemoteControl, CanBeTurnedOff) {
    Settings off = settings();
    off.worker_enable_remote_control = false;
    App app{"test", off};
    RunningWorker worker{app};
    const auto look = [](std::shared_ptr<AppCore> core) -> Awaitable<Result<QueueStatus>> {
        co_return co_await core->broker().queue_status(ControlNames{}.mailbox_queue("w@test"),
                                                       Deadline::in(kLong));
    };
    const auto mailbox = app.core()->loop().run_blocking(look(app.core()));
    ASSERT_FALSE(mailbox);
    EXPECT_EQ(mailbox.error().code, Errc::not_found);
}

INSTANTIATE_TEST_SUITE_P(Brokers, RemoteControl, ::testing::Values("memory", "sqlite"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace lovage
