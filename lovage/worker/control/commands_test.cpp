// What each command answers, compared with what Celery's workers answered to the same request.

#include <lovage/worker/control/command.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lovage/results/memory/memory_state_store.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/control/fake_worker.hpp>
#include <lovage/worker/control/store_revocations.hpp>
#include <tests/support/fixture.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace lovage::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

/// The value that the captured worker replied with; `celery` picks the version.
const Json& captured_value(const std::string& name, std::string_view celery = "5.2.6") {
    static const Json fixture = testing_support::load_fixture("celery_control.json");
    for (const Json& entry : fixture.find("records")->as_array()) {
        if (entry.find("name")->as_string() != name) continue;
        if (entry.find("celery")->as_string() != celery) continue;
        static std::vector<std::unique_ptr<Json>> kept;
        const Json& reply = entry.find("replies")->as_array().front();
        kept.push_back(
            std::make_unique<Json>(value_or_throw(parse_json(reply.find("body")->as_string()))));
        return kept.back()->as_object().front().second;
    }
    throw std::runtime_error{"no such capture: " + name};
}

std::set<std::string> names_of(const Json& object) {
    std::set<std::string> names;
    for (const auto& [name, value] : object.as_object()) names.insert(name);
    return names;
}

std::shared_ptr<TaskRequest> request_of(const std::string& id, const TaskDefinition& task) {
    auto request = std::make_shared<TaskRequest>();
    request->definition = &task;
    request->message.id = id;
    request->message.task = task.name;
    request->message.args = Json::raw("[14]");
    request->message.kwargs = Json::raw("{}");
    request->message.argsrepr = "(14,)";
    request->message.kwargsrepr = "{}";
    request->delivery.routing_key = "celery";
    request->delivery.message.properties.priority = 0;
    request->acknowledge.acks_late = true;
    return request;
}

class Commands : public ::testing::Test {
protected:
    Commands() : worker{make_memory_state_store(context.get_executor(), "commands-test")} {
        log::configure({.level = log::Level::off});
        TaskDefinition task;
        task.name = "tasks.sleepy";
        sleepy = &worker.registry.add(task);
        task.name = "tasks.limited";
        task.options.rate_limit = RateLimit{1.0 / 3600};
        worker.registry.add(task);
    }

    Answer ask(const std::string& method, Json arguments = Json::object()) {
        Answer answer;
        boost::asio::co_spawn(context, carry_out(&worker, method, std::move(arguments)),
                              [&answer](std::exception_ptr error, Answer value) {
                                  if (error) std::rethrow_exception(error);
                                  answer = std::move(value);
                              });
        context.restart();
        context.run();
        return answer;
    }
    /// Says so when the worker would not reply.
    Json value_of(const std::string& method, Json arguments = Json::object()) {
        return ask(method, std::move(arguments)).value_or("no reply");
    }

    boost::asio::io_context context;
    FakeWorker worker;
    TaskDefinition* sleepy = nullptr;
};

Json args(std::string_view text) {
    return value_or_throw(parse_json(text));
}

TEST_F(Commands, WithFixedAnswersAnswerWordForWord) {
    const std::vector<std::tuple<std::string, std::string, Json>> cases{
        {"inspect_ping", "ping", Json::object()},
        {"control_ping_extra_arg", "ping", args(R"({"bogus_arg": 1})")},
        {"control_unknown_command", "no_such_command", Json::object()},
        {"control_bad_argument", "enable_events", args(R"({"bogus_arg": 1})")},
        {"control_autoscale_not_enabled", "autoscale", args(R"({"max": 4, "min": 1})")},
        {"control_election", "election", args(R"({"id": "i", "topic": "task", "action": {}})")},
        {"control_heartbeat", "heartbeat", Json::object()},
        {"control_pool_grow", "pool_grow", args(R"({"n": 1})")},
        {"control_pool_shrink", "pool_shrink", args(R"({"n": 1})")},
        {"control_pool_restart", "pool_restart",
         args(R"({"modules": null, "reload": false, "reloader": null})")},
        {"control_rate_limit", "rate_limit",
         args(R"({"task_name": "tasks.sleepy", "rate_limit": "100/m"})")},
        {"control_rate_limit_disable", "rate_limit",
         args(R"({"task_name": "tasks.sleepy", "rate_limit": 0})")},
        {"control_rate_limit_invalid", "rate_limit",
         args(R"({"task_name": "tasks.sleepy", "rate_limit": "abc"})")},
        {"control_rate_limit_unknown", "rate_limit",
         args(R"({"task_name": "no.such", "rate_limit": "1/s"})")},
        {"control_time_limit", "time_limit",
         args(R"({"task_name": "tasks.sleepy", "soft": 10.0, "hard": 20.0})")},
        {"control_time_limit_clear", "time_limit",
         args(R"({"task_name": "tasks.sleepy", "soft": null, "hard": null})")},
        {"control_time_limit_unknown", "time_limit",
         args(R"({"task_name": "no.such", "soft": 1.0, "hard": 2.0})")},
        {"control_add_consumer", "add_consumer",
         args(R"({"queue": "extra", "exchange": null, "exchange_type": "direct",
                  "routing_key": null})")},
        {"control_cancel_consumer", "cancel_consumer", args(R"({"queue": "extra"})")},
        {"control_revoke_terminate_unknown", "revoke",
         args(R"({"task_id": "unknown", "terminate": true, "signal": "SIGKILL"})")},
    };
    for (const auto& [capture, method, arguments] : cases) {
        EXPECT_EQ(value_of(method, arguments), captured_value(capture)) << capture;
    }
}

