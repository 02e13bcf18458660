// One targeted run for each safety line of lovage/runtime/failpoint.hpp: it holds, and does not
// when LOVAGE_LEAVE_OUT takes the line out of the programs (reverts.py does that for all of them).
#include "own_rabbitmq.hpp"
#include "stack.hpp"
#include "ways.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/support/services.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <sqlite3.h>

#include <algorithm>
#include <memory>

namespace lovage::chaos {
namespace {

using testing_support::service_url;
using testing_support::TcpProxy;

class SafetyLine : public Stack {
protected:
    /// What has not happened after such a pause never will.
    static constexpr auto kStill = 8s;

    [[nodiscard]] std::size_t count(TaskLedger::Event event) const { return ledger_.total(event); }
    void wait_for(TaskLedger::Event event, std::size_t more) const {
        const std::size_t wanted = count(event) + more;
        EXPECT_TRUE(ledger_.wait_until([&] { return count(event) >= wanted; }, soon()));
    }
    /// Nobody is asked: what it holds is given up by those who notice.
    void kill_worker() {
        worker_->kill();
        worker_.reset();
    }
    void kill_producer() {
        producer_->kill();
        producer_.reset();
    }
    [[nodiscard]] bool happens_while_tasks_start(const std::function<bool()>& condition) const {
        for (std::size_t before = 0; !condition();) {
            before = count(TaskLedger::Event::started);
            const auto news = [&] {
                return condition() || count(TaskLedger::Event::started) != before;
            };
            if (!ledger_.wait_until(news, Deadline::in(kStill))) return false;
        }
        return true;
    }
    /// Everything accepted since `owed_from` has its effect, and soon; and the rest of the
    /// contract.
    void expect_account(Clock::time_point owed_from = Clock::time_point::min()) {
        if (producer_) stop_producer();
        const auto owed = accepted_since(owed_from);
        const auto done = [&](std::uint32_t task) { return ledger_.effects(task) > 0; };
        EXPECT_FALSE(owed.empty());
        EXPECT_TRUE(happens_while_tasks_start([&] { return std::ranges::all_of(owed, done); }))
            << "accepted tasks did not run";
        stop(*worker_);
        worker_.reset();
        allow_resends();
        TaskLedger::Report report = ledger_.check(faults_);
        std::erase_if(report.lost,
                      [&](std::uint32_t task) { return !std::ranges::binary_search(owed, task); });
        EXPECT_TRUE(report.holds()) << report;
    }
    /// Sends one task and waits for its end; nothing when it does not come in time.
    [[nodiscard]] std::optional<TaskMeta> run_one(const std::string& task, Settings settings,
                                                  SendOptions options,
                                                  std::chrono::seconds patience) const {
        const App app{"chaos-sender", std::move(settings)};
        const auto sent = app.send_task(task, Json::array(), Json::object(), std::move(options));
        try {
            return sent.wait(patience);
        } catch (const LovageError&) {
            return std::nullopt;
        }
    }
};

/// On the embedded broker.
class SqliteSafetyLine : public SafetyLine {
protected:
    SqliteSafetyLine() { use({.broker = url_, .results = url_}); }

