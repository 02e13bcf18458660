// More than one way to a broker, and queues of another type: the same promises.
#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/support/services.hpp>
#include <tests/support/tcp_proxy.hpp>

namespace lovage::chaos {
namespace {

using testing_support::Door;
using testing_support::Ending;
using testing_support::service_url;
using testing_support::TcpProxy;

/// Two hosts of one broker, as the URL `amqp://…;amqp://…` names them: a proxy each.
class SeveralHosts : public Stack {
protected:
    SeveralHosts() {
        use({.broker = vhost_.url(first_.url()) + ";" + vhost_.url(second_.url()),
             .results = service_url("LOVAGE_TEST_REDIS_URL")});
    }

    /// The host is gone in that way and does not come back; whoever was connected to it has to be
    /// found at the other one. Returns when everybody is there.
    static void lose(TcpProxy& lost, Ending ending, TcpProxy& other, Clock::duration noticed) {
        const auto before = other.counts();
        const auto connections = lost.counts().open;
        ASSERT_GE(connections, 4U) << "both of the worker's and both of the producer's";
        const auto fault = Clock::now();
        lost.set_door(ending == Ending::silence ? Door::silent : Door::refuse);
        lost.end_connections(ending);
        EXPECT_TRUE(other.wait_until(
            [&](const auto& counts) { return counts.accepted >= before.accepted + connections; },
            Deadline::at(fault + noticed)))
            << "connected to the other host: " << other.counts().accepted - before.accepted;
    }

    void expect_move(Ending ending, Clock::duration noticed) {
        start_load();
        const auto fault = Clock::now();
        lose(first_, ending, second_, noticed);
        const auto back = Clock::now();
        note_fault(fault);
        expect_recovery(back);
        expect_contract();
        expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
    }

    TcpProxy first_{service_url("LOVAGE_TEST_AMQP_URL")};
    TcpProxy second_{service_url("LOVAGE_TEST_AMQP_URL")};
    conformance::TestVhost vhost_;
};

TEST_F(SeveralHosts, TheFirstRefusesAndTheSecondIsUsed) {
    expect_move(Ending::reset, kBackAtFullRate);
}

TEST_F(SeveralHosts, TheFirstFallsSilentAndTheSecondIsUsed) {
    expect_move(Ending::silence, kSilenceNoticed);
}

TEST_F(SeveralHosts, TheSecondIsLostTooWhenTheFirstIsBack) {
    start_load();
    auto fault = Clock::now();
    lose(first_, Ending::reset, second_, kBackAtFullRate);
    note_fault(fault);
    wait_for_progress(static_cast<std::uint32_t>(kRate));
    first_.heal();
    fault = Clock::now();
    lose(second_, Ending::reset, first_, kBackAtFullRate);
    const auto back = Clock::now();
    note_fault(fault);
    expect_recovery(back);
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

TEST_F(SeveralHosts, TheFirstIsAwayFromTheStart) {
    first_.set_door(Door::refuse);
    start_load();
    expect_contract();
    EXPECT_EQ(first_.counts().accepted, 0U);
}

/// The profile `quorum`, on one node: the queue type must not weaken what is promised.
class QuorumQueue : public Stack {
protected:
    QuorumQueue() {
        use({.broker = vhost_.url(proxy_.url()), .results = service_url("LOVAGE_TEST_REDIS_URL")});
        set("LOVAGE_DELIVERY", "quorum");
    }
    ~QuorumQueue() override {
        EXPECT_THAT(vhost_.api("GET", "queues/{vhost}/celery"),
                    testing::HasSubstr(R"("type":"quorum")"));
    }

    void expect_survival(Ending ending, Clock::duration noticed) {
        start_load();
        const auto fault = end_connections(proxy_, ending, 4, noticed);
        const auto back = Clock::now();
        note_fault(fault);
        expect_recovery(back);
        expect_contract();
        expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
    }

    TcpProxy proxy_{service_url("LOVAGE_TEST_AMQP_URL")};
    conformance::TestVhost vhost_;
};

TEST_F(QuorumQueue, ConnectionsReset) {
    expect_survival(Ending::reset, kBackAtFullRate);
}

TEST_F(QuorumQueue, ConnectionsFallenSilent) {
    expect_survival(Ending::silence, kSilenceNoticed);
}

TEST_F(QuorumQueue, AWorkerIsKilled) {
    start_load();
    const auto fault = Clock::now();
    const pid_t killed = worker_->pid();
    worker_->kill();
    start_worker("successor");
    note_fault(fault, {killed});
    expect_recovery(fault);
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

}  // namespace
}  // namespace lovage::chaos