TEST_F(Commands, RevokeAnswersAsCelery56) {
    EXPECT_EQ(value_of("revoke", args(R"({"task_id": "56000000-0000-4000-8000-0000000000f1",
                                          "terminate": false, "signal": "SIGTERM"})")),
              captured_value("revoke", "5.6.3"));
    EXPECT_EQ(worker.fake_client.revoked.size(), 1U);
    EXPECT_FALSE(worker.fake_client.revoked.front().second.terminate);
    EXPECT_EQ(value_of("revoke", args(R"({"task_id": ["56000000-0000-4000-8000-0000000000f2",
                                          "56000000-0000-4000-8000-0000000000f3"]})")),
              captured_value("revoke_list", "5.6.3"));
}

TEST_F(Commands, TerminateEndsWhatRunsAndStoresTheWish) {
    const std::string id = "bbbbbbbb-0000-4000-8000-000000000001";
    worker.fake_pool.tasks.push_back({request_of(id, *sleepy), {}, 101});
    EXPECT_EQ(value_of("terminate", Json::object({{"task_id", id}, {"signal", "SIGKILL"}})),
              captured_value("control_terminate"));
    EXPECT_EQ(worker.signal, SIGKILL);
    ASSERT_EQ(worker.fake_client.revoked.size(), 1U);
    EXPECT_EQ(worker.fake_client.revoked.front().second.signal, SIGKILL);
    EXPECT_EQ(value_of("terminate", Json::object({{"task_id", id}, {"signal", "HUP"}})),
              captured_value("control_terminate"));
    EXPECT_EQ(worker.signal, SIGHUP);
    EXPECT_THAT(
        to_json_text(value_of("terminate", Json::object({{"task_id", id}, {"signal", "SIGNONE"}}))),
        HasSubstr("unknown signal"));
}

TEST_F(Commands, RevokeByStampedHeadersAnswersAsCelery56) {
    EXPECT_EQ(value_of("revoke_by_stamped_headers",
                       args(R"({"headers": {"monitoring_id": ["m-8"]}, "terminate": false})")),
              captured_value("revoke_by_stamped_headers_no_terminate", "5.6.3"));
    EXPECT_EQ(worker.revoked_stamps, (RevokedStamps::Stamps{{"monitoring_id", {R"("m-8")"}}}));
    EXPECT_EQ(value_of("revoke_by_stamped_headers",
                       args(R"({"headers": ["monitoring_id=m-7"], "terminate": true})")),
              captured_value("revoke_by_stamped_headers_list", "5.6.3"));
    worker.held_stamps = {{"monitoring_id", {R"("m-9")"}}};
    EXPECT_EQ(value_of("revoke_by_stamped_headers",
                       args(R"({"headers": {"monitoring_id": ["m-9"]}, "terminate": true,
                                "signal": "SIGKILL"})")),
              captured_value("revoke_by_stamped_headers", "5.6.3"));
    EXPECT_EQ(worker.signal, SIGKILL);
    EXPECT_THAT(to_json_text(value_of("revoke_by_stamped_headers", args(R"({"headers": ["x"]})"))),
                HasSubstr("name=value"));
}

