// A worker to which nothing comes although work waits, on a memory broker whose consumers can be
// deaf.

#include <lovage/worker/worker.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/metric_value.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

using testing::HasSubstr;

/// What the broker's consumers suffer from, and what the worker did about it.
struct Sickness {
    enum class Cure : std::uint8_t { none_needed, new_consumer, new_connection, nothing };
    std::atomic<Cure> cure{Cure::none_needed};
    std::atomic<int> consumers{0};
    std::atomic<int> connections{1};
    std::atomic<int> looks{0};
};
Sickness sickness;

/// A consumer whose broker forgets it: nothing is delivered, and nothing says so.
class DeafConsumer final : public WrappedConsumer {
public:
    using WrappedConsumer::WrappedConsumer;

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, deadline.time()};
        co_await timer.async_wait(boost::asio::use_awaitable);
        co_return fail(Errc::deadline_exceeded, "no message came in time");
    }
};

class SickBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        const bool first = sickness.consumers++ == 0;
        auto consumer = co_await inner().consume(std::move(options), deadline);
        if (!consumer || !deaf(first)) co_return consumer;
        co_return std::make_unique<DeafConsumer>(std::move(*consumer));
    }
    Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline deadline) override {
        ++sickness.looks;
        return inner().queue_status(std::move(queue), deadline);
    }
    Awaitable<Result<void>> renew(Deadline /*deadline*/) override {
        ++sickness.connections;
        co_return Result<void>{};
    }

private:
    static bool deaf(bool first) {
        switch (sickness.cure) {
            case Sickness::Cure::none_needed:
                return false;
            case Sickness::Cure::new_consumer:
                return first;
            case Sickness::Cure::new_connection:
                return sickness.connections == 1;
            case Sickness::Cure::nothing:
                break;
        }
        return true;
    }
};

/// The settings of an app on a sick broker whose worker loses its patience soon.
Settings sick_settings(Sickness::Cure cure) {
    sickness.cure = cure;
    sickness.consumers = 0;
    sickness.connections = 1;
    sickness.looks = 0;
    Settings settings = memory_settings();
    register_broker_driver(
        "sick", {[](Executor executor, const std::string& url, const Settings&) {
            return std::make_unique<SickBroker>(make_memory_broker(std::move(executor), url));
        }});
    settings.broker_url.replace(0, settings.broker_url.find(':'), "sick");
    settings.worker_progress_timeout = 100ms;
    settings.worker_enable_remote_control = false;  // its consumer is not to be counted
    return settings;
}

double repairs(const std::string& stage) {
    return metric_value("lovage_worker_repairs_total{stage=\"" + stage + "\"}").value();
}
double cures(const std::string& stage) {
    return metric_value("lovage_worker_repairs_cured_total{stage=\"" + stage + "\"}").value();
}

TEST(WorkerProgress, ADeafConsumerIsReplaced) {
    App app{"test", sick_settings(Sickness::Cure::new_consumer)};
    auto task = app.task("task", [] { return 7; });
    RunningWorker worker{app};
    const double before = repairs("consumer");
    const double cured = cures("consumer");
    EXPECT_EQ(task.delay().get(kLong), 7);
    EXPECT_EQ(repairs("consumer"), before + 1);
    wait_for([&] { return cures("consumer") == cured + 1; });
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(sickness.consumers, 2);
    EXPECT_EQ(sickness.connections, 1);
}

TEST(WorkerProgress, ThenItsConnectionIs) {
    App app{"test", sick_settings(Sickness::Cure::new_connection)};
    auto task = app.task("task", [] { return 7; });
    RunningWorker worker{app};
    const double cured = cures("connection");
    EXPECT_EQ(task.delay().get(kLong), 7);
    wait_for([&] { return cures("connection") == cured + 1; });
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(sickness.connections, 2);
}

TEST(WorkerProgress, ThenTheWorkerEndsAndSaysWhy) {
    App app{"test", sick_settings(Sickness::Cure::nothing)};
    auto task = app.task("task", [] { return 7; });
    RunningWorker worker{app};
    const double before = repairs("exit");
    task.delay();
    const Result<void> end = worker.wait_stopped();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, Errc::unavailable);
    EXPECT_THAT(end.error().detail, HasSubstr("1 messages wait, slots are free"));
    EXPECT_THAT(end.error().detail, HasSubstr("worker_progress_timeout"));
    EXPECT_EQ(repairs("exit"), before + 1);
    EXPECT_EQ(status_of(app, "celery").ready, 1U);
}

TEST(WorkerProgress, CanBeSwitchedOff) {
    Settings settings = sick_settings(Sickness::Cure::nothing);
    settings.worker_progress_timeout = 0ms;
    App app{"test", std::move(settings)};
    auto task = app.task("task", [] { return 7; });
    RunningWorker worker{app};
    task.delay();
    EXPECT_THROW((void)task.delay().wait(500ms), LovageError);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(sickness.consumers, 1);
}

// What is no reason.

TEST(WorkerProgress, TasksThatWaitForTheirEtaAreNoReason) {
    App app{"test", sick_settings(Sickness::Cure::none_needed)};
    auto task = app.task("task", [] { return 7; });
    RunningWorker worker{app};
    const auto later = task.apply_async({}, {.countdown = 700ms});
    EXPECT_EQ(later.get(kLong), 7);
    EXPECT_TRUE(worker.stop());
    EXPECT_GT(sickness.looks, 0);
    EXPECT_EQ(sickness.consumers, 1);
}

TEST(WorkerProgress, ABusyWorkerWithWorkBehindItIsNoReason) {
    App app{"test", sick_settings(Sickness::Cure::none_needed)};
    auto task = app.task("task", [] { std::this_thread::sleep_for(20ms); });
    RunningWorker worker{app};
    std::vector<AsyncResult<void>> results;
    for (int i = 0; i < 40; ++i) results.push_back(task.delay());
    for (const auto& result : results) result.get(kLong);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(sickness.consumers, 1);
}

TEST(WorkerProgress, MessagesThatAnotherConsumerHoldsAreNoReason) {
    App app{"test", sick_settings(Sickness::Cure::none_needed)};
    std::latch entered{1};
    std::latch leave{1};
    auto hold = app.task("hold", [&] {
        entered.count_down();
        leave.wait();
    });
    RunningWorker busy{app};
    const auto held = hold.delay();
    entered.wait();
    RunningWorker idle{app};
    wait_for([] { return sickness.looks > 20; });
    leave.count_down();
    held.get(kLong);
    EXPECT_TRUE(busy.stop());
    EXPECT_TRUE(idle.stop());
    EXPECT_EQ(sickness.consumers, 2);
}

}  // namespace
}  // namespace lovage
