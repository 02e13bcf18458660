// The commands over the in-memory drivers. Where a command waits for an answer of a worker, a
// worker runs.
#include <lovage/cli/commands.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/drivers.hpp>
#include <lovage/app/queues.hpp>
#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/core/json.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/quarantine.hpp>
#include <lovage/worker/worker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <tests/support/fake_node.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

using Action = QuarantineArguments::Action;

std::string greet(std::string name) {
    return "hello " + name;
}
std::vector<int> numbers() {
    return {1, 2, 3};
}
std::vector<Json> pong(const ControlRequest& /*request*/) {
    return {Json::object({{"ok", "pong"}})};
}
int fail(std::string why) {
    throw std::invalid_argument{why};
}

class Commands : public ::testing::Test {
protected:
    Commands() {
        log::configure({.level = log::Level::off});  // what a test expects to go wrong is no news
        register_default_drivers();
        Settings settings;
        // A store of its own for each test; it is gone with the app.
        settings.broker_url = std::string{"memory://"} +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
        settings.result_backend = settings.broker_url;
        app.configure(settings);
        (void)app.task("greet", greet, arg("name"));
        (void)app.task("numbers", numbers);
        (void)app.task("fail", fail, arg("why"));
    }

    /// Calls `during` while a worker runs.
    template <class During>
    void with_worker(During during) {
        std::promise<void> ready;
        Worker worker{app, {.concurrency = 1, .on_ready = [&ready] { ready.set_value(); }}};
        auto serving = std::async(std::launch::async,
                                  [&] { return app.core()->loop().run_blocking(worker.run()); });
        ready.get_future().get();
        during();
        worker.request_stop();
        EXPECT_TRUE(serving.get());
    }

    std::string call(CallArguments arguments) {
        out.str("");
        EXPECT_EQ(run_call(app, arguments, console), kSuccess) << err.str();
        std::string id = out.str();
        id.erase(id.find_last_not_of('\n') + 1);
        out.str("");
        return id;
    }

    /// Puts a message into the quarantine of `queue` as a worker does.
    void quarantine(const std::string& queue, const std::string& id, const std::string& body) {
        Message message;
        if (!id.empty()) message.headers.set("id", id);
        message.headers.set("task", "greet");
        message.body = body;
        run(put(app.core(), queue,
                to_quarantine(message, {.reason = "unregistered",
                                        .detail = "no such task",
                                        .queue = queue,
                                        .worker = "w@test",
                                        .time = parse_iso8601("2026-11-21T18:00:00Z").value()})));
    }
    static Awaitable<Result<void>> put(std::shared_ptr<AppCore> core, std::string queue,
                                       Publication publication) {
        const Deadline deadline = Deadline::in(10s);
        if (auto done = co_await core->connect(deadline); !done) co_return done;
        QueueDeclaration kept;
        kept.name = quarantine_queue(queue);
        if (auto done = co_await core->broker().declare_queue(std::move(kept), deadline); !done) {
            co_return done;
        }
        co_return co_await core->broker().publish(std::move(publication), deadline);
    }
    static Awaitable<Result<QueueStatus>> status(std::shared_ptr<AppCore> core, std::string queue) {
        co_return co_await core->broker().queue_status(std::move(queue), Deadline::in(10s));
    }
    static Awaitable<Result<Message>> take_one(std::shared_ptr<AppCore> core, std::string queue) {
        const Deadline deadline = Deadline::in(10s);
        ConsumeOptions consume;
        consume.queues.push_back(std::move(queue));
        auto consumer = co_await core->broker().consume(std::move(consume), deadline);
        if (!consumer) co_return std::unexpected{std::move(consumer.error())};
        auto deliveries = co_await (*consumer)->receive(deadline);
        if (!deliveries) co_return std::unexpected{std::move(deliveries.error())};
        Message message = std::move(deliveries->front().message);
        if (auto closed = co_await (*consumer)->close(deadline); !closed) {
            co_return std::unexpected{std::move(closed.error())};
        }
        co_return message;
    }
    std::uint64_t ready_in(const std::string& queue) {
        const auto found = app.core()->loop().run_blocking(status(app.core(), queue));
        return found ? found->ready : 0;
    }
    void run(Awaitable<Result<void>> work) {
        const auto done = app.core()->loop().run_blocking(std::move(work));
        ASSERT_TRUE(done) << done.error().message();
    }
    int quarantine_command(QuarantineArguments arguments) {
        out.str("");
        err.str("");
        return run_quarantine(app, arguments, console);
    }

