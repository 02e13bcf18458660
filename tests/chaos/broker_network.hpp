#pragma once

#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/support/services.hpp>
#include <tests/support/tcp_proxy.hpp>

namespace lovage::chaos {

/// A proxy between the programs and RabbitMQ.
class BrokerNetwork : public Stack {
protected:
    BrokerNetwork() {
        use({.broker = vhost_.url(proxy_.url()),
             .results = testing_support::service_url("LOVAGE_TEST_REDIS_URL")});
    }

    /// Connections end that way under load; others can be made at once.
    void expect_survival(testing_support::Ending ending, Clock::duration noticed) {
        start_load();
        // Both of the worker's and both of the producer's.
        const auto fault = end_connections(proxy_, ending, 4, noticed);
        expect_all_well(fault, Clock::now());
    }

    void expect_survival_of_a_kill() {
        start_load();
        const auto fault = Clock::now();
        const pid_t killed = worker_->pid();
        worker_->kill();
        start_worker("successor");
        expect_all_well(fault, fault, {killed});
    }

    testing_support::TcpProxy proxy_{testing_support::service_url("LOVAGE_TEST_AMQP_URL")};
    conformance::TestVhost vhost_;
};

}  // namespace lovage::chaos
