#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// The one message waiting in `queue`.
Message take_one(App& app, const std::string& queue) {
    auto core = app.core();
    const auto receive = [](std::shared_ptr<AppCore> of, std::string name) -> Awaitable<Message> {
        const Deadline deadline = Deadline::in(5s);
        (void)co_await of->connect(deadline);
        auto consumer = co_await of->broker().consume({{std::move(name)}, 1, "test"}, deadline);
        auto deliveries = co_await (*consumer)->receive(deadline);
        Message message = std::move(deliveries->front().message);
        (*consumer)->ack(deliveries->front().tag);
        (void)co_await (*consumer)->close(deadline);
        co_return message;
    };
    return core->loop().run_blocking(receive(core, queue));
}

std::string header(const Message& message, const char* name) {
    const auto headers = message.headers.fully_expanded();
    const Json* value = headers->find(name);
    return value == nullptr ? "absent" : to_json_text(*value);
}

TEST(App, ATypedSendIsACeleryMessage) {
    App app{"test", memory_settings()};
    auto multiply =
        app.task("multiply", [](int x, int y) { return x * y; }, arg("x"), arg("y") = 2);

    const auto result = multiply.delay(21);
    const Message message = take_one(app, "celery");

    EXPECT_EQ(message.body,
              R"([[21], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])");
    EXPECT_EQ(header(message, "task"), "\"multiply\"");
    EXPECT_EQ(header(message, "id"), "\"" + result.id() + "\"");
    EXPECT_EQ(header(message, "root_id"), "\"" + result.id() + "\"");
    EXPECT_EQ(message.properties.correlation_id, result.id());
    EXPECT_EQ(message.properties.priority, 0);
    EXPECT_FALSE(message.properties.reply_to.empty());
}

TEST(App, LimitsOfTheTaskAndOfTheCallReachTheMessage) {
    App app{"test", memory_settings()};
    auto task = app.task("task", [] {});
    task.time_limit(300s).soft_time_limit(2500ms);
    task.delay();
    EXPECT_EQ(header(take_one(app, "celery"), "timelimit"), "[300, 2.5]");
    task.apply_async({}, {.soft_time_limit = 10s});
    EXPECT_EQ(header(take_one(app, "celery"), "timelimit"), "[300, 10]");
}

TEST(App, ASoftLimitBeyondTheHardOneIsRefused) {
    App app{"test", memory_settings()};
    try {
        app.send_task("t", Json::array(), Json::object(),
                      {.time_limit = 5s, .soft_time_limit = 6s});
        FAIL() << "was sent";
    } catch (const SendError& refused) {
        EXPECT_EQ(refused.outcome(), SendOutcome::rejected);
        EXPECT_THAT(refused.what(), HasSubstr("soft_time_limit must be at most time_limit"));
    }
}