    std::ostringstream out;
    std::ostringstream err;
    std::istringstream in;
    Console console{out, err, in};
    App app{"shop"};
};

TEST_F(Commands, CallPrintsTheIdAndResultPrintsTheValue) {
    with_worker([&] {
        const std::string id = call({.task = "greet", .kwargs = *parse_json(R"({"name": "you"})")});
        EXPECT_THAT(id, MatchesRegex("[0-9a-f-]{36}"));
        EXPECT_EQ(run_result(app, {.task_id = id, .timeout = 20s}, console), kSuccess);
        EXPECT_EQ(out.str(), "hello you\n");
    });
}

TEST_F(Commands, ResultPrintsOtherValuesAsJson) {
    with_worker([&] {
        const std::string id = call({.task = "numbers"});
        EXPECT_EQ(run_result(app, {.task_id = id, .timeout = 20s}, console), kSuccess);
        EXPECT_EQ(out.str(), "[1, 2, 3]\n");
    });
}

TEST_F(Commands, ResultTellsAFailureOnStandardError) {
    with_worker([&] {
        const std::string id = call({.task = "fail", .args = *parse_json(R"(["too\u001bsmall"])")});
        EXPECT_EQ(run_result(app, {.task_id = id, .timeout = 20s}, console), kFailure);
        EXPECT_EQ(out.str(), "");
        EXPECT_EQ(err.str(), "FAILURE: ValueError: too\\x1bsmall\n");
    });
}

TEST_F(Commands, ResultGivesUpAfterItsTimeout) {
    EXPECT_EQ(run_result(app, {.task_id = "nobody", .timeout = 0ms}, console), kFailure);
    EXPECT_EQ(err.str(),
              "Error: task nobody is not ready in time; its state is PENDING, as that of an id "
              "which nobody sent\n");
}

TEST_F(Commands, ARevokedTaskDoesNotRun) {
    const std::string id = call({.task = "greet", .args = Json::array({"you"})});
    EXPECT_EQ(run_revoke(app, {.task_ids = {id, "not-yet-sent"}}, console), kSuccess) << err.str();
    EXPECT_EQ(out.str(), id + ": revoked\nnot-yet-sent: revoked\n");
    with_worker(
        [&] { EXPECT_EQ(run_result(app, {.task_id = id, .timeout = 20s}, console), kFailure); });
    EXPECT_THAT(err.str(), HasSubstr("REVOKED"));
}

TEST_F(Commands, RevokeSaysWhenItIsTooLate) {
    const std::string id = call({.task = "numbers"});
    with_worker(
        [&] { EXPECT_EQ(run_result(app, {.task_id = id, .timeout = 20s}, console), kSuccess); });
    EXPECT_EQ(run_revoke(app, {.task_ids = {id}, .options = {.terminate = true}}, console),
              kFailure);
    EXPECT_EQ(err.str(), id + ": too late, it has ended as SUCCESS\n");
}

TEST_F(Commands, CallReportsABadOption) {
    CallArguments bad{.task = "greet"};
    bad.options.countdown = -1ms;
    EXPECT_EQ(run_call(app, bad, console), kUsage);
    EXPECT_THAT(err.str(), HasSubstr("countdown is negative"));
}

