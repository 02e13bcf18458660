// Slots whose tasks are short are given some ahead: no task may wait there behind a long one.
#include "project.hpp"

#include <fmt/core.h>

#include <string>
#include <vector>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;

class GivenAhead : public Project {
protected:
    /// So many tasks that are over at once, one after the other in the queue.
    std::vector<AsyncResult<Json>> send_short(const std::string& name, int count) {
        std::vector<AsyncResult<Json>> sent;
        for (int i = 0; i < count; ++i) sent.push_back(send_work(fmt::format("{}-{}", name, i)));
        return sent;
    }
    void expect_success(const std::vector<AsyncResult<Json>>& tasks) {
        for (const auto& task : tasks) EXPECT_EQ(task.wait(kPatience).status, states::kSuccess);
    }
    void expect_each_ran_once() {
        for (const auto& [key, starts] : ledger_.by_key("start")) {
            EXPECT_EQ(starts.size(), 1U) << key;
        }
    }
};

TEST_F(GivenAhead, NothingWaitsBehindALongTaskWhileAnotherSlotIsFree) {
    for (int round = 0; round < 5; ++round) {
        const std::string name = fmt::format("round-{}", round);
        // Queued before there is a worker, so that they come as one heap.
        auto tasks = send_short(name + "-before", 300);
        const auto held = send_hold(name);
        const auto after = send_short(name + "-after", 300);
        Process worker = start_worker("worker", 2);
        tasks.insert(tasks.end(), after.begin(), after.end());
        expect_success(tasks);
        EXPECT_EQ(ledger_.count("end", name), 0U) << "it was held all the time";
        ledger_.open_gate(name);
        EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
        stop(worker);
    }
    expect_each_ran_once();
}

TEST_F(GivenAhead, ATaskRevokedWhileALongOneHoldsUpItsSlotNeverStarts) {
    auto tasks = send_short("before", 300);
    const auto held = send_hold("held");
    const auto after = send_short("after", 100);
    Process worker = start_worker("worker", 1);
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    for (const auto& task : after) task.revoke();
    // Looked up once a second while it waits.
    std::this_thread::sleep_for(2500ms);
    ledger_.open_gate("held");
    for (const auto& task : after) EXPECT_EQ(task.wait(kPatience).status, states::kRevoked);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(ledger_.count("start", fmt::format("after-{}", i)), 0U);
    expect_success(tasks);
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(worker);
}

TEST_F(GivenAhead, OnlyTheTaskThatReachesItsLimitPaysForIt) {
    auto tasks = send_short("before", 300);
    std::vector<AsyncResult<Json>> late;
    for (int i = 0; i < 3; ++i) {
        late.push_back(app_.send_task("ledger.misbehave", Json::array({"spin", "spin"}),
                                      Json::object(), {.time_limit = 300ms}));
        const auto after = send_short(fmt::format("after-{}", i), 100);
        tasks.insert(tasks.end(), after.begin(), after.end());
    }
    Process worker = start_worker("worker", 1);
    for (const auto& task : late) {
        const TaskMeta meta = task.wait(kPatience);
        ASSERT_TRUE(meta.failure());
        EXPECT_EQ(meta.failure()->exc_type, "TimeLimitExceeded");
    }
    expect_success(tasks);
    stop(worker);
    for (const auto& [key, ends] : ledger_.by_key("end")) EXPECT_EQ(ends.size(), 1U) << key;
}

TEST_F(GivenAhead, TasksBesideACrashAreRunByTheNextSlotAndNotBlamed) {
    auto tasks = send_short("before", 300);
    const auto crash = app_.send_task("ledger.misbehave", Json::array({"abort", "abort"}));
    const auto after = send_short("after", 300);
    tasks.insert(tasks.end(), after.begin(), after.end());
    Process worker = start_worker("worker", 1);
    expect_success(tasks);
    EXPECT_EQ(crash.wait(kPatience).status, states::kFailure);
    EXPECT_EQ(ledger_.count("start", "abort"), 3U);
    stop(worker);
    for (const auto& [key, ends] : ledger_.by_key("end")) EXPECT_EQ(ends.size(), 1U) << key;
}

TEST_F(GivenAhead, ASlotThatMayRunFewTasksIsGivenNoMore) {
    const auto tasks = send_short("task", 200);
    Process worker = start_worker("worker", 2, {{"LOVAGE_WORKER_MAX_TASKS_PER_CHILD", "7"}});
    expect_success(tasks);
    stop(worker);
    EXPECT_GE(ledger_.count("slot-start"), 200U / 7);
    expect_each_ran_once();
}

TEST_F(GivenAhead, AStopReturnsWhatHasNotBegun) {
    const auto before = send_short("before", 300);
    const auto held = send_hold("held");
    const auto after = send_short("after", 50);
    Process worker = start_worker("worker", 1);
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGTERM);
    for (const Deadline end = soon(); !end.passed() && queue_status().ready < 50;) {
        std::this_thread::sleep_for(10ms);
    }
    EXPECT_EQ(queue_status().ready, 50U) << "they go back at once, before what runs has ended";
    ledger_.open_gate("held");
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0});
    expect_success(before);
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(ledger_.count("start", fmt::format("after-{}", i)), 0U);
}

}  // namespace
}  // namespace lovage::integration
