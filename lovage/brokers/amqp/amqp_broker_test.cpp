#include <lovage/brokers/amqp/amqp_broker.hpp>
#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/brokers/conformance.hpp>

namespace lovage::conformance {
namespace {

class AmqpBrokerStore final : public BrokerStore {
public:
    std::unique_ptr<Broker> make_broker(Executor executor) override {
        return make_amqp_broker(std::move(executor), {.url = vhost_.url()});
    }

private:
    TestVhost vhost_;
};

INSTANTIATE_TEST_SUITE_P(RabbitMq, BrokerConformance,
                         testing::Values(BrokerDriver{
                             .name = "amqp",
                             .make_store = [] { return std::make_unique<AmqpBrokerStore>(); },
                             .delivers_expired = false,
                             .requeues_in_place = false,
                             .passes_wide_integers = false,
                             .takes_strict_turns = false,
                             .compares_unknown_arguments = false}),
                         driver_name);

}  // namespace
}  // namespace lovage::conformance
