// What networks do to connections, done by a proxy between the programs and RabbitMQ.
#include "broker_network.hpp"

#include <signal.h>

namespace lovage::chaos {
namespace {

using testing_support::Door;
using testing_support::Ending;
using testing_support::service_url;
using testing_support::TcpProxy;

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
    expect_all_well(fault, Clock::now());
}

TEST_F(BrokerNetwork, AWorkerIsKilled) {
    expect_survival_of_a_kill();
}

TEST_F(BrokerNetwork, AWorkerWithThreadsIsKilled) {
    pool_ = "threads";
    expect_survival_of_a_kill();
}

TEST_F(BrokerNetwork, ASlotIsKilled) {
    start_load();
    const pid_t slot = children_of(worker_->pid()).front();
    const auto fault = Clock::now();
    ASSERT_EQ(::kill(slot, SIGKILL), 0);
    EXPECT_TRUE(wait_for_log("worker", "has ended by itself", soon()));
    expect_all_well(fault, fault, {slot});
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
    expect_all_well(fault, Clock::now());
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
