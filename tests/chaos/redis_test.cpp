// What can happen to the Redis that keeps the results, and to the connections to it.
#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <fmt/format.h>

namespace lovage::chaos {
namespace {

namespace faults = testing_support;
using faults::TcpProxy;

/// A Redis of the test's own that writes everything down before it answers, so that what is lost
/// was lost by us.
class RedisServer : public Stack {
protected:
    RedisServer() {
        use({.broker = vhost_.url(), .results = fmt::format("redis://127.0.0.1:{}/0", port_)});
    }

    void expect_all_well(Clock::time_point fault, Clock::time_point back) {
        note_fault(fault);
        expect_recovery(back);
        expect_contract();
        expect_results(url());
    }
    /// Waits until the worker holds all it may: a time in which hundreds of tasks are sent, and
    /// none starts.
    void wait_for_standstill() {
        // Longer than a worker asks in vain for revocations.
        constexpr auto kStill = 6s;
        std::size_t before = 0;
        do {
            before = started();
        } while (ledger_.wait_until([&] { return started() > before; }, Deadline::in(kStill)));
    }
    [[nodiscard]] std::size_t started() const {
        std::size_t count = 0;
        for (std::uint32_t task = 0; task < ledger_.tasks(); ++task) {
            count += ledger_.started(task) > 0 ? 1 : 0;
        }
        return count;
    }
    [[nodiscard]] std::string url() const { return fmt::format("redis://127.0.0.1:{}/0", port_); }

    std::uint16_t port_ = free_port();
    redis::TestServer server_{
        {"--port", std::to_string(port_), "--bind", "127.0.0.1", "--appendonly", "yes"}};
    conformance::TestVhost vhost_;
};

TEST_F(RedisServer, KilledAndStartedAgain) {
    start_load();
    const auto fault = Clock::now();
    const std::size_t before = started();
    server_.kill();
    // What is finished waits in the worker, as much as it may hold; the rest stays with the broker.
    wait_for_standstill();
    constexpr std::size_t kLongestLookAhead = 256;
    EXPECT_LE(started() - before, kSlots + kLongestLookAhead);
    server_.start();
    expect_all_well(fault, Clock::now());
}

TEST_F(RedisServer, KilledAndTheWorkerWithIt) {
    start_load();
    const auto fault = Clock::now();
    server_.kill();
    let_pass(2s);
    // Whatever it had finished was not acknowledged: it is done again.
    worker_->kill();
    server_.start();
    start_worker("successor");
    expect_all_well(fault, Clock::now());
}

TEST_F(RedisServer, AWorkerIsStoppedBeforeItCouldStore) {
    start_worker("worker", {{"LOVAGE_WORKER_SHUTDOWN_TIMEOUT", "2"}});
    start_producer();
    wait_for_progress(static_cast<std::uint32_t>(kRate));
    const auto fault = Clock::now();
    server_.kill();
    EXPECT_TRUE(wait_for_log("worker", "is not reachable", soon()));
    // It waits for as long as it may, gives what it holds back to RabbitMQ, and exits with 0.
    const auto asked = Clock::now();
    stop(*worker_);
    EXPECT_LE(Clock::now() - asked, 10s);
    server_.start();
    start_worker("successor");
    expect_all_well(fault, Clock::now());
}

TEST_F(RedisServer, ClientsKilled) {
    start_load();
    const auto fault = Clock::now();
    EXPECT_THAT(server_.cli("CLIENT KILL TYPE normal"), testing::MatchesRegex("[1-9][0-9]*"));
    expect_all_well(fault, Clock::now());
}

TEST_F(RedisServer, StoppedForFiveSeconds) {
    start_load();
    const auto fault = Clock::now();
    server_.pause();
    let_pass(5s);
    server_.resume();
    expect_all_well(fault, Clock::now());
}

using LongRedisServer = RedisServer;

TEST_F(LongRedisServer, StoppedForThirtySeconds) {
    start_load();
    const auto fault = Clock::now();
    server_.pause();
    EXPECT_TRUE(wait_for_log("worker", "has been silent", Deadline::at(fault + kSilenceNoticed)));
    let_pass(fault + 30s - Clock::now());
    server_.resume();
    expect_all_well(fault, Clock::now());
}

TEST_F(LongRedisServer, AwayForTwoMinutes) {
    start_load();
    const auto fault = Clock::now();
    server_.kill();
    let_pass(2min);
    server_.start();
    expect_all_well(fault, Clock::now());
}

class RedisNetwork : public RedisServer {
protected:
    RedisNetwork() { use({.broker = vhost_.url(), .results = proxy_.url()}); }

    void expect_survival(faults::Ending ending, Clock::duration noticed) {
        start_load();
        // The worker's for results and for state.
        const auto fault = end_connections(proxy_, ending, 2, noticed);
        expect_all_well(fault, Clock::now());
    }

    TcpProxy proxy_{url()};
};

TEST_F(RedisNetwork, ConnectionsReset) {
    expect_survival(faults::Ending::reset, 5s);
}

TEST_F(RedisNetwork, ConnectionsClosedInOrder) {
    expect_survival(faults::Ending::close, 5s);
}

TEST_F(RedisNetwork, ConnectionsFallenSilent) {
    expect_survival(faults::Ending::silence, kSilenceNoticed);
}

}  // namespace
}  // namespace lovage::chaos