TEST_F(Commands, StatusShowsNodesServersAndQueues) {
    const FakeNode node{app, "w@h", pong};
    (void)call({.task = "greet", .args = *parse_json(R"(["x"])")});
    EXPECT_EQ(run_status(app, {}, console), kSuccess);
    EXPECT_THAT(
        out.str(),
        AllOf(HasSubstr("broker          memory://StatusShowsNodesServersAndQueues  reachable\n"),
              HasSubstr("node  answer\nw@h   pong\n\n1 node online.\n"), HasSubstr("\n\nqueue "),
              HasSubstr("queue   ready  delayed  unsettled  consumers\n"
                        "celery      1        0          0          0\n")));
}

/// As RabbitMQ, which lists no queues; and one of them belongs to another connection.
class ReticentBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<std::vector<std::string>>> list_queues(Deadline) override {
        co_return std::vector<std::string>{};
    }
    Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline deadline) override {
        if (queue == "private") co_return lovage::fail(Errc::conflict, "exclusive");
        co_return co_await WrappedBroker::queue_status(std::move(queue), deadline);
    }
};

TEST_F(Commands, StatusShowsTheQueuesThatWorkersConsume) {
    register_broker_driver(
        "reticent", {[](Executor executor, const std::string& url, const Settings&) {
            return std::make_unique<ReticentBroker>(make_memory_broker(std::move(executor), url));
        }});
    Settings settings = app.settings();
    settings.broker_url.replace(0, settings.broker_url.find(':'), "reticent");
    App asking{"asking", settings};
    const FakeNode node{asking, "w@h", [](const ControlRequest& request) -> std::vector<Json> {
                            if (request.method != "active_queues") return pong(request);
                            return {*parse_json(R"([{"name": "mail"}, {"name": "private"}, {}])")};
                        }};
    const auto declare = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
        for (const char* name : {"mail", "private"}) {
            QueueDeclaration queue{.name = name};
            (void)co_await core->broker().declare_queue(std::move(queue), Deadline::in(10s));
        }
    };
    asking.core()->loop().run_blocking(declare(asking.core()));
    EXPECT_EQ(run_status(asking, {.node_timeout = 20s, .destination = {"w@h"}}, console), kSuccess);
    EXPECT_THAT(out.str(), AllOf(HasSubstr("\nmail "), Not(HasSubstr("private"))));
}

TEST_F(Commands, StatusKeepsTheQueuesOfToolsToItself) {
    const auto declare = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
        for (const char* name : {"w@h.celery.pidbox", "celeryev.1", "celeryevents"}) {
            QueueDeclaration queue{.name = name};
            (void)co_await core->broker().declare_queue(std::move(queue), Deadline::in(10s));
        }
    };
    const FakeNode node{app, "w@h", pong};
    app.core()->loop().run_blocking(declare(app.core()));
    EXPECT_EQ(run_status(app, {.node_timeout = 20s, .destination = {"w@h"}}, console), kSuccess);
    EXPECT_THAT(out.str(), AllOf(HasSubstr("celeryevents"), Not(HasSubstr("pidbox")),
                                 Not(HasSubstr("celeryev.1"))));
}

TEST_F(Commands, StatusFailsWithoutNodes) {
    EXPECT_EQ(run_status(app, {}, console), kUnreachable);
    EXPECT_EQ(err.str(), "Error: No nodes replied within time constraint\n");
    EXPECT_THAT(out.str(), HasSubstr("reachable"));
}

TEST_F(Commands, StatusSpeaksJsonToPrograms) {
    const FakeNode node{app, "w@h", pong};
    (void)call({.task = "greet", .args = *parse_json(R"(["x"])")});
    EXPECT_EQ(run_status(app, {.json = true}, console), kSuccess);
    const auto json = parse_json(out.str());
    ASSERT_TRUE(json);
    EXPECT_EQ(json->find("broker")->find("reachable")->as_bool(), true);
    EXPECT_EQ(json->find("queues")->as_array().at(0).find("ready")->as_int64(), 1);
    EXPECT_EQ(to_json_text(*json->find("nodes")), R"({"w@h": {"ok": "pong"}})");
}

