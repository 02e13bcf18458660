// What the README of this folder promises beyond answers: the mailbox during a warm shutdown, an
// answer that is too large, a task that asks; and what the start of a worker costs others.

#include <lovage/worker/control/mailbox.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Pair;

NodeReplies ask_one(const App& app, ControlCommand command) {
    return app.control().broadcast(std::move(command), {.timeout = kLong, .limit = 1});
}

const Json kPong = Json::object({{"ok", "pong"}});

TEST(MailboxPromises, AWarmShutdownIsAnsweredThroughout) {
    const Settings settings = memory_settings();
    App app{"test", settings};
    std::binary_semaphore begun{0};
    std::binary_semaphore go_on{0};
    auto hold = app.task("hold", [&] {
        begun.release();
        go_on.acquire();
    });
    RunningWorker worker{app};
    const auto held = hold.delay();
    begun.acquire();
    worker.request_stop();
    wait_for([&] { return worker.status().stopping; });
    const App asking{"asking", settings};
    EXPECT_THAT(ask_one(asking, control::ping()), ElementsAre(Pair("w@test", kPong)));
    const NodeReplies active = ask_one(asking, control::inspect("active"));
    ASSERT_THAT(active, ElementsAre(Key("w@test")));
    EXPECT_EQ(*active.begin()->second.as_array().at(0).find("id"), Json{held.id()});
    go_on.release();
    EXPECT_TRUE(worker.wait_stopped());
    EXPECT_THAT(ask_one(asking, control::ping()), IsEmpty());
}

TEST(MailboxPromises, AnAnswerOfMoreThan15MebibytesIsAnError) {
    const Settings settings = memory_settings();
    App app{"test", settings};
    std::counting_semaphore<> begun{0};
    std::counting_semaphore<> go_on{0};
    auto hold = app.task(
        "hold",
        [&](const std::string& text) {
            begun.release();
            go_on.acquire();
            return text.size();
        },
        arg("text"));
    RunningWorker worker{app, 2};
    const std::string large(std::size_t{8} << 20U, 'x');
    const auto first = hold.delay(large);
    const auto second = hold.delay(large);
    begun.acquire();
    begun.acquire();
    const App asking{"asking", settings};
    EXPECT_THAT(
        ask_one(asking, control::inspect("active")),
        ElementsAre(Pair("w@test", Json::object({{"error", "the answer is larger than 15 MiB"}}))));
    EXPECT_THAT(ask_one(asking, control::ping()), ElementsAre(Pair("w@test", kPong)));
    go_on.release(2);
    EXPECT_EQ(first.get(kLong), large.size());
    EXPECT_EQ(second.get(kLong), large.size());
}

TEST(MailboxPromises, ATaskOnAThreadMayAskItsOwnWorker) {
    App app{"test", memory_settings()};
    auto curious = app.task("curious", [&app] {
        const NodeReplies replies = ask_one(app, control::inspect("active"));
        return replies.at("w@test").as_array().size();
    });
    RunningWorker worker{app};
    EXPECT_EQ(curious.delay().get(kLong), 1U);
}

/// What workers ask of the broker, by the operation's name, and publish, by exchange.
struct Asked {
    std::mutex mutex;
    std::map<std::string, int> count;
    void note(const std::string& what) {
        const std::lock_guard lock{mutex};
        ++count[what];
    }
    std::map<std::string, int> take() {
        const std::lock_guard lock{mutex};
        return std::exchange(count, {});
    }
};
Asked asked;

class CountingBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) override {
        asked.note("declare");
        return WrappedBroker::declare_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange,
                                             Deadline deadline) override {
        asked.note("declare");
        return WrappedBroker::declare_exchange(std::move(exchange), deadline);
    }
    Awaitable<Result<void>> bind(Binding binding, Deadline deadline) override {
        asked.note("declare");
        return WrappedBroker::bind(std::move(binding), deadline);
    }
    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        asked.note("consume");
        return WrappedBroker::consume(std::move(options), deadline);
    }
    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        asked.note("publish to " + publication.exchange + " " + publication.routing_key);
        return WrappedBroker::publish(std::move(publication), deadline);
    }
};

/// So that 500 workers start without a storm: what one of them asks for does not depend on how many
/// there are, and it asks the others nothing (Celery's mingle does, and all of them answer).
TEST(MailboxPromises, AStartCostsTheSameHoweverManyWorkersThereAre) {
    Settings settings = memory_settings();
    register_broker_driver(
        "counted", {[](Executor executor, const std::string& url, const Settings&) {
            return std::make_unique<CountingBroker>(make_memory_broker(std::move(executor), url));
        }});
    settings.broker_url.replace(0, settings.broker_url.find(':'), "counted");
    std::vector<std::unique_ptr<App>> apps;
    std::vector<std::unique_ptr<RunningWorker>> workers;
    std::vector<std::map<std::string, int>> costs;
    for (int i = 0; i < 30; ++i) {
        apps.push_back(std::make_unique<App>("test", settings));
        asked.take();
        workers.push_back(
            std::make_unique<RunningWorker>(*apps.back(), 1, "w" + std::to_string(i) + "@test"));
        // Its last word at the start; others beat meanwhile.
        std::map<std::string, int> cost;
        wait_for([&] {
            for (const auto& [what, count] : asked.take()) cost[what] += count;
            return cost.contains("publish to celeryev worker.online");
        });
        cost.erase("publish to celeryev worker.heartbeat");
        costs.push_back(std::move(cost));
    }
    for (const auto& cost : costs) EXPECT_EQ(cost, costs.front());
    for (const auto& [what, count] : costs.front()) {
        EXPECT_THAT(what,
                    testing::AnyOf("declare", "consume", "publish to celeryev worker.online"));
    }
    EXPECT_LE(costs.front().at("declare"), 10);
    EXPECT_EQ(costs.front().at("consume"), 2);  // tasks, and commands
    for (const auto& worker : workers) worker->request_stop();
    for (const auto& worker : workers) EXPECT_TRUE(worker->wait_stopped());
}

}  // namespace
}  // namespace lovage
