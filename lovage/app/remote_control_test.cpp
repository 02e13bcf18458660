// Remote control over the broker in memory; nodes that answer are fakes.
#include <lovage/app/remote_control.hpp>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/fake_node.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr auto kLong = 60s;  // a bound for what must end before

std::vector<Json> pong(const ControlRequest& /*request*/) {
    return {Json::object({{"ok", "pong"}})};
}
std::vector<Json> silence(const ControlRequest& /*request*/) {
    return {};
}

std::vector<std::string> queues_of(App& app) {
    const auto list = [](std::shared_ptr<AppCore> core) -> Awaitable<std::vector<std::string>> {
        co_return value_or_throw(co_await core->broker().list_queues(Deadline::in(5s)));
    };
    return app.core()->loop().run_blocking(list(app.core()));
}

TEST(RemoteControl, GathersTheRepliesOfAllNodes) {
    App app{"test", memory_settings()};
    const FakeNode one{app, "one@h", pong};
    const FakeNode two{app, "two@h", pong};
    const NodeReplies replies =
        app.control().broadcast(control::ping(), {.timeout = kLong, .limit = 2});
    EXPECT_THAT(replies, ElementsAre(Pair("one@h", Json::object({{"ok", "pong"}})),
                                     Pair("two@h", Json::object({{"ok", "pong"}}))));
}

TEST(RemoteControl, AsksAsCeleryAsks) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "one@h", pong};
    (void)app.control().broadcast(control::rate_limit("add", "5/m"),
                                  {.destination = {"one@h"}, .timeout = kLong});
    ASSERT_EQ(node.requests().size(), 1U);
    const ControlRequest request = node.requests().front();
    EXPECT_EQ(request.method, "rate_limit");
    EXPECT_EQ(to_json_text(request.arguments), R"({"task_name": "add", "rate_limit": "5/m"})");
    EXPECT_THAT(request.destination, ElementsAre("one@h"));
    ASSERT_TRUE(request.reply_to);
    EXPECT_EQ(request.reply_to->exchange, "reply.celery.pidbox");
    EXPECT_TRUE(request.ticket);
    EXPECT_GT(request.expires, 0);
    EXPECT_GT(app.core()->clock().now(), request.clock) << "the replies moved it";
}

TEST(RemoteControl, EndsWhenEveryDestinationHasAnswered) {
    App app{"test", memory_settings()};
    const FakeNode one{app, "one@h", pong};
    const FakeNode two{app, "two@h", pong};
    const NodeReplies replies =
        app.control().broadcast(control::ping(), {.destination = {"two@h"}, .timeout = kLong});
    EXPECT_THAT(replies, ElementsAre(Key("two@h")));
    EXPECT_THAT(one.requests(), IsEmpty());
}

TEST(RemoteControl, AddressesNodesByPattern) {
    App app{"test", memory_settings()};
    const FakeNode mail{app, "mail1@h", pong};
    const FakeNode web{app, "web1@h", pong};
    const RemoteControl control = app.control();
    EXPECT_THAT(
        control.broadcast(control::ping(), {.pattern = "mail*", .timeout = kLong, .limit = 1}),
        ElementsAre(Key("mail1@h")));
    EXPECT_THAT(
        control.broadcast(
            control::ping(),
            {.pattern = "w.b\\d@h", .matcher = NodeMatcher::pcre, .timeout = kLong, .limit = 1}),
        ElementsAre(Key("web1@h")));
}

TEST(RemoteControl, WaitsNoLongerThanItsTimeoutForTheSilent) {
    App app{"test", memory_settings()};
    const FakeNode talks{app, "talks@h", pong};
    const FakeNode silent{app, "silent@h", silence};
    EXPECT_THAT(app.control().broadcast(control::ping(), {.timeout = 50ms}),
                ElementsAre(Key("talks@h")));
}

TEST(RemoteControl, WaitsForNobodyWhereNobodyListens) {
    App app{"test", memory_settings()};
    EXPECT_THAT(app.control().broadcast(control::ping(), {.timeout = kLong}), IsEmpty());
}

TEST(RemoteControl, WaitsForNobodyWhoShallNotAnswer) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "one@h", pong};
    EXPECT_THAT(app.control().broadcast(control::shutdown(), {.timeout = kLong, .reply = false}),
                IsEmpty());
    // What comes behind it in the mailbox is answered, so it has arrived.
    (void)app.control().broadcast(control::ping(), {.timeout = kLong, .limit = 1});
    ASSERT_EQ(node.requests().size(), 2U);
    EXPECT_EQ(node.requests().front().method, "shutdown");
    EXPECT_FALSE(node.requests().front().reply_to);
}