TEST_F(Commands, StampsMayBeNumbers) {
    EXPECT_EQ(value_of("revoke_by_stamped_headers", args(R"({"headers": {"order": [7, "7"]}})")),
              *ok("headers {'order': [7, '7']} flagged as revoked, but not terminated"));
    EXPECT_EQ(worker.revoked_stamps, (RevokedStamps::Stamps{{"order", {"7", R"("7")"}}}));
    worker.held_stamps = {{"order", {"7"}}};
    EXPECT_EQ(value_of("revoke_by_stamped_headers",
                       args(R"({"headers": {"order": 7}, "terminate": true})")),
              *ok("headers defaultdict(<class 'set'>, {'order': {7}}) revoked"));
}

TEST_F(Commands, RevokeNamesEachTaskOnce) {
    EXPECT_EQ(value_of("revoke", args(R"({"task_id": ["a", "b", "a"]})")),
              *ok("tasks {'a', 'b'} flagged as revoked"));
    EXPECT_EQ(value_of("revoke", args(R"({"task_id": []})")),
              *ok("tasks set() flagged as revoked"));
}

TEST_F(Commands, ARevocationThatIsStoredIsNotStoredAgain) {
    worker.fake_client.refusal = Error{Errc::disconnected, "redis is away"};
    EXPECT_EQ(value_of("revoke", args(R"({"task_id": ["a", "b"], "lovage_stored": true})")),
              *ok("0 of 2 tasks are held here"));
    EXPECT_THAT(worker.fake_client.revoked, testing::IsEmpty());
}

TEST_F(Commands, ARevocationThatIsNotStoredIsAnError) {
    worker.fake_client.refusal = Error{Errc::disconnected, "redis is away"};
    EXPECT_THAT(to_json_text(value_of("revoke", args(R"({"task_id": "x"})"))),
                HasSubstr("error\": \"task x may run elsewhere"));
}

TEST_F(Commands, MissingArgumentsAreNamedAsPythonDoes) {
    EXPECT_EQ(value_of("revoke"),
              *raised("TypeError", "revoke() missing 1 required positional argument: 'task_id'"));
    EXPECT_EQ(value_of("rate_limit"),
              *raised("TypeError",
                      "rate_limit() missing 2 required positional arguments: 'task_name' and "
                      "'rate_limit'"));
    EXPECT_THAT(to_json_text(value_of("revoke", args(R"({"task_id": 7})"))),
                HasSubstr("task_id should be"));
}

/// How many revocations are stored at once, and of which the store does not hear.
class SlowClient final : public FakeClient {
public:
    Awaitable<Result<void>> revoke(std::string id, RevokeOptions, Deadline) override {
        most_at_once = std::max(most_at_once, ++at_once);
        co_await boost::asio::post(co_await boost::asio::this_coro::executor,
                                   boost::asio::use_awaitable);
        --at_once;
        if (failing.contains(id)) co_return fail(Errc::disconnected, "redis is away");
        ++stored;
        co_return Result<void>{};
    }
    std::set<std::string> failing;
    int at_once = 0;
    int most_at_once = 0;
    int stored = 0;
};

TEST_F(Commands, ManyRevocationsAreStoredSomeAtATime) {
    SlowClient client;
    client.failing = {"t-300", "t-7"};
    std::vector<std::string> ids;
    for (int i = 0; i < 1000; ++i) ids.push_back("t-" + std::to_string(i));
    Unstored unstored;
    boost::asio::co_spawn(context, store_revocations(&client, ids, {}, Deadline::in(60s)),
                          [&](std::exception_ptr, Unstored result) { unstored = result; });
    context.run();
    EXPECT_EQ(client.most_at_once, 256);
    EXPECT_EQ(client.stored, 998);
    EXPECT_THAT(unstored.task_ids, ElementsAre("t-7", "t-300"));
    EXPECT_EQ(unstored.why.detail, "redis is away");
}

TEST_F(Commands, RevocationsThereIsNoTimeForAreNotStored) {
    SlowClient client;
    Unstored unstored;
    boost::asio::co_spawn(context, store_revocations(&client, {"a", "b"}, {}, Deadline::in(0s)),
                          [&](std::exception_ptr, Unstored result) { unstored = result; });
    context.run();
    EXPECT_THAT(unstored.task_ids, ElementsAre("a", "b"));
    EXPECT_EQ(unstored.why.code, Errc::deadline_exceeded);
}

