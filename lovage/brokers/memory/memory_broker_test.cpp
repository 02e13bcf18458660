#include <lovage/brokers/conformance.hpp>
#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/core/uuid.hpp>

namespace lovage::conformance {
namespace {

class MemoryBrokerStore final : public BrokerStore {
public:
    std::unique_ptr<Broker> make_broker(Executor executor) override {
        return make_memory_broker(std::move(executor), name_);
    }

private:
    std::string name_ = uuid4();
};

INSTANTIATE_TEST_SUITE_P(Memory, BrokerConformance,
                         testing::Values(BrokerDriver{
                             .name = "memory",
                             .make_store = [] { return std::make_unique<MemoryBrokerStore>(); }}),
                         driver_name);

}  // namespace
}  // namespace lovage::conformance
