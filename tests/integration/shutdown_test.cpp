#include "project.hpp"

#include <fmt/core.h>

#include <signal.h>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;

class Shutdown : public Project {
protected:
    /// SIGTERM, and whether the worker has said that it heard it: two signals on their way at once
    /// are one.
    bool asked_to_stop(const Process& worker, const std::string& name) {
        worker.signal(SIGTERM);
        return ledger_.wait_until(
            [&] { return log_of(name).find("Warm shutdown") != std::string::npos; }, soon());
    }
};

TEST_F(Shutdown, FinishesWhatRunsAndReturnsTheRest) {
    Process worker = start_worker("first", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    std::vector<AsyncResult<Json>> waiting;
    for (int index = 0; index < 20; ++index) {
        waiting.push_back(send_work(fmt::format("waiting-{}", index)));
    }
    worker.signal(SIGTERM);

    // The rest is free for others while the first still finishes its task.
    Process other = start_worker("other", 1);
    for (const auto& task : waiting) EXPECT_EQ(task.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(ledger_.count("end", "held"), 0U);
    ledger_.open_gate("held");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(other);
    for (const auto& [key, starts] : ledger_.by_key("start")) EXPECT_EQ(starts.size(), 1U) << key;
}

TEST_F(Shutdown, AnIdleWorkerEndsAtOnce) {
    Process worker = start_worker("idle");
    EXPECT_EQ(send_work("ready").wait(kPatience).status, states::kSuccess);
    const auto asked = monotonic_now();
    stop(worker);
    // Connections are given as long to close.
    EXPECT_LT(monotonic_now() - asked, 20s);
}

TEST_F(Shutdown, ASecondSignalDoesNotWaitForATaskThatIgnoresIt) {
    Process worker = start_worker("first", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    ASSERT_TRUE(asked_to_stop(worker, "first"));
    EXPECT_FALSE(worker.wait(Deadline::in(200ms)));
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();

    Process other = start_worker("other", 1);
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.count("start", "held") == 2; }, soon()))
        << logs();
    ledger_.open_gate("held");
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(other);
}

TEST_F(Shutdown, ASecondSignalAsksTasksToStop) {
    Process worker = start_worker("first", 1);
    const auto held = send_hold("held", true);
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    ASSERT_TRUE(asked_to_stop(worker, "first"));
    EXPECT_FALSE(worker.wait(Deadline::in(200ms)));
    EXPECT_EQ(ledger_.count("stopped", "held"), 0U);
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();

    // Its message went back, so it is begun again.
    ledger_.open_gate("held");
    Process other = start_worker("other", 1);
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(other);
}

TEST_F(Shutdown, TheWaitForRunningTasksIsBounded) {
    Process worker = start_worker("first", 1, {{"LOVAGE_WORKER_SHUTDOWN_TIMEOUT", "0.3"}});
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();
    const QueueStatus left = queue_status();
    EXPECT_EQ(left.ready, 1U);
    EXPECT_EQ(left.unsettled, 0U);
}

}  // namespace
}  // namespace lovage::integration