TEST_F(Commands, ARevocationThatFailsHalfWaySaysWhichAreNotStored) {
    worker.fake_client.refusal = Error{Errc::disconnected, "redis is away"};
    Json ids = Json::array();
    for (int i = 0; i < 30; ++i) ids.push_back("t-" + std::to_string(i));
    const std::string said =
        to_json_text(value_of("revoke", Json::object({{"task_id", std::move(ids)}})));
    EXPECT_THAT(said, HasSubstr("30 of 30 revocations are not stored, their tasks may run "
                                "elsewhere: t-0, t-1, "));
    EXPECT_THAT(said, HasSubstr("t-19 and 10 more: "));
    EXPECT_THAT(said, HasSubstr("redis is away"));
}

TEST_F(Commands, RevokeRefusesWhatItCannotMean) {
    Json many = Json::array();
    for (int i = 0; i <= 10'000; ++i) many.push_back("t");
    const std::vector<Json> wrong{many, args("[7]"), args("{}"), args("null")};
    for (const Json& ids : wrong) {
        EXPECT_EQ(value_of("revoke", Json::object({{"task_id", ids}})),
                  *error("task_id should be a text, or a list of at most 10000 texts"));
    }
    for (const Json& values : {many, args("[{}]"), args("{}"), args("null")}) {
        EXPECT_EQ(value_of("revoke_by_stamped_headers",
                           Json::object({{"headers", Json::object({{"order", values}})}})),
                  *error("header 'order' should be a text, a number, or a list of at most 10000 of "
                         "them"));
    }
    EXPECT_THAT(worker.revoked_stamps, IsEmpty());
    EXPECT_EQ(value_of("revoke_by_stamped_headers",
                       args(R"({"headers": {"a": "b"}, "terminate": true, "signal": "SIGNONE"})")),
              *raised("ValueError", "unknown signal 'SIGNONE'"));
    EXPECT_THAT(worker.fake_client.revoked, IsEmpty());
}

TEST_F(Commands, QueuesAndExchangesHaveNames) {
    const std::string long_name(256, 'q');
    const std::string of_queue = "queue should be a name of 1 to 255 bytes";
    for (const Json& queue : {Json{""}, Json{7}, Json{}, Json{long_name}}) {
        for (const char* command : {"add_consumer", "cancel_consumer"}) {
            EXPECT_EQ(value_of(command, Json::object({{"queue", queue}})), *error(of_queue));
        }
    }
    for (const char* name : {"exchange", "routing_key"}) {
        for (const Json& value : {Json{7}, Json{long_name}}) {
            EXPECT_EQ(value_of("add_consumer", Json::object({{"queue", "q"}, {name, value}})),
                      *error(std::string{name} + " should be a name of at most 255 bytes"));
        }
    }
    for (const Json& type : {Json{"headers"}, Json{7}}) {
        EXPECT_EQ(value_of("add_consumer", Json::object({{"queue", "q"}, {"exchange_type", type}})),
                  *error("exchange_type should be direct, fanout or topic"));
    }
    EXPECT_EQ(value_of("add_consumer", args(R"({"queue": "q", "exchange": "x",
                                                "exchange_type": "topic", "routing_key": "#"})")),
              *ok("add consumer q"));
}

TEST_F(Commands, AddConsumerTakesTheOptionsOfAQueue) {
    EXPECT_EQ(value_of("add_consumer", args(R"({"queue": "q", "exchange_type": "topic",
                  "durable": false, "auto_delete": true, "exchange_auto_delete": false,
                  "exclusive": null, "queue_arguments": {"x-max-length": 10}, "no_ack": false,
                  "bindings": [], "alias": "other"})")),
              *ok("add consumer q"));
    const Json shown = value_of("active_queues").as_array().back();
    EXPECT_EQ(*shown.find("durable"), Json{false});
    EXPECT_EQ(*shown.find("auto_delete"), Json{true});
    EXPECT_EQ(*shown.find("exclusive"), Json{false});
    EXPECT_EQ(*shown.find("queue_arguments"), args(R"({"x-max-length": 10})"));
    EXPECT_EQ(*shown.find("exchange")->find("durable"), Json{false});
    EXPECT_EQ(*shown.find("exchange")->find("auto_delete"), Json{false});
}

TEST_F(Commands, AddConsumerRefusesOptionsItCannotHonour) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {R"({"queue": "q", "durable": "no"})", "durable should be true or false"},
        {R"({"queue": "q", "queue_arguments": 5})", "queue_arguments should be a map"},
        {R"({"queue": "q", "no_ack": true})", "no_ack is not possible here"},
        {R"({"queue": "q", "bindings": [{}]})", "bindings is not possible here"},
        {R"({"queue": "q", "consumer_arguments": {"x-priority": 1}})",
         "consumer_arguments is not possible here"},
    };
    for (const auto& [arguments, words] : cases) {
        EXPECT_EQ(value_of("add_consumer", args(arguments)), *error(words));
    }
    EXPECT_EQ(worker.queue_sources.size(), 1U);
}

