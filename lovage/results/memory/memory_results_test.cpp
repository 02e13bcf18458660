#include <lovage/results/memory/memory_results.hpp>
#include <lovage/results/memory/memory_state_store.hpp>

#include <lovage/core/uuid.hpp>
#include <lovage/results/conformance.hpp>

namespace lovage::conformance {
namespace {

class MemoryResultStore final : public ResultStoreUnderTest {
public:
    std::unique_ptr<ResultBackend> open(Executor executor, ResultSettings settings) override {
        return make_memory_results(std::move(executor), name_,
                                   {.result_expires = settings.result_expires,
                                    .result_bytes_max = settings.result_bytes_max,
                                    .now = std::move(settings.now)});
    }

private:
    std::string name_ = uuid4();
};

class MemoryStates final : public StateStoreUnderTest {
public:
    std::unique_ptr<StateStore> open(Executor executor, const ManualClock& clock) override {
        return make_memory_state_store(
            std::move(executor), name_,
            {.value_bytes_max = kValueBytesMax, .since_boot = [&] { return clock.since_boot(); }});
    }

private:
    std::string name_ = uuid4();
};

INSTANTIATE_TEST_SUITE_P(Memory, ResultConformance,
                         testing::Values(ResultDriver{
                             "memory", [] { return std::make_unique<MemoryResultStore>(); }}),
                         [](const auto& driver) { return driver.param.name; });

INSTANTIATE_TEST_SUITE_P(Memory, StateConformance,
                         testing::Values(StateDriver{
                             "memory", [] { return std::make_unique<MemoryStates>(); }}),
                         [](const auto& driver) { return driver.param.name; });

TEST(MemoryResults, RefusesWhatDoesNotFitUntilSomethingExpires) {
    ManualClock clock;
    ResultConnection connection{[&](Executor executor) {
        return make_memory_results(std::move(executor), uuid4(),
                                   {.result_expires = std::chrono::hours{1},
                                    .total_bytes_max = 100'000,
                                    .now = [&] { return clock.wall(); }});
    }};
    connection.connect();
    TaskMeta meta;
    meta.status = states::kSuccess;
    meta.result = std::string(60'000, 'x');
    meta.task_id = "first";
    EXPECT_EQ(connection.store(meta), StoreOutcome::stored);
    meta.task_id = "second";
    const auto refused = connection.store(meta);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);

    clock.advance(std::chrono::hours{2});
    EXPECT_EQ(connection.store(meta), StoreOutcome::stored);
}

}  // namespace
}  // namespace lovage::conformance
