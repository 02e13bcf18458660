// A worker whose consumer is lost, and remote control meanwhile, on a memory broker that can be
// held back.

#include <lovage/worker/worker.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

/// How often the worker opened a consumer, and how many of the former ones lived on then.
struct Lives {
    std::atomic<int> alive{0};
    std::atomic<int> opened{0};
    std::atomic<int> alive_at_reopening{0};
};
Lives lives;

/// A worker's consumer; the first one's first receive() loses it.
class MortalConsumer final : public WrappedConsumer {
public:
    MortalConsumer(std::unique_ptr<Consumer> inner, bool dies)
        : WrappedConsumer{std::move(inner)}, dies_{dies} {
        ++lives.alive;
    }
    ~MortalConsumer() override { --lives.alive; }

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        if (dies_) co_return fail(Errc::disconnected, "lost");
        co_return co_await WrappedConsumer::receive(deadline);
    }

private:
    const bool dies_;
};

class MortalBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        const bool first = lives.opened++ == 0;
        if (!first) lives.alive_at_reopening = lives.alive.load();
        auto consumer = co_await inner().consume(std::move(options), deadline);
        if (!consumer) co_return consumer;
        co_return std::make_unique<MortalConsumer>(std::move(*consumer), first);
    }
};

Settings mortal_settings() {
    lives.opened = 0;
    Settings settings = memory_settings();
    register_broker_driver(
        "mortal", {[](Executor executor, const std::string& url, const Settings&) {
            return std::make_unique<MortalBroker>(make_memory_broker(std::move(executor), url));
        }});
    settings.broker_url.replace(0, settings.broker_url.find(':'), "mortal");
    settings.worker_enable_remote_control = false;  // its consumer is not to be counted
    return settings;
}

TEST(WorkerConsume, LetsALostConsumerGoBeforeItOpensAnother) {
    App app{"test", mortal_settings()};
    auto answer = app.task("answer", [] { return 42; });
    RunningWorker worker{app};
    EXPECT_EQ(answer.delay().get(kLong), 42);
    EXPECT_EQ(lives.opened, 2);
    EXPECT_EQ(lives.alive_at_reopening, 0);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(lives.alive, 0);
}

}  // namespace
}  // namespace lovage