TEST_F(Commands, EventsAreSwitchedWithCelerysWords) {
    EXPECT_EQ(value_of("enable_events"), *error("event dispatcher unavailable"));
    worker.dispatcher.emplace();
    EXPECT_EQ(value_of("enable_events"), captured_value("control_enable_events"));
    EXPECT_EQ(value_of("enable_events"), captured_value("control_enable_events_again"));
    EXPECT_EQ(value_of("disable_events"), captured_value("control_disable_events"));
    EXPECT_EQ(value_of("disable_events"), captured_value("control_disable_events_again"));
    EXPECT_EQ(value_of("heartbeat"), Json{});
    EXPECT_EQ(worker.dispatcher->heartbeats, 1);
}

TEST_F(Commands, SlotsToGrowByAreBounded) {
    for (const char* n : {"-1", "1025", "1.5", "\"many\""}) {
        EXPECT_EQ(value_of("pool_grow", args(std::string{R"({"n": )"} + n + "}")),
                  *error("n should be a whole number from 0 to 1024"))
            << n;
    }
}

TEST_F(Commands, AutoscaleTakesOneBoundOrBoth) {
    worker.range = AutoscaleRange{10, 2};
    EXPECT_EQ(value_of("autoscale", args(R"({"max": 4, "min": 1})")),
              captured_value("control_autoscale_ok"));
    EXPECT_EQ(value_of("autoscale", args(R"({"max": 7, "min": null})")),
              *ok("autoscale now max=7 min=1"));
    for (const char* bound : {"-1", "1025"}) {
        EXPECT_THAT(
            to_json_text(value_of("autoscale", args(std::string{R"({"max": )"} + bound + "}"))),
            HasSubstr("max should be a whole number from 0 to 1024"));
    }
    worker.refusal =
        Error{Errc::conflict,
              "pool_grow is not supported with autoscale. Adjust autoscale range instead."};
    EXPECT_EQ(value_of("pool_grow"), captured_value("control_pool_grow_with_autoscale"));
}

TEST_F(Commands, ActiveListsWhatRunsMemberByMember) {
    worker.fake_pool.tasks.push_back(
        {request_of("bbbbbbbb-0000-4000-8000-000000000001", *sleepy), {}, 24136});
    Json task = value_of("active").as_array().front();
    Json expected = captured_value("inspect_active").as_array().front();
    EXPECT_TRUE(task.find("time_start")->is_real());
    // Celery differs: there the message was acknowledged before the task started.
    for (const char* differs : {"time_start", "acknowledged"}) {
        task.erase(differs);
        expected.erase(differs);
    }
    EXPECT_EQ(task, expected);

    task = value_of("active", args(R"({"safe": true})")).as_array().front();
    EXPECT_EQ(*task.find("args"), Json{"(14,)"});
    EXPECT_EQ(*task.find("kwargs"), Json{"{}"});
    EXPECT_EQ(value_of("dump_active").as_array().size(), 1U);
}

TEST_F(Commands, ReservedAndScheduledHaveNotStarted) {
    worker.reserved_tasks.push_back(request_of("r", *sleepy));
    const Json reserved = value_of("reserved").as_array().front();
    EXPECT_EQ(names_of(reserved), names_of(captured_value("inspect_reserved").as_array().front()));
    EXPECT_TRUE(reserved.find("time_start")->is_null());
    EXPECT_TRUE(reserved.find("worker_pid")->is_null());
    EXPECT_EQ(*reserved.find("acknowledged"), Json{false});

    worker.scheduled_tasks.push_back(request_of("s", *sleepy));
    worker.scheduled_tasks.back()->message.eta =
        value_or_throw(parse_iso8601("2026-11-21T17:30:25.855370+00:00"));
    const Json scheduled = value_of("scheduled").as_array().front();
    const Json& expected = captured_value("inspect_scheduled").as_array().front();
    EXPECT_EQ(names_of(scheduled), names_of(expected));
    EXPECT_EQ(*scheduled.find("eta"), *expected.find("eta"));
    EXPECT_EQ(*scheduled.find("priority"), *expected.find("priority"));
}

