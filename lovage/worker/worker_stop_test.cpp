// A worker that is asked to stop while something else does not go as it should.

#include <lovage/worker/worker.hpp>

#include <lovage/runtime/notifier.hpp>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include <tests/support/busy_loop.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

TEST(WorkerStop, AReadyHookThatDoesNotReturnIsLeftBehind) {
    // What the hook touches stays until the process ends.
    static std::binary_semaphore go{0};
    Settings settings = memory_settings();
    settings.worker_shutdown_timeout = 50ms;
    static App& app = *new App{"test", settings};
    app.on_worker_ready([](const std::string&) { go.acquire(); });
    auto task = app.task("task", [] { return 1; });
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().get(kLong), 1) << "tasks run meanwhile";
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(worker.worker().left_behind(), 1U);
    go.release();
}

TEST(WorkerStop, AHookMayThrowWhatItWants) {
    App app{"test", memory_settings()};
    std::promise<void> next;
    app.on_worker_ready([](const std::string&) { throw 42; })
        .on_worker_ready([&](const std::string&) { next.set_value(); });
    RunningWorker worker{app};
    next.get_future().get();
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(worker.worker().left_behind(), 0U);
}

/// Keeps whoever declares a queue waiting while `shut`.
struct Gate {
    std::atomic<bool> shut{false};
    std::atomic<int> waiting{0};
    std::unique_ptr<Notifier> opened;
};
Gate gate;

/// A memory broker that can be away.
class AwayBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) override {
        ++gate.waiting;
        while (gate.shut) co_await gate.opened->wait();
        --gate.waiting;
        (void)co_await inner().connect(deadline);
        co_return co_await inner().declare_queue(std::move(queue), deadline);
    }
};

TEST(WorkerStop, WhileTheBrokerIsAwayNothingIsConsumedWhenItIsBack) {
    Settings settings = memory_settings();
    register_broker_driver("away", {[](Executor executor, const std::string& url, const Settings&) {
                               gate.opened = std::make_unique<Notifier>(executor);
                               return std::unique_ptr<Broker>{std::make_unique<AwayBroker>(
                                   make_memory_broker(std::move(executor), url))};
                           }});
    settings.broker_url = "away" + settings.broker_url.substr(std::string{"memory"}.size());
    App app{"test", settings};
    std::latch started{1};
    std::binary_semaphore go{0};
    auto task = app.task("task", [&] {
        started.count_down();
        go.acquire();
    });
    RunningWorker worker{app};
    task.delay();
    started.wait();
    Loop& loop = app.core()->loop();
    gate.shut = true;
    loop.run_blocking(app.core()->broker().close(Deadline::in(kLong)));
    while (gate.waiting == 0) std::this_thread::yield();

    worker.request_stop();
    loop.call([] {
        gate.shut = false;
        gate.opened->notify_all();
    });
    while (gate.waiting != 0) std::this_thread::yield();
    // Whatever the worker still asks the broker for takes these few turns of the loop at most.
    for (int turn = 0; turn < 50; ++turn) loop.call([] {});
    EXPECT_EQ(status_of(app, "celery").consumers, 0U);
    go.release();
    EXPECT_TRUE(worker.wait_stopped());
}

TEST(WorkerStop, ThatIsAskedForAfterTheEndKeepsNeitherWorkerNorApp) {
    auto app = std::make_unique<App>("test", memory_settings());
    std::optional<RunningWorker> worker{std::in_place, *app};
    EXPECT_TRUE(worker->stop());
    busy_loop(app->core()->loop());
    worker->request_stop();
    const std::weak_ptr<AppCore> core = app->core();
    worker.reset();
    app.reset();
    EXPECT_TRUE(core.expired()) << "the last reference would go on the app's own loop";
}

TEST(WorkerRequeue, AQuorumQueuesMessageIsSentAnewRatherThanGivenBackAgainAndAgain) {
    Settings settings = memory_settings();
    settings.delivery = DeliveryProfile::quorum;
    App app{"test", settings};
    std::atomic<int> runs{0};
    std::atomic<int> given_back{0};
    auto task = app.task("task", [&](TaskContext& context) {
        if (context.request().redelivered) ++given_back;
        if (++runs < 5) throw Reject{.reason = "later", .requeue = true};
        return 1;
    });
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().get(kLong), 1);
    EXPECT_EQ(runs, 5);
    EXPECT_EQ(given_back, 2) << "every second time it is a new message";
}

}  // namespace
}  // namespace lovage
