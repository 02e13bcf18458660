// Whole workers that die: what ran is charged with a crash, what was only delivered is not.
#include "project.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/worker/crash_count.hpp>

#include <fmt/core.h>

#include <filesystem>

#include <signal.h>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Awaitable<std::size_t> look_up(std::shared_ptr<AppCore> core, std::string id) {
    if (!co_await core->connect(soon())) co_return 1'000;
    CrashCount count{*core};
    co_return (co_await count.look_up({std::move(id)}, wall_clock_now())).front();
}

class Journal : public Project, public testing::WithParamInterface<const char*> {
protected:
    Process start_one(const std::string& name, const std::string& pool = GetParam()) {
        return start_worker(name, 1, {{"LOVAGE_WORKER_POOL", pool}});
    }
    std::size_t crashes_of(const AsyncResult<Json>& task) {
        return app_.core()->loop().run_blocking(look_up(app_.core(), task.id()));
    }
    /// One task runs, others are with the worker, too.
    AsyncResult<Json> hold_before_others(std::vector<AsyncResult<Json>>& others) {
        // Short tasks make the worker ask for more than it can run.
        std::vector<AsyncResult<Json>> quick;
        for (int i = 0; i < 300; ++i) quick.push_back(send_work(fmt::format("quick-{}", i)));
        const auto held = send_hold("held");
        for (int i = 0; i < 5; ++i) others.push_back(send_work(fmt::format("other-{}", i)));
        EXPECT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
        for (const auto& task : quick) (void)task.wait(kPatience);
        QueueStatus status = queue_status();
        for (const Deadline end = soon(); status.unsettled < 3 && !end.passed();) {
            status = queue_status();
        }
        EXPECT_GE(status.unsettled, 3U) << "nothing was prefetched";
        return held;
    }
    void expect_no_file() { EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "inflight")); }
};

TEST_P(Journal, ChargesWhatRanWhenItsWorkerWasKilledAndNothingElse) {
    Process worker = start_one("first");
    std::vector<AsyncResult<Json>> others;
    const auto held = hold_before_others(others);
    worker.kill();
    Process next = start_one("next");
    ledger_.open_gate("held");
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    for (const auto& task : others) EXPECT_EQ(task.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(crashes_of(held), 1U);
    for (const auto& task : others) EXPECT_EQ(crashes_of(task), 0U);
    stop(next);
    expect_no_file();
}

TEST_P(Journal, IsReadByAWorkerThatWasThereAllTheTime) {
    Process worker = start_one("first");
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    Process other = start_one("other");
    EXPECT_EQ(send_work("by-the-other").wait(kPatience).status, states::kSuccess);
    worker.kill();
    ledger_.open_gate("held");
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(other);
    // In the very moment of the death the other may have been faster than the kernel.
    Process next = start_one("next");
    EXPECT_EQ(send_work("by-the-next").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(crashes_of(held), 1U);
    stop(next);
    expect_no_file();
}

TEST_P(Journal, BlamesNobodyWhenTheWorkerWasAskedToStop) {
    Process worker = start_one("first");
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    worker.signal(SIGTERM);
    // As a service manager does that has waited long enough.
    for (const Deadline end = soon(); !end.passed();) {
        if (std::filesystem::is_empty(folder_.path() / "inflight")) break;
    }
    worker.kill();
    Process next = start_one("next");
    ledger_.open_gate("held");
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(crashes_of(held), 0U);
    stop(next);
}

INSTANTIATE_TEST_SUITE_P(In, Journal, testing::Values("prefork", "threads"),
                         [](const auto& test) { return std::string{test.param}; });

class CrashOfAWorker : public Journal {};

TEST_P(CrashOfAWorker, TheThirdOnePutsItsTaskIntoQuarantine) {
    const auto bad = app_.send_task("ledger.misbehave", Json::array({"null", "bad"}));
    for (int death = 1; death <= 3; ++death) {
        Process worker = start_one(fmt::format("worker-{}", death));
        const auto ending = worker.wait(soon());
        ASSERT_TRUE(ending) << logs();
        EXPECT_NE(*ending, Ending{.exit_code = 0});
    }
    Process worker = start_one("last");
    const TaskMeta meta = bad.wait(kPatience);
    EXPECT_EQ(meta.status, states::kFailure);
    ASSERT_TRUE(meta.failure());
    EXPECT_EQ(meta.failure()->exc_type, "WorkerLostError");
    EXPECT_EQ(ledger_.count("start", "bad"), 3U);
    EXPECT_THAT(run({"quarantine", "show"}).out, HasSubstr("3 times"));
    EXPECT_EQ(send_work("good").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(crashes_of(bad), 0U) << "a replay begins anew";
    stop(worker);
}

INSTANTIATE_TEST_SUITE_P(In, CrashOfAWorker, testing::Values("threads", "coroutine", "solo"),
                         [](const auto& test) { return std::string{test.param}; });

}  // namespace
}  // namespace lovage::integration