TEST(App, OptionsOfTheCallReachTheMessage) {
    App app{"test", memory_settings()};
    SendOptions options;
    options.queue = "other";
    options.priority = 7;
    options.task_id = "my-id";
    options.headers = Json::object({{"x-tenant", "acme"}});
    options.ignore_result = true;
    options.eta = TimePoint{1'000'000'000s};
    app.send_task("by.name", Json::Array{1}, Json::object({{"k", "v"}}), options);

    const Message message = take_one(app, "other");
    EXPECT_EQ(message.properties.priority, 7);
    EXPECT_EQ(header(message, "id"), "\"my-id\"");
    EXPECT_EQ(header(message, "x-tenant"), "\"acme\"");
    EXPECT_EQ(header(message, "ignore_result"), "true");
    EXPECT_EQ(header(message, "eta"), "\"2001-09-09T01:46:40+00:00\"");
}

TEST(App, ExpiresBecomesHeaderAndTimeToLive) {
    App app{"test", memory_settings()};
    app.send_task("t", Json::array(), Json::object(), {.expires = std::chrono::milliseconds{1h}});
    const Message message = take_one(app, "celery");
    EXPECT_NE(header(message, "expires"), "null");
    ASSERT_TRUE(message.properties.expiration);
    EXPECT_LE(*message.properties.expiration, 1h);
    EXPECT_GT(*message.properties.expiration, 59min);
}

TEST(App, TheTasksQueueBeatsTheRouteAndTheCallBeatsBoth) {
    Settings settings = memory_settings();
    settings.task_routes = {{"shop.*", {"routed", 3}}};
    App app{"test", settings};
    app.task("shop.own", [] {}).queue("own");
    auto plain = app.task("shop.plain", [] {});
    auto own = Task<void, std::tuple<>, 0>{
        app.core(), app.core()->registry().add(make_task_definition("shop.third", [] {}))};
    plain.delay();
    EXPECT_EQ(take_one(app, "routed").properties.priority, 3);
    app.send_task("shop.own");
    EXPECT_EQ(header(take_one(app, "own"), "task"), "\"shop.own\"");
    own.apply_async({}, {.queue = "call"});
    // Python leaves the priority out here only when no route gives one.
    EXPECT_EQ(take_one(app, "call").properties.priority, 3);
}

TEST(App, ContradictingOptionsAreRejectedByName) {
    App app{"test", memory_settings()};
    try {
        app.send_task("t", Json::array(), Json::object(), {.countdown = 1s, .eta = TimePoint{}});
        FAIL() << "sent";
    } catch (const SendError& error) {
        EXPECT_EQ(error.outcome(), SendOutcome::rejected);
        EXPECT_FALSE(error.task_id().empty());
        EXPECT_THAT(error.what(), HasSubstr("countdown or eta"));
    }
}

TEST(App, AnUnknownSchemeNamesTheOnesThereAre) {
    Settings settings = memory_settings();
    settings.broker_url = "carrier-pigeon://loft";
    App app{"test", settings};
    try {
        app.send_task("t");
        FAIL() << "sent";
    } catch (const SendError& error) {
        EXPECT_THAT(error.what(), HasSubstr("carrier-pigeon"));
        EXPECT_THAT(error.what(), HasSubstr("memory://"));
    }
}

TEST(App, AResultNobodyStoredIsPendingAndUnknown) {
    App app{"test", memory_settings()};
    const auto result = app.async_result("nobody-knows-me");
    EXPECT_EQ(result.state(), "PENDING");
    EXPECT_FALSE(app.core()->loop().run_blocking(result.is_known_async(Deadline::in(5s))).value());
    EXPECT_THROW((void)result.get(1ms), LovageError);
}

TEST(App, ATrackedSendIsKnownAtOnce) {
    Settings settings = memory_settings();
    settings.task_track_sent = true;
    App app{"test", settings};
    const auto result = app.send_task("t");
    EXPECT_TRUE(app.core()->loop().run_blocking(result.is_known_async(Deadline::in(5s))).value());
    EXPECT_EQ(result.state(), "PENDING");
}

TEST(App, ARevokedTaskReadsAsRevoked) {
    App app{"test", memory_settings()};
    const auto result = app.send_task("t");
    result.revoke();
    EXPECT_EQ(result.state(), "REVOKED");
    try {
        (void)result.get(1s);
        FAIL() << "has a value";
    } catch (const LovageError& error) {
        EXPECT_EQ(error.code(), Errc::task_failed);
        EXPECT_EQ(error.error().failure->exc_type, "TaskRevokedError");
    }
}

/// What is stored of a task's revocation.
std::string stored_revocation(App& app, const std::string& id) {
    const auto read = [](std::shared_ptr<AppCore> core, std::string key) -> Awaitable<std::string> {
        const auto found = co_await core->state().get(std::move(key), Deadline::in(5s));
        co_return found && *found ? (*found)->value : "nothing";
    };
    return app.core()->loop().run_blocking(read(app.core(), revocation_key(id)));
}

TEST(App, ARevocationKeepsTheHardestWishAndItsLastSignal) {
    App app{"test", memory_settings()};
    const auto result = app.send_task("t");
    result.revoke();
    EXPECT_EQ(stored_revocation(app, result.id()), "revoked");
    result.revoke({.terminate = true, .signal = SIGUSR1});
    EXPECT_EQ(stored_revocation(app, result.id()), "terminate SIGUSR1");
    result.revoke();
    EXPECT_EQ(stored_revocation(app, result.id()), "terminate SIGUSR1");
    result.revoke({.terminate = true});
    EXPECT_EQ(stored_revocation(app, result.id()), "terminate");
}

TEST(Revocation, IsReadFromWhatIsStored) {
    EXPECT_EQ(revocation_from("revoked"), Revocation::revoked);
    for (const int signal : {SIGTERM, SIGKILL, SIGUSR1, SIGRTMIN + 3}) {
        const std::string value = revocation_value({.terminate = true, .signal = signal});
        EXPECT_EQ(revocation_from(value), Revocation::terminate) << value;
        EXPECT_EQ(revocation_signal(value), signal) << value;
    }
    // Of a later version, or nobody's.
    EXPECT_EQ(revocation_from("terminate SIGNOTHING"), Revocation::terminate);
    EXPECT_EQ(revocation_signal("terminate SIGNOTHING"), SIGTERM);
}

TEST(App, AHandleThatOutlivesItsAppStillAnswers) {
    std::optional<App> app{std::in_place, "test", memory_settings()};
    const auto result = app->send_task("t");
    app.reset();
    EXPECT_EQ(result.state(), "PENDING");
}

TEST(App, SettingsCannotChangeOnceInUse) {
    App app{"test", memory_settings()};
    app.send_task("t");
    EXPECT_THROW(app.configure(Settings{}), LovageError);
}

TEST(App, ARateLimitThatIsNoneIsRefusedWithTheTasksName) {
    App app{"test", memory_settings()};
    auto task = app.task("slow", [] {});
    task.rate_limit("10/m").rate_limit("0");
    try {
        task.rate_limit("10/week");
        FAIL() << "taken";
    } catch (const LovageError& error) {
        EXPECT_EQ(error.code(), Errc::invalid_argument);
        EXPECT_THAT(error.what(), HasSubstr("'slow'"));
        EXPECT_THAT(error.what(), HasSubstr("'10/week'"));
    }
}

TEST(App, AKeyOfNoParameterAndANumberThatIsNoneAreRefusedWithTheTasksName) {
    App app{"test", memory_settings()};
    auto task = app.task("sync", [](const std::string&, int) {}, arg("account"), arg("n") = 1);
    task.concurrency_limit(1)
        .concurrency_limit(1000, per("account"))
        .concurrency_limit(2, [](const std::string& account, int) { return account; })
        .unique()
        .unique({.key = per("n"), .period = 1s, .states = {states::kSuccess}});
    const auto refusal = [](const auto& set) -> std::string {
        try {
            set();
        } catch (const LovageError& error) {
            return error.code() == Errc::invalid_argument ? error.what() : "another code";
        }
        return "taken";
    };
    EXPECT_THAT(refusal([&] { task.concurrency_limit(0); }), HasSubstr("'sync'"));
    EXPECT_THAT(refusal([&] { task.concurrency_limit(1001); }), HasSubstr("1001"));
    EXPECT_THAT(refusal([&] { task.concurrency_limit(1, per("user")); }), HasSubstr("'user'"));
    EXPECT_THAT(refusal([&] { task.unique({.key = per("user")}); }), HasSubstr("'user'"));
    EXPECT_THAT(refusal([&] { task.unique({.period = 0s}); }), HasSubstr("period"));
    EXPECT_THAT(refusal([&] { task.unique({.states = {}}); }), HasSubstr("states"));
    EXPECT_THAT(refusal([&] { task.unique({.states = {states::kRevoked}}); }), HasSubstr("states"));
}

TEST(App, ASendInsideATaskHasThatTaskAsParent) {
    App app{"test", memory_settings()};
    TaskContext parent{{.id = "p", .root_id = "r"}};
    std::string child;
    {
        const TaskContext::Scope scope{parent};
        child = app.send_task("t").id();
    }
    const Message message = take_one(app, "celery");
    EXPECT_EQ(header(message, "parent_id"), "\"p\"");
    EXPECT_EQ(header(message, "root_id"), "\"r\"");
    EXPECT_THAT(parent.children(), testing::ElementsAre("[[\"" + child + "\", null], null]"));
}

TEST(App, OnlyWhatWasSentIsATasksChildAndOnce) {
    App app{"test", memory_settings()};
    TaskContext parent{{.id = "p", .root_id = "r"}};
    {
        const TaskContext::Scope scope{parent};
        EXPECT_THROW(
            (void)app.send_task("t", Json::array(), Json::object(),
                                {.headers = Json::object({{"id", "x"}}), .task_id = "refused"}),
            SendError);
        (void)app.send_task("t", Json::array(), Json::object(), {.task_id = "sent"});
        (void)app.send_task("t", Json::array(), Json::object(), {.task_id = "sent"});
        (void)app.send_task("t", Json::array(), Json::object(), {.task_id = "next"});
    }
    EXPECT_THAT(parent.children(),
                testing::ElementsAre(R"([["sent", null], null])", R"([["next", null], null])"));
}

}  // namespace
}  // namespace lovage
