// What can happen to a RabbitMQ, done to one of our own under load.
#include "own_rabbitmq.hpp"
#include "stack.hpp"

#include <lovage/app/app_core.hpp>
#include <tests/integration/http_client.hpp>
#include <tests/support/services.hpp>

#include <algorithm>
#include <memory>

#include <fmt/format.h>

namespace lovage::chaos {
namespace {

using integration::http_request;
using integration::HttpReply;
using testing::HasSubstr;
using testing_support::service_url;

Awaitable<Result<void>> delete_queue(std::shared_ptr<AppCore> core, std::string queue) {
    if (auto connected = co_await core->connect(soon()); !connected) co_return connected;
    co_return co_await core->broker().delete_queue(std::move(queue), soon());
}

/// One server for all tests, since it takes its time to start.
class RabbitMq : public Stack {
protected:
    static void SetUpTestSuite() {
        if (!server_) server_ = std::make_unique<OwnRabbitMq>("chaos-rabbitmq");
    }
    static void TearDownTestSuite() { server_.reset(); }

    RabbitMq() { use({.broker = server_->url(), .results = service_url("LOVAGE_TEST_REDIS_URL")}); }

    /// An operator deletes the queue under load, and the producer makes it again at once.
    /// `heard`: from when on the worker may know.
    void expect_recovery_from_deletion(Clock::time_point heard = Clock::time_point::min());

    /// For channels that are opened from now on: how long RabbitMQ waits for an ack; and for all,
    /// how often it looks. Its own are half an hour and a minute.
    static void set_consumer_timeout(std::chrono::milliseconds timeout,
                                     std::chrono::milliseconds tick);
    /// Sends one task of that length beside the load.
    [[nodiscard]] std::uint32_t send_one(std::chrono::milliseconds length);

    /// Until the load runs at its pace again, and everything holds.
    void expect_all_well(Clock::time_point fault, Clock::time_point back) {
        Stack::expect_all_well(fault, back);
        EXPECT_FALSE(server_->has_logged("unknown delivery tag")) << "a stale ack was sent";
    }

    /// SIGSTOP and SIGCONT under load; the time is longer than silence is endured.
    void expect_survival_of_a_stop(Clock::duration time) {
        start_load();
        const auto fault = Clock::now();
        server_->pause();
        EXPECT_TRUE(wait_for_log("worker", "the server sent nothing",
                                 Deadline::at(fault + kSilenceNoticed)));
        let_pass(fault + time - Clock::now());
        server_->resume();
        expect_all_well(fault, Clock::now());
    }
    /// Asks the API to send a task.
    [[nodiscard]] static HttpReply ask(std::uint16_t port) {
        return http_request(
            port, "POST", "/v1/celery-worker/integer-multiplication/async/?integer=21", "", soon());
    }

    [[nodiscard]] static Settings settings() {
        Settings of_server;
        of_server.broker_url = server_->url();
        of_server.result_backend = service_url("LOVAGE_TEST_REDIS_URL");
        return of_server;
    }
    [[nodiscard]] static std::string connections_of_server() {
        return server_->query("list_connections --quiet --no-table-headers pid");
    }