TEST_F(Commands, InspectPrintsATableAndHowManyNodesThereAre) {
    const FakeNode one{app, "one@h", pong};
    const FakeNode two{app, "two@h", pong};
    EXPECT_EQ(
        run_remote(app,
                   {.command = control::ping(), .timeout = 20s, .destination = {"one@h", "two@h"}},
                   console),
        kSuccess);
    EXPECT_EQ(out.str(), "node   answer\none@h  pong\ntwo@h  pong\n\n2 nodes online.\n");
    EXPECT_EQ(err.str(), "");
}

TEST_F(Commands, InspectAndControlPrintCelerysJson) {
    const FakeNode one{app, "one@h", pong};
    const FakeNode two{app, "two@h", pong};
    RemoteArguments arguments{.command = control::ping(),
                              .timeout = 20s,
                              .destination = {"one@h", "two@h"},
                              .json = true};
    EXPECT_EQ(run_remote(app, arguments, console), kSuccess);
    EXPECT_EQ(out.str(), "{\"one@h\": {\"ok\": \"pong\"}, \"two@h\": {\"ok\": \"pong\"}}\n");
    out.str("");
    arguments.kind = RemoteKind::control;
    EXPECT_EQ(run_remote(app, arguments, console), kSuccess);
    EXPECT_EQ(out.str(), "[{\"one@h\": {\"ok\": \"pong\"}}, {\"two@h\": {\"ok\": \"pong\"}}]\n");
}

TEST_F(Commands, RemoteCommandsSayWhoDidNotReply) {
    EXPECT_EQ(run_remote(app, {.command = control::ping()}, console), kUnreachable);
    EXPECT_EQ(err.str(), "Error: No nodes replied within time constraint\n");
    err.str("");
    const FakeNode node{app, "w@h", pong};
    EXPECT_EQ(
        run_remote(app,
                   {.command = control::ping(), .timeout = 2s, .destination = {"w@h", "gone@h"}},
                   console),
        kSuccess);
    EXPECT_EQ(err.str(), "No reply from gone@h\n");
}

TEST_F(Commands, ARefusalIsAFailure) {
    const FakeNode node{app, "w@h", [](const ControlRequest&) {
                            return std::vector{Json::object({{"error", "unknown task"}})};
                        }};
    EXPECT_EQ(run_remote(app,
                         {.kind = RemoteKind::control,
                          .command = control::rate_limit("no-such-task", "5/m"),
                          .timeout = 20s,
                          .destination = {"w@h"}},
                         console),
              kFailure);
    EXPECT_EQ(out.str(), "->  w@h: ERROR\n    unknown task\n");
}

TEST_F(Commands, ShutdownTellsWhomItReached) {
    const FakeNode node{app, "w@h", [](const ControlRequest& request) {
                            return request.method == "ping" ? pong(request) : std::vector<Json>{};
                        }};
    EXPECT_EQ(run_remote(app,
                         {.kind = RemoteKind::control,
                          .command = control::shutdown(),
                          .timeout = 20s,
                          .destination = {"w@h"}},
                         console),
              kSuccess);
    EXPECT_EQ(out.str(), "->  w@h: OK\n    told to shut down\n");
    // What comes behind it in the mailbox is answered, so it has arrived.
    (void)app.control().broadcast(control::ping(), {.destination = {"w@h"}, .timeout = 20s});
    ASSERT_EQ(node.requests().size(), 3U);
    EXPECT_EQ(node.requests().at(1).method, "shutdown");
}