TEST(RemoteControl, KeepsOneQueueForTheRepliesOfAllCalls) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "one@h", pong};
    const auto ask = [&] {
        return app.control().broadcast(control::ping(), {.timeout = kLong, .limit = 1});
    };
    EXPECT_THAT(ask(), SizeIs(1));
    const std::vector<std::string> queues = queues_of(app);
    EXPECT_THAT(queues, SizeIs(2));
    EXPECT_THAT(ask(), SizeIs(1));
    EXPECT_EQ(queues_of(app), queues);
}

/// Notes by when its consumers shall be closed.
class NotesItsDeadlines final : public WrappedBroker {
public:
    NotesItsDeadlines(std::unique_ptr<Broker> inner, std::vector<Deadline>& closed)
        : WrappedBroker{std::move(inner)}, closed_{closed} {}

    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        auto made = co_await WrappedBroker::consume(std::move(options), deadline);
        if (!made) co_return made;
        co_return std::make_unique<Consuming>(std::move(*made), closed_);
    }

private:
    class Consuming final : public WrappedConsumer {
    public:
        Consuming(std::unique_ptr<Consumer> inner, std::vector<Deadline>& closed)
            : WrappedConsumer{std::move(inner)}, closed_{closed} {}
        Awaitable<Result<void>> close(Deadline deadline) override {
            closed_.push_back(deadline);
            return WrappedConsumer::close(deadline);
        }

    private:
        std::vector<Deadline>& closed_;
    };

    std::vector<Deadline>& closed_;
};

TEST(RemoteControl, TakesNoLongerToCloseThanItsAppIsGiven) {
    Settings settings = memory_settings();
    settings.broker_url.replace(0, std::string{"memory"}.size(), "noted");
    std::vector<Deadline> closed;
    register_broker_driver("noted",
                           {[&closed](Executor executor, const std::string& url, const Settings&) {
                               return std::make_unique<NotesItsDeadlines>(
                                   make_memory_broker(std::move(executor), url), closed);
                           }});
    {
        App app{"test", settings};
        {
            const FakeNode node{app, "one@h", pong};
            EXPECT_THAT(app.control().broadcast(control::ping(), {.timeout = kLong, .limit = 1}),
                        SizeIs(1));
        }
        closed.clear();  // the node's
        const Deadline given = Deadline::in(1ms);
        const std::shared_ptr<AppCore> core = app.core();
        core->loop().run_blocking(core->close(given));
        ASSERT_THAT(closed, SizeIs(1));
        EXPECT_LE(closed.front().time(), given.time());
    }
}

TEST(RemoteControl, AnswersEachOfSeveralCallersAtOnce) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "one@h", [](const ControlRequest& request) {
                            return std::vector{*request.arguments.find("n")};
                        }};
    std::vector<std::future<NodeReplies>> callers;
    for (const int n : {1, 2, 3}) {
        callers.push_back(std::async(std::launch::async, [&app, n] {
            return app.control().broadcast({"count", Json::object({{"n", n}})},
                                           {.timeout = kLong, .limit = 1});
        }));
    }
    for (std::size_t i = 0; i < callers.size(); ++i) {
        EXPECT_THAT(callers[i].get(), ElementsAre(Pair("one@h", Json{i + 1})));
    }
}

TEST(ControlCommands, HaveCelerysArguments) {
    const auto text = [](const ControlCommand& command) {
        return command.method + ' ' + to_json_text(command.arguments);
    };
    EXPECT_EQ(text(control::inspect("active")), "active {}");
    EXPECT_EQ(text(control::registered()), R"(registered {"taskinfoitems": []})");
    EXPECT_EQ(text(control::query_task({"a", "b"})), R"(query_task {"ids": ["a", "b"]})");
    EXPECT_EQ(text(control::revoke({"a"}, {.terminate = true})),
              R"(revoke {"task_id": ["a"], "terminate": true, "signal": "SIGTERM"})");
    EXPECT_EQ(text(control::time_limit("add", 10s, std::nullopt)),
              R"(time_limit {"task_name": "add", "soft": 10.0, "hard": null})");
    EXPECT_EQ(text(control::autoscale(4, 1)), R"(autoscale {"max": 4, "min": 1})");
    EXPECT_EQ(text(control::pool_grow()), R"(pool_grow {"n": 1})");
    EXPECT_EQ(text(control::add_consumer("mail")), R"(add_consumer {"queue": "mail"})");
}

}  // namespace
}  // namespace lovage