    inline static std::unique_ptr<OwnRabbitMq> server_;
};

TEST_F(RabbitMq, KilledAndStartedAgain) {
    start_load();
    const auto fault = Clock::now();
    server_->kill();
    server_->start();
    expect_all_well(fault, Clock::now());
}

TEST_F(RabbitMq, StoppedAndStartedByItsOperator) {
    start_load();
    const auto fault = Clock::now();
    server_->control("stop_app");
    server_->control("start_app");
    expect_all_well(fault, Clock::now());
}

TEST_F(RabbitMq, ConnectionsClosedByItsOperator) {
    start_load();
    const auto fault = Clock::now();
    server_->control("close_all_connections 'closed for a test'");
    EXPECT_TRUE(wait_for_log("worker", "closed for a test", soon()));
    expect_all_well(fault, Clock::now());
}

void RabbitMq::expect_recovery_from_deletion(Clock::time_point heard) {
    const App operating{"chaos-operator", settings()};
    const auto fault = Clock::now();
    ASSERT_TRUE(operating.core()->loop().run_blocking(delete_queue(operating.core(), "celery")));
    const auto deleted = Clock::now();
    heard = std::max(heard, deleted);
    let_pass(heard - deleted);
    note_fault(fault);
    expect_recovery(heard);
    // What was in it is gone, which is what its operator wanted; nothing else may be.
    expect_contract(deleted);
    EXPECT_THAT(log_of("worker"), HasSubstr("queue 'celery' was deleted"));
}

TEST_F(RabbitMq, QueueDeletedWhileItIsConsumed) {
    start_load();
    expect_recovery_from_deletion();
}

/// Where a channel hears late that its queue is gone, RabbitMQ would move the consumer to the new
/// queue of that name, and lose what that one delivers.
TEST_F(RabbitMq, QueueDeletedAndMadeAgainBeforeItsConsumerHears) {
    constexpr auto kDeaf = 3s;
    start_load();
    (void)server_->query(
        fmt::format("eval 'spawn(fun() -> "
                    "[erlang:suspend_process(proplists:get_value(channel_pid, Consumer)) || "
                    "Consumer <- rabbit_amqqueue:consumers_all(<<\"/\">>)], "
                    "timer:sleep({}) end).'",
                    kDeaf / 1ms));
    const auto deaf = Clock::now();
    expect_recovery_from_deletion(deaf + kDeaf);
}

void RabbitMq::set_consumer_timeout(std::chrono::milliseconds timeout,
                                    std::chrono::milliseconds tick) {
    (void)server_->query(
        fmt::format("eval 'application:set_env(rabbit, consumer_timeout, {}), "
                    "application:set_env(rabbit, channel_tick_interval, {}).'",
                    timeout.count(), tick.count()));
}

std::uint32_t RabbitMq::send_one(std::chrono::milliseconds length) {
    const App sender{"chaos-sender", settings()};
    const std::uint32_t task = ledger_.take_next().value();
    ledger_.note(TaskLedger::Event::sending, task);
    (void)sender.send_task("chaos.work", Json::array({task, length.count()}), Json::object(),
                           {.task_id = id_of(task)});
    ledger_.note(TaskLedger::Event::accepted, task);
    return task;
}

TEST_F(RabbitMq, ATaskOutlastsTheConsumerTimeout) {
    constexpr auto kTimeout = 5s;
    constexpr auto kTick = 1s;
    set_consumer_timeout(kTimeout, kTick);
    start_load();
    // The channel that follows the one the worker has now is patient, and the task ends at last.
    set_consumer_timeout(30min, kTick);
    const std::string connections = connections_of_server();
    const auto sent = Clock::now();
    const std::uint32_t task = send_one(kTimeout + 3s);
    EXPECT_TRUE(wait_for_log("worker", "A message was held for longer than the server allows",
                             Deadline::at(sent + kTimeout + 2 * kTick + kSlack)));
    const auto back = Clock::now();
    set_consumer_timeout(30min, 1min);
    // Its first attempt ends while the second runs, and acknowledges nothing.
    EXPECT_TRUE(ledger_.wait_until([&] { return ledger_.effects(task) == 2; }, soon()));
    EXPECT_EQ(ledger_.started(task), 2U);
    EXPECT_EQ(connections_of_server(), connections) << "more than the channel was lost";
    expect_all_well(sent + kTimeout, back);
}

/// An alarm as RabbitMQ raises it when it is short of something: who publishes is blocked, acks go
/// on.
class RabbitMqAlarm : public RabbitMq {
protected:
    void expect_only_publishers_blocked(const std::string& raise, const std::string& clear);
};

void RabbitMqAlarm::expect_only_publishers_blocked(const std::string& raise,
                                                   const std::string& clear) {
    // Long enough tasks for a backlog: acks must go on while nothing can be sent.
    start_worker();
    start_producer(kRate, 25ms);
    const std::uint16_t api = start_api();
    wait_for_progress(300);
    EXPECT_EQ(ask(api).status, 200);
    const auto fault = Clock::now();
    server_->control(raise);
    EXPECT_TRUE(wait_for_log("producer", "takes no messages", soon()));
    const auto alarm = Clock::now();
    // Everything that was accepted runs, is stored and acknowledged in spite of the alarm.
    EXPECT_TRUE(ledger_.wait_for_effects(Deadline::in(30s))) << "consumers stand still";
    const auto asked = Clock::now();
    const HttpReply refused = ask(api);
    EXPECT_EQ(refused.status, 503) << shown(refused);
    EXPECT_EQ(refused.fields.count("retry-after"), 1U);
    EXPECT_LE(Clock::now() - asked, kPublishTimeout + kSlack);
    const auto accepted_late = std::ranges::count_if(ledger_.trace(), [&](const auto& entry) {
        return entry.event == TaskLedger::Event::accepted && entry.time > alarm + 1s;
    });
    EXPECT_EQ(accepted_late, 0) << "somebody could publish";
    // RabbitMQ's own account: nothing is ready, and nothing waits for its ack.
    EXPECT_THAT(server_->query("list_queues --quiet --no-table-headers name messages"),
                HasSubstr("celery\t0\n"));

    server_->control(clear);
    note_fault(fault);
    wait_for_progress(100);
    EXPECT_EQ(ask(api).status, 200);
    expect_contract();
}

TEST_F(RabbitMqAlarm, ShortOfMemory) {
    expect_only_publishers_blocked("set_vm_memory_high_watermark 0",
                                   "set_vm_memory_high_watermark 0.6");
}

TEST_F(RabbitMqAlarm, ShortOfDisk) {
    expect_only_publishers_blocked("set_disk_free_limit 1000000GB", "set_disk_free_limit 50MB");
}

/// The heartbeat is 10 s, so that RabbitMQ is given up, and gives up, while it is stopped.
using LongRabbitMq = RabbitMq;

TEST_F(LongRabbitMq, StoppedForThirtySeconds) {
    expect_survival_of_a_stop(30s);
}

TEST_F(LongRabbitMq, StoppedForTwoMinutes) {
    expect_survival_of_a_stop(2min);
}

TEST_F(LongRabbitMq, AwayForTwoMinutes) {
    start_load();
    const auto fault = Clock::now();
    server_->kill();
    let_pass(2min);
    server_->start();
    expect_all_well(fault, Clock::now());
}

}  // namespace
}  // namespace lovage::chaos