TEST_F(Commands, QueryTaskFindsTasksWhereverTheyAre) {
    worker.fake_pool.tasks.push_back({request_of("a", *sleepy), {}, 1});
    worker.reserved_tasks.push_back(request_of("r", *sleepy));
    worker.scheduled_tasks.push_back(request_of("s", *sleepy));
    const Json found = value_of("query_task", args(R"({"ids": ["a", "r", "s", "nobody"]})"));
    EXPECT_THAT(names_of(found), ElementsAre("a", "r", "s"));
    EXPECT_EQ(found.find("a")->as_array().front(), Json{"active"});
    EXPECT_EQ(found.find("r")->as_array().front(), Json{"reserved"});
    EXPECT_EQ(found.find("s")->as_array().front(), Json{"ready"});
    EXPECT_THAT(names_of(value_of("query_task", args(R"({"ids": "r"})"))), ElementsAre("r"));
    Json many = Json::array();
    for (int i = 0; i <= 10'000; ++i) many.push_back("a");
    EXPECT_THAT(to_json_text(value_of("query_task", Json::object({{"ids", std::move(many)}}))),
                HasSubstr("10000 at most"));
}

TEST_F(Commands, RegisteredShowsTheAttributesAskedFor) {
    EXPECT_EQ(value_of("registered"),
              args(R"(["tasks.limited [rate_limit=1/h]", "tasks.sleepy"])"));
    EXPECT_EQ(
        value_of("dump_tasks",
                 args(R"({"taskinfoitems": ["rate_limit", "max_retries", "ignore_result", "x"]})")),
        args(R"(["tasks.limited [rate_limit=1/h max_retries=3 ignore_result=False]",
                 "tasks.sleepy [max_retries=3 ignore_result=False]"])"));
}

TEST_F(Commands, ActiveQueuesListsThemMemberByMember) {
    EXPECT_EQ(value_of("active_queues"), captured_value("inspect_active_queues"));
    (void)ask("add_consumer", args(R"({"queue": "extra"})"));
    EXPECT_EQ(value_of("active_queues"), captured_value("inspect_active_queues_after_add"));
    (void)ask("cancel_consumer", args(R"({"queue": "extra"})"));
    EXPECT_EQ(value_of("active_queues"), captured_value("inspect_active_queues"));
}

TEST_F(Commands, StatsHasEveryMemberOfAPythonWorkers) {
    worker.own_settings.broker_url = "amqp://guest:secret@127.0.0.1:5672/capture";
    const Json stats = value_of("stats");
    const Json& expected = captured_value("inspect_stats", "5.6.3");
    EXPECT_EQ(names_of(stats), names_of(expected));
    for (const char* part : {"pool", "broker", "rusage"}) {
        EXPECT_EQ(names_of(*stats.find(part)), names_of(*expected.find(part))) << part;
        for (const auto& [name, value] : expected.find(part)->as_object()) {
            EXPECT_EQ(stats.find(part)->find(name)->python_type_name(), value.python_type_name())
                << part << "." << name;
        }
    }
    const Json& writes = *stats.find("pool")->find("writes");
    EXPECT_EQ(names_of(writes), names_of(*expected.find("pool")->find("writes")));
    EXPECT_EQ(*writes.find("all"), Json{"0.75, 0.25"});
    EXPECT_EQ(*stats.find("pool")->find("processes"), args("[101, 102]"));
    EXPECT_EQ(*stats.find("pool")->find("timeouts"), args("[0, 0]"));
    EXPECT_TRUE(stats.find("clock")->is_string());
    EXPECT_EQ(*stats.find("broker")->find("virtual_host"), Json{"capture"});
    EXPECT_THAT(to_json_text(stats), Not(HasSubstr("secret")));

    worker.range = AutoscaleRange{4, 1};
    const Json scaled = value_of("stats");
    EXPECT_THAT(names_of(*scaled.find("autoscaler")), ElementsAre("current", "max", "min", "qty"));
}

TEST_F(Commands, ConfAndReportKeepSecrets) {
    worker.own_settings.broker_url = "amqp://guest:secret@127.0.0.1:5672/capture";
    worker.own_settings.result_backend = "redis://:secret@127.0.0.1:6379/6";
    const Json conf = value_of("conf", args(R"({"with_defaults": false})"));
    EXPECT_EQ(*conf.find("broker_url"), *captured_value("inspect_conf").find("broker_url"));
    EXPECT_EQ(conf.find("worker_lease"), nullptr);
    const Json all = value_of("conf", args(R"({"with_defaults": true})"));
    EXPECT_NE(all.find("worker_lease"), nullptr);
    const Json report = value_of("report");
    const std::string& text = report.find("ok")->as_string();
    EXPECT_TRUE(text.starts_with("\nsoftware -> lovage:"));
    EXPECT_THAT(text, HasSubstr("\nbroker_url: 'amqp://guest:********@127.0.0.1:5672/capture'\n"));
    for (const std::string& said : {to_json_text(conf), to_json_text(all), text}) {
        EXPECT_THAT(said, Not(HasSubstr("secret")));
    }
}

TEST_F(Commands, HelloAnswersOthersOnly) {
    const Json hello = value_of("hello", args(R"({"from_node": "other@capture", "revoked": {}})"));
    EXPECT_EQ(names_of(hello), names_of(captured_value("inspect_hello")));
    EXPECT_TRUE(hello.find("clock")->is_integer());
    EXPECT_TRUE(hello.find("revoked")->is_object());
    EXPECT_EQ(value_of("hello", args(R"({"from_node": "worker@capture"})")), Json{});
}

TEST_F(Commands, ClockAndRevokedAreListed) {
    worker.lamport.adjust(363);
    EXPECT_EQ(value_of("clock"), captured_value("inspect_clock"));
    EXPECT_EQ(value_of("revoked"), Json::array());
    EXPECT_TRUE(value_of("memsample").is_string());
}

TEST_F(Commands, MemdumpPrintsWhatMemsampleTook) {
    const std::string first = value_of("memsample").as_string();
    const std::string second = value_of("memsample").as_string();
    EXPECT_THAT(first, MatchesRegex("[0-9.]+MB"));
    const Json dump = value_of("memdump", args(R"({"samples": 10})"));
    ASSERT_EQ(dump.python_type_name(), captured_value("control_memdump").python_type_name());
    EXPECT_THAT(dump.as_string(), StartsWith("- rss (sample):\n-    > " + first + ",\n-    > " +
                                             second + ",\n- rss (end): "));
    EXPECT_THAT(value_of("memdump").as_string(), MatchesRegex("- rss \\(end\\): [0-9.]+MB\\.\n"));
    EXPECT_EQ(value_of("memdump", args(R"({"samples": "many"})")),
              *error("samples should be a whole number of 0 or more"));
}

TEST_F(Commands, WhatLooksIntoPythonIsAnsweredPolitely) {
    EXPECT_EQ(value_of("objgraph", args(R"({"num": 200, "max_depth": 10, "type": "Request"})")),
              *raised("ImportError", "Requires the objgraph library"));
}

TEST_F(Commands, ShutdownIsNotAnswered) {
    EXPECT_EQ(ask("shutdown"), std::nullopt);
    EXPECT_THAT(worker.acts, ElementsAre("stop 0"));
}

TEST_F(Commands, LimitsReachTheWorker) {
    (void)ask("rate_limit", args(R"({"task_name": "tasks.sleepy", "rate_limit": "30/m"})"));
    EXPECT_EQ(worker.rates.at("tasks.sleepy"), RateLimit{0.5});
    EXPECT_EQ(value_of("registered"),
              args(R"(["tasks.limited [rate_limit=1/h]", "tasks.sleepy [rate_limit=30/m]"])"));
    EXPECT_EQ(value_of("rate_limit", args(R"({"task_name": "tasks.sleepy", "rate_limit": "0"})")),
              *ok("new rate limit set successfully"));
    EXPECT_EQ(worker.rates.at("tasks.sleepy"), RateLimit{});
    (void)ask("time_limit", args(R"({"task_name": "tasks.sleepy", "soft": 1.5, "hard": "20"})"));
    EXPECT_EQ(worker.times.at("tasks.sleepy"), (TimeLimits{.soft = 1500ms, .hard = 20s}));
    (void)ask("time_limit", args(R"({"task_name": "tasks.sleepy"})"));
    EXPECT_EQ(worker.times.at("tasks.sleepy"), TimeLimits{});
}

}  // namespace
}  // namespace lovage::control
