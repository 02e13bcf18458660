// What networks do to connections, done by a proxy between the programs and RabbitMQ.
#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/support/services.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <signal.h>

namespace lovage::chaos {
namespace {

using testing_support::Door;
using testing_support::Ending;
using testing_support::service_url;
using testing_support::TcpProxy;

class BrokerNetwork : public Stack {
protected:
    BrokerNetwork() {
        use({.broker = vhost_.url(proxy_.url()), .results = service_url("LOVAGE_TEST_REDIS_URL")});
    }

    /// Connections end that way under load; others can be made at once.
    void expect_survival(Ending ending, Clock::duration noticed) {
        start_load();
        // Both of the worker's and both of the producer's.
        const auto fault = end_connections(proxy_, ending, 4, noticed);
        const auto back = Clock::now();
        note_fault(fault);
        expect_recovery(back);
        expect_contract();
        expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
    }

    void expect_survival_of_a_kill() {
        const auto fault = Clock::now();
        const pid_t killed = worker_->pid();
        worker_->kill();
        start_worker("successor");
        note_fault(fault, {killed});
        expect_recovery(fault);
        expect_contract();
        expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
    }

    TcpProxy proxy_{service_url("LOVAGE_TEST_AMQP_URL")};
    conformance::TestVhost vhost_;
};

TEST_F(BrokerNetwork, ConnectionsReset) {
    expect_survival(Ending::reset, 5s);
}

TEST_F(BrokerNetwork, ConnectionsClosedInOrder) {
    expect_survival(Ending::close, 5s);
}

TEST_F(BrokerNetwork, ConnectionsResetUnderThreads) {
    pool_ = "threads";
    expect_survival(Ending::reset, 5s);
}

TEST_F(BrokerNetwork, ConnectionsFallenSilent) {
    expect_survival(Ending::silence, kSilenceNoticed);
}

TEST_F(BrokerNetwork, TheServerForgetsItsClients) {
    start_load();
    const auto before = proxy_.counts();
    const auto fault = Clock::now();
    // RabbitMQ gives what is unsettled to others, while the worker goes on with what it has and
    // acknowledges it on connections that nobody serves.
    proxy_.forget_clients();
    EXPECT_TRUE(proxy_.wait_until(
        [&](const auto& counts) { return counts.accepted >= before.accepted + 4; },
        Deadline::at(fault + kSilenceNoticed)));
    const auto back = Clock::now();
    note_fault(fault);
    expect_recovery(back);
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

TEST_F(BrokerNetwork, AWorkerIsKilled) {
    start_load();
    expect_survival_of_a_kill();
}

TEST_F(BrokerNetwork, AWorkerWithThreadsIsKilled) {
    pool_ = "threads";
    start_load();
    expect_survival_of_a_kill();
}

TEST_F(BrokerNetwork, ASlotIsKilled) {
    start_load();
    const pid_t slot = children_of(worker_->pid()).front();
    const auto fault = Clock::now();
    ASSERT_EQ(::kill(slot, SIGKILL), 0);
    note_fault(fault, {slot});
    EXPECT_TRUE(wait_for_log("worker", "has ended by itself", soon()));
    expect_recovery(fault);
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
    // Of all tasks, only the one that it ran may have begun again.
    EXPECT_LE(ledger_.check(faults_).repeats.size(), 1U);
}

TEST_F(BrokerNetwork, ASlotIsSuspended) {
    start_load();
    const pid_t slot = children_of(worker_->pid()).front();
    const auto fault = Clock::now();
    ASSERT_EQ(::kill(slot, SIGSTOP), 0);
    expect_recovery(fault);  // the others do its work
    ASSERT_EQ(::kill(slot, SIGCONT), 0);
    // Nobody has given it up: nothing runs twice.
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

TEST_F(BrokerNetwork, AProducerIsKilled) {
    start_load();
    const auto fault = Clock::now();
    const pid_t killed = producer_->pid();
    producer_->kill();
    producer_.reset();
    note_fault(fault, {killed});
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

TEST_F(BrokerNetwork, AFullQueueRefusesAndWhatItRefusedNeverRuns) {
    vhost_.api("PUT", "policies/{vhost}/short",
               R"({"pattern": "^celery$", "apply-to": "queues",
                   "definition": {"max-length": 50, "overflow": "reject-publish"}})");
    start_producer();
    EXPECT_TRUE(ledger_.wait_until(
        [&] { return ledger_.total(TaskLedger::Event::rejected) >= 100; }, soon()));
    start_worker();
    wait_for_progress(250);
    expect_contract();
    EXPECT_GE(ledger_.check().rejected, 100U);
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

using LongBrokerNetwork = BrokerNetwork;

TEST_F(LongBrokerNetwork, AWorkerIsSuspendedForLongerThanItsHeartbeat) {
    start_load();
    const auto fault = Clock::now();
    worker_->signal(SIGSTOP);
    let_pass(30s);
    // RabbitMQ has given it up: its tags mean nothing any more.
    worker_->signal(SIGCONT);
    const auto back = Clock::now();
    note_fault(fault);
    expect_recovery(back);
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

TEST_F(BrokerNetwork, AWorkerIsStoppedWhileRabbitMqIsAway) {
    start_load();
    const auto fault = Clock::now();
    proxy_.set_door(Door::refuse);
    proxy_.end_connections(Ending::reset);
    EXPECT_TRUE(wait_for_log("worker", "Trying to re-establish it", soon()));
    const auto asked = Clock::now();
    stop(*worker_);
    EXPECT_LE(Clock::now() - asked, 10s) << "there was nothing to wait for";
    proxy_.heal();
    start_worker("successor");
    note_fault(fault);
    wait_for_progress(static_cast<std::uint32_t>(kRate));
    expect_contract();
}

}  // namespace
}  // namespace lovage::chaos
