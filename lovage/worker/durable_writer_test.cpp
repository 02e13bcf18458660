#include <lovage/worker/durable_writer.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/worker/quarantine.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

/// Refuses this many of the next publishes to a queue whose name ends with `suffix`.
struct Refusals {
    std::atomic<int> left{0};
    std::string suffix;
};
Refusals refusals;

/// A memory broker that refuses what `refusals` says, as a server that is out of sorts does.
class RefusingBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        if (publication.routing_key.ends_with(refusals.suffix) && refusals.left > 0) {
            --refusals.left;
            co_return fail(Errc::rejected, "not now");
        }
        co_return co_await inner().publish(std::move(publication), deadline);
    }
};

/// memory_settings() with a RefusingBroker.
Settings refusing_settings(int refused, std::string suffix) {
    Settings settings = memory_settings();
    register_broker_driver(
        "refusing", {[](Executor executor, const std::string& url, const Settings&) {
            return std::unique_ptr<Broker>{
                std::make_unique<RefusingBroker>(make_memory_broker(std::move(executor), url))};
        }});
    settings.broker_url = "refusing" + settings.broker_url.substr(std::string{"memory"}.size());
    refusals.left = refused;
    refusals.suffix = std::move(suffix);
    return settings;
}

TEST(DurableWriter, ARetryThatIsRefusedIsSentAgain) {
    App app{"test", refusing_settings(0, "celery")};
    auto task = app.task("task", [](TaskContext& context) {
        if (context.retries() > 0) return 1;
        refusals.left = 2;
        context.retry({.countdown = 0ms});
    });
    RunningWorker worker{app};
    EXPECT_EQ(task.delay().get(kLong), 1);
    EXPECT_EQ(refusals.left, 0);
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
}

TEST(DurableWriter, AMessageThatIsRefusedByQuarantineIsOfferedAgain) {
    App app{"test", refusing_settings(2, ".quarantine")};
    auto task = app.task("task", [] { throw Reject{.reason = "no"}; });
    RunningWorker worker{app};
    const auto result = task.delay();
    EXPECT_EQ(take_quarantined(app).properties.correlation_id, result.id());
    EXPECT_EQ(refusals.left, 0);
}

/// Takes the first message out of a queue.
Message take_from(App& app, const std::string& queue) {
    const auto receive = [](std::shared_ptr<AppCore> core, std::string from) -> Awaitable<Message> {
        const Deadline deadline = Deadline::in(kLong);
        auto consumer =
            value_or_throw(co_await core->broker().consume({{from}, 1, "test"}, deadline));
        auto deliveries = value_or_throw(co_await consumer->receive(deadline));
        Message message = std::move(deliveries.front().message);
        consumer->ack(deliveries.front().tag);
        (void)co_await consumer->close(deadline);
        co_return message;
    };
    return app.core()->loop().run_blocking(receive(app.core(), queue));
}

TEST(DurableWriter, AQueueWhoseQuarantineWouldHaveTooLongANameHasOneToo) {
    Settings settings = memory_settings();
    settings.task_default_queue = std::string(250, 'q');
    App app{"test", settings};
    RunningWorker worker{app};
    const auto result = app.send_task("nobody-knows-it");
    EXPECT_EQ(result.wait(kLong).status, "FAILURE");
    const std::string queue = quarantine_queue(settings.task_default_queue);
    EXPECT_EQ(queue.size(), 255U);
    const auto note = read_note(take_from(app, queue));
    ASSERT_TRUE(note);
    EXPECT_EQ(note->queue, settings.task_default_queue) << "where a replay sends it";
}

TEST(DurableWriter, AWorkerThatStopsLeavesWhatItCouldNotSendWithTheBroker) {
    Settings settings = refusing_settings(0, "celery");
    settings.worker_shutdown_timeout = 50ms;
    App app{"test", settings};
    auto task = app.task("task", [](TaskContext& context) {
        refusals.left = 1'000'000;
        context.retry({.countdown = 0ms});
    });
    RunningWorker worker{app};
    const auto result = task.delay();
    while (refusals.left == 0 || refusals.left == 1'000'000) std::this_thread::yield();
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 1U) << "the attempt is not acknowledged";
    refusals.left = 0;
}

}  // namespace
}  // namespace lovage
