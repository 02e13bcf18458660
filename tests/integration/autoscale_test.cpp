// As many slots as there is work for.
#include "project.hpp"

#include <fmt/core.h>

#include <string>
#include <vector>

namespace lovage::integration {
namespace {

using ::testing::HasSubstr;

class AutoscaleOf : public Project, public testing::WithParamInterface<const char*> {
protected:
    Process start_scaling(const std::string& range, const std::string& keepalive = "0.5") {
        return start_worker("worker", 1,
                            {{"LOVAGE_WORKER_POOL", GetParam()},
                             {"LOVAGE_WORKER_AUTOSCALE", range},
                             {"LOVAGE_WORKER_AUTOSCALE_KEEPALIVE", keepalive}});
    }
    bool log_says(const std::string& text, std::size_t times = 1) {
        for (const Deadline end = soon(); !end.passed();) {
            const std::string log = log_of("worker");
            std::size_t found = 0;
            for (std::size_t at = log.find(text); at != std::string::npos; ++found) {
                at = log.find(text, at + 1);
            }
            if (found >= times) return true;
        }
        return false;
    }
};

TEST_P(AutoscaleOf, GrowsUnderLoadAndShrinksWithoutLosingATask) {
    Process worker = start_scaling("4,1");
    for (std::size_t round = 0; round < 2; ++round) {
        std::vector<AsyncResult<Json>> sent;
        const auto key = [round](int i) { return fmt::format("task-{}-{}", round, i); };
        for (int i = 0; i < 8; ++i) sent.push_back(send_hold(key(i)));
        // All four run at once.
        EXPECT_TRUE(ledger_.wait_until(
            [&] { return ledger_.count("start") - ledger_.count("end") == 4; }, soon()))
            << logs();
        for (int i = 0; i < 8; ++i) ledger_.open_gate(key(i));
        for (const auto& task : sent) EXPECT_EQ(task.wait(kPatience).status, states::kSuccess);
        // At once, or in steps where the last tasks took their time.
        EXPECT_TRUE(log_says(" slots: 1 of at most 4", round + 1)) << logs();
    }
    if (std::string{GetParam()} == "prefork") {
        for (const Deadline end = soon(); children_of(worker.pid()).size() > 1;) {
            ASSERT_FALSE(end.passed());
        }
    }
    stop(worker);
    EXPECT_EQ(ledger_.count("end"), 16U);
    EXPECT_EQ(ledger_.count("start"), 16U);
    EXPECT_EQ(ledger_.count("slot-stop"), ledger_.count("slot-start")) << "all left in order";
}

TEST_P(AutoscaleOf, ABusySlotFinishesItsTaskFirst) {
    Process worker = start_scaling("3,1", "0");
    const auto held = send_hold("held");
    const auto other = send_hold("other");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    ASSERT_TRUE(ledger_.wait_for("start", "other", soon())) << logs();
    ledger_.open_gate("other");
    EXPECT_EQ(other.wait(kPatience).status, states::kSuccess);
    EXPECT_TRUE(log_says("Scaling down")) << logs();
    ledger_.open_gate("held");
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(ledger_.count("start", "held"), 1U);
    stop(worker);
}

INSTANTIATE_TEST_SUITE_P(In, AutoscaleOf, testing::Values("prefork", "threads"),
                         [](const auto& test) { return std::string{test.param}; });

class NoAutoscaleOf : public AutoscaleOf {};

TEST_P(NoAutoscaleOf, IsRefusedByName) {
    Process worker = start_scaling("4,1");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 2});
    EXPECT_THAT(logs(), HasSubstr(fmt::format("the pool '{}' cannot grow or shrink", GetParam())));
}

INSTANTIATE_TEST_SUITE_P(In, NoAutoscaleOf, testing::Values("coroutine", "solo"),
                         [](const auto& test) { return std::string{test.param}; });

}  // namespace
}  // namespace lovage::integration
