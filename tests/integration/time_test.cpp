#include "project.hpp"

#include <thread>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using Time = Project;

TEST_F(Time, ATaskWithACountdownBeginsNoEarlier) {
    Process worker = start_worker("worker");
    EXPECT_EQ(send_work("warm").wait(kPatience).status, states::kSuccess);
    const auto sent = monotonic_now();
    const auto delayed = send_work("delayed", 0, {.countdown = 3s});
    EXPECT_EQ(send_work("prompt").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(delayed.wait(kPatience).status, states::kSuccess);
    const auto starts = ledger_.by_key("start");
    EXPECT_GE(starts.at("delayed").front().time - sent, 3s);
    EXPECT_LT(starts.at("prompt").front().time, starts.at("delayed").front().time);
    stop(worker);
}

TEST_F(Time, ATaskWithAnEtaSurvivesTheWorkerThatHeldIt) {
    Process doomed = start_worker("doomed");
    EXPECT_EQ(send_work("warm").wait(kPatience).status, states::kSuccess);
    const auto sent = monotonic_now();
    const auto delayed = send_work("delayed", 0, {.countdown = 5s});
    EXPECT_EQ(send_work("meanwhile").wait(kPatience).status, states::kSuccess);
    doomed.kill();
    Process successor = start_worker("successor");
    EXPECT_EQ(delayed.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(ledger_.count("start", "delayed"), 1U);
    EXPECT_GE(ledger_.by_key("start").at("delayed").front().time - sent, 5s);
    stop(successor);
}

void expect_expired(const TaskMeta& meta) {
    EXPECT_EQ(meta.status, states::kRevoked);
    const auto failure = meta.failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->exc_type, "TaskRevokedError");
    EXPECT_EQ(failure->exc_message, "expired");
}

TEST_F(Time, AnExpiredTaskEndsAsRevokedAndIsNotRun) {
    const auto late = send_work("late", 0, {.expires = wall_clock_now()});
    const auto fresh = send_work("fresh", 0, {.expires = 1h});
    Process worker = start_worker("worker");
    expect_expired(late.wait(kPatience));
    EXPECT_EQ(fresh.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(ledger_.count("start", "late"), 0U);
    stop(worker);
}

TEST_F(Time, ATaskThatExpiresBehindOthersIsNotRun) {
    Process worker = start_worker("worker", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    const auto expires = wall_clock_now() + 300ms;
    const auto late = send_work("late", 0, {.expires = expires});
    std::this_thread::sleep_until(expires + 1ms);
    ledger_.open_gate("held");
    expect_expired(late.wait(kPatience));
    EXPECT_EQ(ledger_.count("start", "late"), 0U);
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(worker);
}

TEST_F(Time, ARevokedTaskIsNotRun) {
    const auto unwanted = send_work("unwanted");
    unwanted.revoke();
    Process worker = start_worker("worker");
    EXPECT_EQ(send_work("wanted").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(unwanted.wait(kPatience).status, states::kRevoked);
    stop(worker);
    EXPECT_EQ(ledger_.count("start", "unwanted"), 0U);
    const QueueStatus left = queue_status();
    EXPECT_EQ(left.ready + left.unsettled, 0U);
}

}  // namespace
}  // namespace lovage::integration