    [[nodiscard]] Settings settings() const {
        Settings of_folder;
        of_folder.broker_url = url_;
        of_folder.result_backend = url_;
        return of_folder;
    }
    /// Another process's write lock on one of the files, as long as the result lives.
    [[nodiscard]] std::shared_ptr<sqlite3> locked(const std::string& file) const {
        sqlite3* database = nullptr;
        EXPECT_EQ(sqlite3_open((folder_.path() / "data" / file).c_str(), &database), SQLITE_OK);
        sqlite3_busy_timeout(database, 10'000);
        EXPECT_EQ(sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
        return {database, sqlite3_close};
    }

    const std::string url_ = sqlite_url();
};

TEST_F(SqliteSafetyLine, Confirm) {
    start_producer();
    wait_for(TaskLedger::Event::accepted, 50);
    const auto fault = Clock::now();
    {
        // Nothing reaches the disk, and the producer dies before it does.
        const auto lock = locked("broker.sqlite3");
        let_pass(1s);
        kill_producer();
    }
    note_fault(fault);
    start_worker();
    start_producer();
    wait_for_progress(100);
    expect_account();
}

TEST_F(SqliteSafetyLine, LateAck) {
    start_worker();
    start_producer(12, 500ms);
    wait_for(TaskLedger::Event::effect, 10);
    const auto fault = Clock::now();
    kill_worker();
    start_worker("successor");
    note_fault(fault);
    wait_for_progress(20);
    expect_account();
}

TEST_F(SqliteSafetyLine, ResultBeforeAck) {
    start_load();
    const auto fault = Clock::now();
    {
        // Tasks end, and their results cannot be stored.
        const auto lock = locked("results.sqlite3");
        wait_for(TaskLedger::Event::effect, 5);
        let_pass(500ms);
        kill_worker();
    }
    start_worker("successor");
    note_fault(fault);
    wait_for_progress(100);
    expect_account();
    expect_results(url_);
}

TEST_F(SqliteSafetyLine, LeaseRenewal) {
    // Nothing happens to anybody for longer than the lease of 15 s; the other one would notice.
    start_worker();
    auto first = std::move(worker_);
    start_worker("other");
    start_producer(4, 2s);
    let_pass(22s);
    stop_producer();
    EXPECT_TRUE(ledger_.wait_for_effects(soon()));
    stop(*first);
    expect_account();
}

TEST_F(SqliteSafetyLine, KeyRenewal) {
    // Both take longer than a lease, and each has a worker.
    set("LOVAGE_WORKER_LEASE", "1");
    start_worker();
    auto first = std::move(worker_);
    start_worker("other", {{"LOVAGE_TASK_DEFAULT_QUEUE", "other"}});
    const App app{"chaos-sender", settings()};
    std::vector<AsyncResult<Json>> sent;
    for (const char* const queue : {"celery", "other"}) {
        sent.push_back(
            app.send_task("chaos.limited", Json::array({4'000}), Json::object(), {.queue = queue}));
    }
    using Span = std::pair<std::int64_t, std::int64_t>;
    std::vector<Span> spans;
    for (const auto& each : sent) {
        spans.push_back(from_json<Span>(each.get(60s)).value());
    }
    std::ranges::sort(spans);
    for (std::size_t i = 1; i < spans.size(); ++i) {
        EXPECT_GE(spans[i].first, spans[i - 1].second) << "two at a time";
    }
    stop(*first);
    stop(*worker_);
    worker_.reset();
}

TEST_F(SqliteSafetyLine, CrashCount) {
    start_worker();
    const auto meta = run_one("chaos.crash", settings(), {}, 20s);
    ASSERT_TRUE(meta) << "it crashes for ever";
    EXPECT_EQ(meta->failure()->exc_type, "WorkerLostError");
    EXPECT_EQ(messages_in("celery.quarantine"), 1U);
}

TEST_F(SqliteSafetyLine, HardLimit) {
    start_worker();
    const auto meta = run_one("chaos.spin", settings(), {.time_limit = 1s}, 10s);
    ASSERT_TRUE(meta) << "it spins for ever";
    EXPECT_EQ(meta->failure()->exc_type, "TimeLimitExceeded");
}

/// The worker dies between the two steps of `point`; whatever was accepted still comes to its end.
class SqliteSafetyLineAt : public SqliteSafetyLine {
protected:
    void run_into(const std::string& point, const std::string& task) {
        start_worker("worker", {{"LOVAGE_FAILPOINT", point + "=kill"},
                                {"LOVAGE_FAILPOINT_FILE", folder_.path() / "evidence"}});
        start_producer(20, 2ms, task);
        EXPECT_EQ(worker_->wait(soon()), Ending{.signal = SIGKILL});
        start_worker("successor");
        wait_for_progress(20);
        stop_producer();
    }
};

TEST_F(SqliteSafetyLineAt, AgainBeforeAck) {
    run_into("again-unsent", "chaos.crash-once");
    EXPECT_TRUE(ledger_.wait_for_effects(Deadline::in(kStill))) << "accepted tasks did not run";
}

TEST_F(SqliteSafetyLineAt, KeptBeforeAck) {
    run_into("quarantine-unsent", "chaos.vary");
    EXPECT_TRUE(ledger_.wait_for_effects(Deadline::in(kStill))) << "accepted tasks did not run";
    std::size_t rejected = 0;
    for (std::uint32_t task = 0; task < ledger_.tasks(); ++task) {
        rejected += ledger_.accepted(task) && way_of(task) == Way::is_rejected ? 1 : 0;
    }
    const Deadline patience = Deadline::in(kStill);
    while (messages_in("celery.quarantine") < rejected && !patience.passed()) let_pass(50ms);
    EXPECT_GE(messages_in("celery.quarantine"), rejected) << "rejected messages are gone";
}

/// On RabbitMQ, through a proxy.
class RabbitMqSafetyLine : public SafetyLine {
protected:
    RabbitMqSafetyLine() {
        use({.broker = vhost_.url(proxy_.url()), .results = service_url("LOVAGE_TEST_REDIS_URL")});
    }

    TcpProxy proxy_{service_url("LOVAGE_TEST_AMQP_URL")};
    conformance::TestVhost vhost_;
};

TEST_F(RabbitMqSafetyLine, Confirm) {
    start_worker();
    start_producer();
    wait_for(TaskLedger::Event::accepted, 50);
    const auto fault = Clock::now();
    // What is written goes nowhere, and is thrown away.
    proxy_.set_flow(testing_support::Way::to_server, {.stalled = true});
    let_pass(1s);
    proxy_.end_connections(testing_support::Ending::reset);
    proxy_.heal();
    proxy_.set_flow(testing_support::Way::to_server, {});
    wait_for_progress(100);
    note_fault(fault);
    expect_account();
}

TEST_F(RabbitMqSafetyLine, Mandatory) {
    start_producer();
    wait_for(TaskLedger::Event::accepted, 100);
    vhost_.api("DELETE", "queues/{vhost}/celery");
    const auto deleted = Clock::now();
    wait_for(TaskLedger::Event::accepted, 100);
    note_fault(deleted);
    start_worker();
    wait_for_progress(100);
    expect_account(deleted);
}

TEST_F(RabbitMqSafetyLine, Epoch) {
    // Tasks 0 to 3 are done, 4 to 11 run when the connection is lost, and come again as deliveries
    // 1 to 8 of the next one. The acks of 4 to 7, which end first, bear the numbers 5 to 8.
    start_worker();
    start_producer(4, 3s);
    wait_for(TaskLedger::Event::effect, 4);
    const auto fault = Clock::now();
    proxy_.end_connections(testing_support::Ending::reset);
    wait_for(TaskLedger::Event::effect, 4);
    let_pass(200ms);  // for their acks
    kill_worker();
    note_fault(fault);
    stop_producer();
    start_worker("successor");
    expect_account();
}

TEST_F(RabbitMqSafetyLine, Silence) {
    start_load();
    const auto fault =
        end_connections(proxy_, testing_support::Ending::silence, 4, kSilenceNoticed);
    note_fault(fault);
    wait_for_progress(100, Deadline::in(10s));
    if (!HasFailure()) {
        // What RabbitMQ has sent into the silence comes again when it, too, misses a heartbeat.
        stop_producer();
        EXPECT_TRUE(ledger_.wait_for_effects(soon()));
    }
    expect_account();
}

TEST_F(SafetyLine, Persistent) {
    OwnRabbitMq server{"chaos-safety"};
    use({.broker = server.url(), .results = service_url("LOVAGE_TEST_REDIS_URL")});
    start_producer();
    wait_for(TaskLedger::Event::accepted, 100);
    stop_producer();
    const auto fault = Clock::now();
    server.kill();
    server.start();
    note_fault(fault);
    start_worker();
    expect_account();
}

}  // namespace
}  // namespace lovage::chaos
