// Attempts that end after the broker has taken their message back.

#include <lovage/worker/settler.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

/// A consumer of which the test says whether it still holds what it delivered.
class FakeConsumer final : public Consumer {
public:
    Awaitable<Result<std::vector<Delivery>>> receive(Deadline) override {
        co_return fail(Errc::cancelled, "not in this test");
    }
    void ack(DeliveryTag) override { ++(held ? acks : stale); }
    void reject(DeliveryTag, Requeue) override { ++(held ? rejects : stale); }
    Awaitable<Result<void>> flush(Deadline) override { co_return Result<void>{}; }
    void set_prefetch(std::uint32_t) override {}
    Awaitable<Result<void>> add_queue(std::string, Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<void>> cancel_queue(std::string, Deadline) override {
        co_return Result<void>{};
    }
    Awaitable<Result<void>> cancel(Deadline) override { co_return Result<void>{}; }
    Awaitable<Result<void>> close(Deadline) override { co_return Result<void>{}; }
    [[nodiscard]] std::size_t unsettled() const noexcept override { return 0; }

    bool held = true;
    int acks = 0;
    int rejects = 0;
    int stale = 0;
};

std::atomic<int> stores_refused{0};

/// A result backend that is away.
class AwayResults final : public ResultBackend {
public:
    Awaitable<Result<void>> connect(Deadline) override { co_return Result<void>{}; }
    Awaitable<void> close(Deadline) override { co_return; }
    Awaitable<Result<StoreOutcome>> store(TaskMeta, Deadline) override {
        ++stores_refused;
        co_return away();
    }
    Awaitable<Result<std::optional<TaskMeta>>> get(std::string, Deadline) override {
        co_return away();
    }
    Awaitable<Result<TaskMeta>> wait(std::string, Deadline) override { co_return away(); }
    Awaitable<Result<void>> forget(std::string, Deadline) override { co_return away(); }
    Awaitable<Result<void>> mark_sent(std::string, Deadline) override { co_return away(); }
    Awaitable<Result<bool>> is_known(std::string, Deadline) override { co_return away(); }
    Awaitable<Result<void>> ping(Deadline) override { co_return away(); }
    [[nodiscard]] std::string display_url() const override { return "away://"; }

private:
    static std::unexpected<Error> away() { return fail(Errc::disconnected, "it is away"); }
};

class SettlerTest : public testing::Test {
protected:
    void start(Settings settings) {
        app_ = std::make_unique<App>("test", std::move(settings));
        definition_ = make_task_definition("task", [] {});
        core().loop().run_blocking(connect(app_->core()));
        core().loop().call([&] {
            metrics_ = std::make_unique<TaskMetrics>(registry_);
            settler_ = std::make_unique<Settler>(
                core(), *metrics_, "w@test",
                Settler::Hooks{[this] { return &consumer_; },
                               [this](DeliveryTag) { return consumer_.held; },
                               [this](const auto&, const TaskOutcome*, auto) { ++settled_; }});
        });
    }
    void TearDown() override {
        const auto end = [](Settler* settler) -> Awaitable<void> {
            settler->give_up();
            (void)co_await settler->join(Deadline::in(kLong));
        };
        core().loop().run_blocking(end(settler_.get()));
        core().loop().call([&] { settler_.reset(); });
    }
    static Awaitable<void> connect(std::shared_ptr<AppCore> core) {
        (void)co_await core->connect(Deadline::in(kLong));
        (void)co_await core->broker().declare_queue({.name = "celery"}, Deadline::in(kLong));
    }
    AppCore& core() { return *app_->core(); }

