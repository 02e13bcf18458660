#include <lovage/brokers/conformance.hpp>
#include <lovage/brokers/sqlite/sqlite_broker.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>

namespace lovage::conformance {
namespace {

class SqliteBrokerStore final : public BrokerStore {
public:
    std::unique_ptr<Broker> make_broker(Executor executor) override {
        return make_sqlite_broker(std::move(executor), {.folder = folder_.path() / "broker"});
    }

private:
    sqlite::TestFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, BrokerConformance,
                         testing::Values(BrokerDriver{
                             .name = "sqlite",
                             .make_store = [] { return std::make_unique<SqliteBrokerStore>(); }}),
                         driver_name);

}  // namespace
}  // namespace lovage::conformance
