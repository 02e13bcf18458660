// What can happen to a RabbitMQ, done to one of our own under load.
#include "own_rabbitmq.hpp"
#include "stack.hpp"

#include <lovage/clients/redis/test_server.hpp>
#include <tests/support/services.hpp>

namespace lovage::chaos {
namespace {

/// One server for all tests, since it takes its time to start.
class RabbitMq : public Stack {
protected:
    static void SetUpTestSuite() { server_ = std::make_unique<OwnRabbitMq>("chaos-rabbitmq"); }
    static void TearDownTestSuite() { server_.reset(); }

    RabbitMq() {
        use({.broker = server_->url(),
             .results = testing_support::service_url("LOVAGE_TEST_REDIS_URL")});
    }

    /// Until the load runs at its pace again, and everything holds.
    void expect_all_well(Clock::time_point back) {
        note_fault(fault_);
        wait_for_progress(2 * static_cast<std::uint32_t>(kRate));
        expect_recovery(back);
        expect_contract();
        expect_results(testing_support::service_url("LOVAGE_TEST_REDIS_URL"));
        EXPECT_FALSE(server_->has_logged("unknown delivery tag")) << "a stale ack was sent";
    }

    inline static std::unique_ptr<OwnRabbitMq> server_;
    Clock::time_point fault_;
};

TEST_F(RabbitMq, KilledAndStartedAgain) {
    start_load();
    fault_ = Clock::now();
    server_->kill();
    server_->start();
    expect_all_well(Clock::now());
}

}  // namespace
}  // namespace lovage::chaos