TEST_F(Commands, RevokeTellsWorkersThatListen) {
    const FakeNode node{app, "w@h", pong};
    EXPECT_EQ(run_revoke(app, {.task_ids = {"a", "b"}, .options = {.terminate = true}}, console),
              kSuccess);
    (void)app.control().broadcast(control::ping(), {.destination = {"w@h"}, .timeout = 20s});
    ASSERT_EQ(node.requests().size(), 2U);
    EXPECT_EQ(to_json_text(node.requests().front().arguments),
              R"({"task_id": ["a", "b"], "terminate": true, "signal": "SIGTERM"})");
}

TEST_F(Commands, RevokeTellsOfAnyNumberInCommandsThatWorkersTake) {
    const FakeNode node{app, "w@h", pong};
    RevokeArguments many;
    for (int i = 0; i < 10'001; ++i) many.task_ids.push_back(std::to_string(i));
    EXPECT_EQ(run_revoke(app, many, console), kSuccess);
    EXPECT_TRUE(out.str().starts_with("0: revoked\n1: revoked\n"));
    EXPECT_TRUE(out.str().ends_with("\n10000: revoked\n"));
    (void)app.control().broadcast(control::ping(), {.destination = {"w@h"}, .timeout = 20s});
    int next = 0;
    for (const ControlRequest& request : node.requests()) {
        if (request.method != "revoke") continue;
        const auto& told = request.arguments.find("task_id")->as_array();
        EXPECT_LE(told.size(), 10'000U);
        for (const Json& id : told) EXPECT_EQ(id.as_string(), std::to_string(next++));
    }
    EXPECT_EQ(next, 10'001);
}

Awaitable<Result<TaskMeta>> meta_of(AsyncResultBase task) {
    co_return co_await task.meta_async(Deadline::in(20s));
}

/// Calls `shown` whenever something is to be seen.
class Watched final : public std::stringbuf {
public:
    explicit Watched(std::function<void()> shown) : shown_{std::move(shown)} {}

private:
    int sync() override {
        shown_();
        return 0;
    }
    std::function<void()> shown_;
};

/// Whoever stops it has seen what it did, and workers have heard of nearly all of it.
TEST_F(Commands, RevokeShowsAndTellsAsItGoes) {
    const FakeNode node{app, "w@h", pong};
    RevokeArguments many;
    for (int i = 0; i < 1000; ++i) many.task_ids.push_back(std::to_string(i));
    std::vector<std::pair<std::string, std::size_t>> seen;  // the last one's state, and commands
    Watched watched{[&] {
        const auto last = app.core()->loop().run_blocking(meta_of(app.async_result("999")));
        (void)app.control().broadcast(control::ping(), {.destination = {"w@h"}, .timeout = 20s});
        const auto requests = node.requests();
        seen.emplace_back(last ? last->status : "",
                          std::ranges::count(requests, "revoke", &ControlRequest::method));
    }};
    std::ostream shown{&watched};
    Console watching{shown, err, in};
    EXPECT_EQ(run_revoke(app, many, watching), kSuccess) << err.str();
    ASSERT_GE(seen.size(), 3U);
    EXPECT_EQ(seen[0].first, states::kPending);
    EXPECT_EQ(seen[0].second, 0U);
    EXPECT_EQ(seen[1].first, states::kPending);
    EXPECT_EQ(seen[1].second, 1U);
    EXPECT_EQ(seen.back().first, states::kRevoked);
}

TEST_F(Commands, PurgeAsksAndTakesNoForAnAnswer) {
    (void)call({.task = "greet", .args = *parse_json(R"(["x"])")});
    in.str("no\n");
    EXPECT_EQ(run_purge(app, {}, console), kFailure);
    EXPECT_THAT(out.str(), AllOf(HasSubstr("celery        1\n"), HasSubstr("(yes/NO)")));
    EXPECT_EQ(ready_in("celery"), 1U);

    in.str("");
    in.clear();
    EXPECT_EQ(run_purge(app, {}, console), kFailure) << "the end of input is no yes";
    EXPECT_EQ(ready_in("celery"), 1U);
}

TEST_F(Commands, PurgeErasesWhatWaits) {
    (void)call({.task = "greet", .args = *parse_json(R"(["x"])")});
    in.str("yes\n");
    EXPECT_EQ(run_purge(app, {}, console), kSuccess);
    EXPECT_THAT(out.str(), HasSubstr("Purged 1 message from 1 queue.\n"));
    EXPECT_EQ(ready_in("celery"), 0U);

    out.str("");
    EXPECT_EQ(run_purge(app, {.queues = {"celery", "nobody"}, .force = true}, console), kSuccess);
    EXPECT_EQ(out.str(), "Purged 0 messages from 1 queue.\n");
    EXPECT_EQ(err.str(), "Error: there is no queue 'nobody'\n");
    EXPECT_EQ(run_purge(app, {.queues = {"nobody"}}, console), kFailure) << "nothing to ask about";
}

TEST_F(Commands, QuarantineListsWhatIsKept) {
    EXPECT_EQ(quarantine_command({.action = Action::list}), kSuccess);
    EXPECT_EQ(out.str(), "Nothing is in quarantine.\n");

    quarantine("celery", "id-1", "[]");
    quarantine("slow", "id-2", "[]");
    EXPECT_EQ(quarantine_command({.action = Action::list}), kSuccess);
    EXPECT_THAT(out.str(),
                AllOf(HasSubstr("2026-11-21T18:00:00+00:00  unregistered  celery  greet  id-1\n"),
                      HasSubstr("id-2"), HasSubstr("2 messages in quarantine")));
    EXPECT_EQ(quarantine_command({.action = Action::list, .queues = {"slow"}}), kSuccess);
    EXPECT_THAT(out.str(), AllOf(Not(HasSubstr("id-1")), HasSubstr("id-2")));
}

TEST_F(Commands, QuarantineShowsAMessageByTheBeginningOfItsId) {
    quarantine("celery", "id-1", "[\"\x1b[2J\"]");
    EXPECT_EQ(quarantine_command({.action = Action::show, .ids = {"id"}}), kSuccess);
    EXPECT_THAT(out.str(),
                AllOf(HasSubstr("reason    unregistered\n"), HasSubstr("detail    no such task\n"),
                      HasSubstr("worker    w@test\n"), HasSubstr("body      [\"\\x1b[2J\"]\n")));
    EXPECT_EQ(quarantine_command({.action = Action::show, .ids = {"nobody"}}), kFailure);
    EXPECT_EQ(err.str(), "Error: no message 'nobody' is in quarantine\n");
    EXPECT_EQ(ready_in("celery.quarantine"), 1U);
}

TEST_F(Commands, QuarantineMakesAnIdForAMessageWithoutOne) {
    quarantine("celery", "", "junk");
    EXPECT_EQ(quarantine_command({.action = Action::show}), kSuccess);
    const std::string shown = out.str();
    const std::string id = shown.substr(shown.find("id        ") + 10, 36);
    EXPECT_EQ(quarantine_command({.action = Action::drop, .ids = {id}}), kSuccess);
    EXPECT_EQ(ready_in("celery.quarantine"), 0U);
}

TEST_F(Commands, QuarantineReplaysTheMessageAsItWas) {
    const std::string body =
        R"([["you"],  {}, {"callbacks": null}])";  // Python would write it otherwise
    quarantine("celery", "id-1", body);
    quarantine("celery", "id-2", body);
    EXPECT_EQ(quarantine_command({.action = Action::replay, .ids = {"id-1"}}), kSuccess)
        << err.str();
    EXPECT_EQ(out.str(), "Replayed 1 message.\n");
    EXPECT_EQ(ready_in("celery.quarantine"), 1U);
    ASSERT_EQ(ready_in("celery"), 1U);

    auto taken = app.core()->loop().run_blocking(take_one(app.core(), "celery"));
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->body, body);
    EXPECT_EQ(to_json_text(taken->headers), R"({"id": "id-1", "task": "greet"})");
}

TEST_F(Commands, QuarantineDropsEverythingOnlyAfterAYes) {
    EXPECT_EQ(quarantine_command({.action = Action::drop, .all = true}), kSuccess);
    EXPECT_EQ(out.str(), "Nothing is in quarantine.\n") << "and no question";

    quarantine("celery", "id-1", "[]");
    quarantine("slow", "id-2", "[]");
    in.str("no\n");
    EXPECT_EQ(quarantine_command({.action = Action::drop, .all = true}), kFailure);
    EXPECT_THAT(out.str(), HasSubstr("Erase 2 messages for good?"));
    EXPECT_EQ(ready_in("celery.quarantine"), 1U);

    EXPECT_EQ(quarantine_command({.action = Action::drop, .all = true, .force = true}), kSuccess);
    EXPECT_EQ(out.str(), "Dropped 2 messages.\n");
    EXPECT_EQ(ready_in("celery.quarantine") + ready_in("slow.quarantine"), 0U);
}

TEST_F(Commands, AnEmptyIdIsNoMessagesName) {
    quarantine("celery", "id-1", "[]");
    quarantine("celery", "id-2", "[]");
    EXPECT_EQ(quarantine_command({.action = Action::drop, .ids = {""}}), kFailure);
    EXPECT_EQ(err.str(), "Error: no message '' is in quarantine\n");
    EXPECT_EQ(ready_in("celery.quarantine"), 2U);
    EXPECT_EQ(quarantine_command({.action = Action::drop, .ids = {"", "id-1"}}), kFailure);
    EXPECT_EQ(err.str(), "Error: no message '' is in quarantine\n");
    EXPECT_EQ(ready_in("celery.quarantine"), 1U);
}

TEST_F(Commands, QuarantineDropsMoreThanOneVisitTakes) {
    for (int message = 0; message < 1'100; ++message) {
        quarantine("celery", "id-" + std::to_string(message), "[]");
    }
    EXPECT_EQ(quarantine_command({.action = Action::drop, .all = true, .force = true}), kSuccess);
    EXPECT_EQ(out.str(), "Dropped 1100 messages.\n");
    EXPECT_EQ(ready_in("celery.quarantine"), 0U);
}

TEST_F(Commands, EveryUrlOfTheRedisClientHasADriver) {
    for (const char* url : {"redis://h/0", "rediss://h/0", "redis+socket:///run/redis.sock",
                            "socket:///run/redis.sock", "unix:///run/redis.sock?db=1"}) {
        Settings settings;
        settings.result_backend = url;
        EXPECT_NO_THROW((void)make_results(app.core()->loop().executor(), settings)) << url;
    }
}

TEST_F(Commands, KnownQueuesComeFromSettingsAndTasks) {
    Settings settings;
    settings.task_routes = {{"a.*", {"routed"}}, {"b", {"", 3}}};
    App other{"other", settings};
    (void)other.task("greet", greet, arg("name")).queue("own");
    EXPECT_THAT(known_queues(other), ::testing::ElementsAre("celery", "own", "routed"));
}

TEST_F(Commands, TasksOfQueuesThatAWorkerDoesNotConsumeAreNamed) {
    Settings settings;
    settings.task_routes = {{"mail.*", {"mail"}}};
    App other{"other", settings};
    (void)other.task("greet", greet, arg("name"));
    (void)other.task("mail.digest", numbers);
    (void)other.task("mail.send", numbers);
    (void)other.task("report", numbers).queue("reports");
    EXPECT_EQ(unserved_tasks(other, {"celery"}), "mail (mail.digest, mail.send); reports (report)");
    EXPECT_EQ(unserved_tasks(other, {"celery", "mail", "reports"}), "");
}

}  // namespace
}  // namespace lovage::cli
