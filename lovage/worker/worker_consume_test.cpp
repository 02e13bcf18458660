// A worker whose consumer is lost, and remote control meanwhile, on a memory broker that can be
// held back.

#include <lovage/worker/worker.hpp>

#include <lovage/app/remote_control.hpp>
#include <lovage/runtime/notifier.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

/// What the broker does to the worker, whose first consumer is lost, and what it saw.
struct Fate {
    enum class Step : std::uint8_t { none, declaring, consumed };
    std::atomic<Errc> loss{Errc::disconnected};
    std::atomic<Step> held_at{Step::none};  // in reopening
    std::atomic<bool> reached{false};       // that step
    std::atomic<int> alive{0};              // consumers
    std::atomic<int> opened{0};
    std::atomic<int> alive_at_reopening{0};
};
Fate fate;

class MortalConsumer final : public WrappedConsumer {
public:
    MortalConsumer(std::unique_ptr<Consumer> inner, bool dies)
        : WrappedConsumer{std::move(inner)}, dies_{dies} {
        ++fate.alive;
    }
    ~MortalConsumer() override { --fate.alive; }

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        if (std::exchange(dies_, false)) co_return fail(fate.loss.load(), "lost");
        co_return co_await WrappedConsumer::receive(deadline);
    }

private:
    bool dies_;
};

class MortalBroker final : public WrappedBroker {
public:
    MortalBroker(Executor executor, const std::string& url)
        : WrappedBroker{make_memory_broker(executor, url)}, let_go_{std::move(executor)} {
        current = this;
    }

    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) override {
        if (queue.name == "celery" && fate.opened == 1) co_await hold(Fate::Step::declaring);
        co_return co_await inner().declare_queue(std::move(queue), deadline);
    }
    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        const bool of_tasks = options.tag == "w@test";
        const bool first = of_tasks && fate.opened++ == 0;
        if (of_tasks && !first) fate.alive_at_reopening = fate.alive.load();
        auto consumer = co_await inner().consume(std::move(options), deadline);
        if (!of_tasks || !consumer) co_return consumer;
        if (!first) co_await hold(Fate::Step::consumed);
        co_return std::make_unique<MortalConsumer>(std::move(*consumer), first);
    }

    /// On the loop.
    static Awaitable<void> let_go() {
        fate.held_at = Fate::Step::none;
        current->let_go_.notify_all();
        co_return;
    }

private:
    Awaitable<void> hold(Fate::Step step) {
        while (fate.held_at == step) {
            fate.reached = true;
            co_await let_go_.wait();
        }
    }

    static inline MortalBroker* current = nullptr;  // the one made last
    Notifier let_go_;
};

Settings mortal_settings(Errc loss, Fate::Step held_at) {
    fate.loss = loss;
    fate.held_at = held_at;
    fate.reached = false;
    fate.opened = 0;
    Settings settings = memory_settings();
    register_broker_driver("mortal",
                           {[](Executor executor, const std::string& url, const Settings&) {
                               return std::make_unique<MortalBroker>(std::move(executor), url);
                           }});
    settings.broker_url.replace(0, settings.broker_url.find(':'), "mortal");
    return settings;
}

void command(App& app, ControlCommand what) {
    const NodeReplies replies =
        app.control().broadcast(std::move(what), {.timeout = kLong, .limit = 1});
    ASSERT_EQ(replies.size(), 1U);
    EXPECT_NE(replies.begin()->second.find("ok"), nullptr);
}

TEST(WorkerConsume, LetsALostConsumerGoBeforeItOpensAnother) {
    App app{"test", mortal_settings(Errc::disconnected, Fate::Step::none)};
    auto answer = app.task("answer", [] { return 42; });
    RunningWorker worker{app};
    EXPECT_EQ(answer.delay().get(kLong), 42);
    EXPECT_EQ(fate.opened, 2);
    EXPECT_EQ(fate.alive_at_reopening, 0);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(fate.alive, 0);
}

TEST(WorkerConsume, FollowsQueuesThatChangeWhileAConsumerIsOpened) {
    App app{"test", mortal_settings(Errc::disconnected, Fate::Step::consumed)};
    RunningWorker worker{app};
    wait_for([] { return fate.reached.load(); });
    command(app, control::add_consumer("extra"));
    command(app, control::cancel_consumer("celery"));

    app.core()->loop().run_blocking(MortalBroker::let_go());
    wait_for([&] { return status_of(app, "extra").consumers == 1; });
    wait_for([&] { return status_of(app, "celery").consumers == 0; });
}

TEST(WorkerConsume, DoesNotTakeUpAgainAQueueThatIsCancelledWhileItIsDeclared) {
    App app{"test", mortal_settings(Errc::not_found, Fate::Step::declaring)};
    auto answer = app.task("answer", [] { return 42; });
    RunningWorker worker{app};
    wait_for([] { return fate.reached.load(); });
    command(app, control::cancel_consumer("celery"));

    app.core()->loop().run_blocking(MortalBroker::let_go());
    command(app, control::add_consumer("extra"));
    EXPECT_EQ(answer.apply_async({}, {.queue = "extra"}).get(kLong), 42);
    EXPECT_EQ(status_of(app, "celery").consumers, 0U);
}

}  // namespace
}  // namespace lovage
