// Programs that are started while their servers are away: they wait, say for what, and go to work
// when the servers come.
#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/integration/http_client.hpp>
#include <tests/support/services.hpp>
#include <tests/support/tcp_proxy.hpp>

namespace lovage::chaos {
namespace {

namespace faults = testing_support;
using faults::Door;
using faults::service_url;
using faults::TcpProxy;

class Start : public Stack {
protected:
    Start() { use({.broker = vhost_.url(broker_.url()), .results = results_.url()}); }

    [[nodiscard]] int ready_status(std::uint16_t port) const {
        return integration::http_request(port, "GET", "/health/ready", "", soon()).status;
    }

    /// `proxy` lets nobody in while worker and producer start; the worker says `complaint`.
    void expect_patience(TcpProxy& proxy, Door door, const std::string& complaint) {
        proxy.set_door(door);
        worker_ = start("worker", {LOVAGE_CHAOS_APP, "worker", "-P", "threads", "-c",
                                   std::to_string(kSlots), "--health-port", "0"});
        start_producer();
        EXPECT_TRUE(wait_for_log("worker", complaint, soon())) << log_of("worker");
        const std::uint16_t port = port_in_log("worker", "health and metrics at http://127.0.0.1:");
        EXPECT_EQ(ready_status(port), 503);
        EXPECT_TRUE(wait_for_log("worker", "Trying again in", soon())) << log_of("worker");

        const auto begin = Clock::now();
        proxy.heal();
        note_fault(begin);
        expect_recovery(begin);
        EXPECT_EQ(ready_status(port), 200);
        expect_contract();
    }

    TcpProxy broker_{service_url("LOVAGE_TEST_AMQP_URL")};
    TcpProxy results_{service_url("LOVAGE_TEST_REDIS_URL")};
    conformance::TestVhost vhost_;
};

TEST_F(Start, WithoutRabbitMq) {
    expect_patience(broker_, Door::refuse, "no connection to amqp://guest@127.0.0.1");
}

TEST_F(Start, BeforeASilentRabbitMq) {
    expect_patience(broker_, Door::silent, "no connection to amqp://guest@127.0.0.1");
}

TEST_F(Start, WithoutRedis) {
    expect_patience(results_, Door::refuse, "redis://127.0.0.1");
}

TEST_F(Start, AWorkerThatStillWaitsCanBeStopped) {
    broker_.set_door(Door::refuse);
    start_worker();
    EXPECT_TRUE(wait_for_log("worker", "no connection to", soon()));
    const auto asked = Clock::now();
    stop(*worker_);
    EXPECT_LE(Clock::now() - asked, 3s);
}

}  // namespace
}  // namespace lovage::chaos