    std::shared_ptr<TaskRequest> request() {
        auto request = std::make_shared<TaskRequest>();
        request->message.id = "id-1";
        request->message.task = "task";
        request->message.args = Json::raw("[]");
        request->message.kwargs = Json::raw("{}");
        request->definition = &definition_;
        request->delivery.queue = "celery";
        request->delivery.message = encode_task_message(request->message);
        request->context = std::make_shared<TaskContext>(
            TaskContext::Request{.id = "id-1", .task = "task", .hostname = "w@test"});
        return request;
    }
    void finish(std::shared_ptr<TaskRequest> request, TaskOutcome outcome) {
        core().loop().call([&] {
            std::vector<FinishedTask> finished;
            finished.push_back({std::move(request), std::move(outcome)});
            settler_->tasks_finished(std::move(finished));
        });
    }
    static TaskOutcome ended(Ending ending) {
        TaskOutcome outcome;
        outcome.ending = ending;
        outcome.reason = "because";
        return outcome;
    }
    /// Yields until the loop says so; kLong bounds it.
    bool becomes(const std::function<bool()>& condition) {
        const Deadline deadline = Deadline::in(kLong);
        bool so = false;
        while (!so && !deadline.passed()) {
            core().loop().call([&] { so = condition(); });
            std::this_thread::yield();
        }
        return so;
    }
    bool nothing_pending() {
        return becomes([this] { return settler_->pending() == 0; });
    }

    TaskDefinition definition_;
    metrics::Registry registry_;
    FakeConsumer consumer_;
    int settled_ = 0;
    std::unique_ptr<App> app_;
    std::unique_ptr<TaskMetrics> metrics_;
    std::unique_ptr<Settler> settler_;
};

TEST_F(SettlerTest, ARetryOfAMessageThatComesAgainIsNotSent) {
    start(memory_settings());
    consumer_.held = false;
    finish(request(), ended(Ending::retry));
    EXPECT_TRUE(nothing_pending());
    EXPECT_EQ(status_of(*app_, "celery").ready, 0U) << "one message must not become two";
    EXPECT_EQ(consumer_.stale, 1);
    EXPECT_EQ(settled_, 1);
}

TEST_F(SettlerTest, ARetryIsSentWhenItsMessageIsHeldOrWasAcknowledgedAtTheStart) {
    start(memory_settings());
    finish(request(), ended(Ending::retry));
    EXPECT_TRUE(nothing_pending());
    EXPECT_EQ(consumer_.acks, 1);
    consumer_.held = false;
    auto early = request();
    early->acknowledge.acks_late = false;
    finish(std::move(early), ended(Ending::retry));
    EXPECT_TRUE(nothing_pending());
    EXPECT_EQ(status_of(*app_, "celery").ready, 2U);
}

TEST_F(SettlerTest, WhatComesAgainIsNeitherKeptInQuarantineNorSentAfterACrash) {
    start(memory_settings());
    consumer_.held = false;
    finish(request(), ended(Ending::rejected));
    finish(request(), ended(Ending::slot_lost));
    core().loop().call([&] {
        Delivery delivery;
        delivery.queue = "celery";
        settler_->quarantine(std::move(delivery), "undecodable", "no", std::nullopt, "", {});
    });
    EXPECT_TRUE(nothing_pending());
    EXPECT_EQ(status_of(*app_, "celery").ready, 0U);
    EXPECT_EQ(status_of(*app_, "celery.quarantine").ready, 0U);
    EXPECT_EQ(settled_, 3);
}

TEST_F(SettlerTest, AResultIsHeldForAnAbsentBackendOnlyAsLongAsItsMessage) {
    Settings settings = memory_settings();
    register_result_driver(
        "away", {[](Executor, const std::string&, const Settings&) {
                     return std::unique_ptr<ResultBackend>{std::make_unique<AwayResults>()};
                 },
                 [](Executor executor, const std::string& url, const Settings&) {
                     return make_memory_state_store(std::move(executor), url);
                 }});
    settings.result_backend = "away://nowhere";
    start(std::move(settings));
    for (int generation = 0; generation < 3; ++generation) {
        consumer_.held = true;
        const int before = stores_refused;
        for (int i = 0; i < 4; ++i) finish(request(), ended(Ending::succeeded));
        // Each is tried more than once while its message is held.
        EXPECT_TRUE(becomes([&] { return stores_refused > before + 8; }));
        core().loop().call([&] {
            EXPECT_EQ(settler_->pending(), 4U);
            consumer_.held = false;  // the connection was lost
        });
        EXPECT_TRUE(nothing_pending());
    }
    EXPECT_EQ(consumer_.acks, 0);
}

}  // namespace
}  // namespace lovage
