// Slots of their own: what a task does to its slot hurts neither the worker nor other tasks.
#include "project.hpp"

#include <fmt/core.h>

#include <tests/support/event_follower.hpp>

#include <thread>

#include <signal.h>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Prefork : public Project {
protected:
    AsyncResult<Json> misbehave(const std::string& how, SendOptions options = {}) {
        Json args = Json::array({how, how});
        return app_.send_task("ledger.misbehave", std::move(args), Json::object(),
                              std::move(options));
    }

    /// The failure of a task whose slot died until it was not run any more.
    TaskFailure lost(const std::string& how) {
        const TaskMeta meta = misbehave(how).wait(kPatience);
        EXPECT_EQ(meta.status, states::kFailure);
        EXPECT_EQ(ledger_.count("start", how), 3U);
        const auto failure = meta.failure();
        EXPECT_TRUE(failure);
        if (!failure) return {};
        EXPECT_EQ(failure->exc_type, "WorkerLostError");
        EXPECT_EQ(failure->exc_module, "billiard.exceptions");
        return *failure;
    }

    std::string last_message_in_quarantine() { return run({"quarantine", "show"}).out; }
};

TEST_F(Prefork, ANullDereferenceEndsWithItsBacktraceInQuarantine) {
    Process worker = start_worker("worker");
    const TaskFailure failure = lost("null");
    EXPECT_EQ(failure.exc_message,
              "Worker exited prematurely: signal 11 (SIGSEGV) at address 0x0000000000000000.");
    EXPECT_THAT(failure.traceback,
                AllOf(StartsWith("Traceback (most recent call last):"),
                      HasSubstr("::dereference_null()\n"), HasSubstr("ledger_app.cpp\", line ")));
    EXPECT_THAT(last_message_in_quarantine(), AllOf(HasSubstr("crashed"), HasSubstr("3 times")));
    stop(worker);
}

TEST_F(Prefork, EventsOfATasksOwnComeFromEveryPool) {
    EventFollower follower{app_};
    for (const std::string pool : {"prefork", "threads", "coroutine", "solo"}) {
        Process worker = start_worker(
            pool, 1, {{"LOVAGE_WORKER_POOL", pool}, {"LOVAGE_WORKER_SEND_TASK_EVENTS", "true"}});
        const auto result = app_.send_task("ledger.tell");
        follower.until_ended(result.id());
        EXPECT_THAT(follower.of(result.id()), ElementsAre("received", "started", "progress",
                                                          "progress", "progress", "succeeded"))
            << pool;
        stop(worker);
    }
}

TEST_F(Prefork, ATaskInASlotCannotAskWorkersAndIsToldSo) {
    Process worker = start_worker("worker");
    const TaskMeta meta = app_.send_task("ledger.inspect").wait(kPatience);
    ASSERT_TRUE(meta.failure());
    EXPECT_THAT(meta.failure()->exc_message, HasSubstr("a slot process has no broker"));
    stop(worker);
}

TEST_F(Prefork, AnAbortAndAnExitAreToldApart) {
    Process worker = start_worker("worker");
    EXPECT_EQ(lost("abort").exc_message, "Worker exited prematurely: signal 6 (SIGABRT).");
    // Not asked of SIGSEGV, which sanitizers explain at length: only the end is kept.
    EXPECT_THAT(last_message_in_quarantine(), HasSubstr("abort says: abort"));
    EXPECT_EQ(lost("exit").exc_message, "Worker exited prematurely: exit code 7.");
    EXPECT_EQ(lost("kill").exc_message, "Worker exited prematurely: signal 9 (SIGKILL).");
    stop(worker);
}

TEST_F(Prefork, AStackOverflowHasABacktraceToo) {
    Process worker = start_worker("worker");
    const TaskFailure failure = lost("stack");
    // ThreadSanitizer keeps a stack of calls of its own, which overflows first: its runtime then
    // dies in one way or another before our handler is asked.
    if (!kThreadSanitizer) {
        EXPECT_THAT(failure.exc_message, HasSubstr("SIGSEGV"));
        EXPECT_THAT(failure.traceback, HasSubstr("::use_stack(int)\n"));
    }
    stop(worker);
}

TEST_F(Prefork, ATaskThatTakesTooMuchMemoryIsKilledWhileItRuns) {
    Process worker = start_worker("worker", 2, {{"LOVAGE_WORKER_MAX_MEMORY_PER_CHILD", "262144"}});
    const TaskFailure failure = lost("memory");
    EXPECT_THAT(failure.exc_message, HasSubstr("worker_max_memory_per_child"));
    EXPECT_THAT(
        failure.traceback,
        AllOf(HasSubstr("::take_memory()\n"),
              EndsWith("billiard.exceptions.WorkerLostError: " + failure.exc_message + "\n")));
    EXPECT_THAT(last_message_in_quarantine(), HasSubstr("::take_memory()"));
    stop(worker);
}

TEST_F(Prefork, ATaskThatBlocksSignalsIsKilledForItsMemoryAllTheSame) {
    Process worker = start_worker("worker", 2, {{"LOVAGE_WORKER_MAX_MEMORY_PER_CHILD", "262144"}});
    const TaskFailure failure = lost("memory-deaf");
    EXPECT_THAT(failure.exc_message, HasSubstr("worker_max_memory_per_child"));
    EXPECT_THAT(failure.traceback, HasSubstr("in a prefork slot"));
    stop(worker);
}

TEST_F(Prefork, ATaskIsToldOfItsSoftLimitAndTellsItsProgress) {
    Process worker = start_worker("worker");
    const auto sent =
        app_.send_task("ledger.progress", Json::array(), Json::object(), {.soft_time_limit = 3s});
    while (sent.state() == states::kPending) std::this_thread::yield();
    EXPECT_EQ(sent.state(), "PROGRESS");
    const TaskMeta meta = sent.wait(kPatience);
    ASSERT_TRUE(meta.failure());
    EXPECT_EQ(meta.failure()->exc_type, "SoftTimeLimitExceeded");
    stop(worker);
}

TEST_F(Prefork, ATerminatedTaskIsKilled) {
    Process worker = start_worker("worker", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    held.revoke({.terminate = true});
    EXPECT_EQ(held.wait(kPatience).status, states::kRevoked);
    EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(ledger_.count("end", "held"), 0U);
    stop(worker);
}

TEST_F(Prefork, ATerminatedTaskTellsWhereItWas) {
    Process worker = start_worker("worker", 1);
    const auto stuck = misbehave("asleep");
    ASSERT_TRUE(ledger_.wait_for("start", "asleep", soon())) << logs();
    EXPECT_EQ(run({"revoke", "--terminate", stuck.id()}).ending, Ending{.exit_code = 0});
    const TaskMeta meta = stuck.wait(kPatience);
    EXPECT_EQ(meta.status, states::kRevoked);
    // The client's record comes first, the worker's with the place after it.
    for (const Deadline end = soon(); !end.passed() && !stuck.meta().traceback;) {
        std::this_thread::sleep_for(5ms);
    }
    EXPECT_THAT(stuck.meta().traceback.value_or(""),
                AllOf(HasSubstr("::sleep_long()\n"), HasSubstr("ledger_app.cpp\", line "),
                      EndsWith("celery.exceptions.TaskRevokedError: terminated\n")));
    stop(worker);
    EXPECT_THAT(logs(), HasSubstr("::sleep_long()"));
}

TEST_F(Prefork, ATerminatedTaskGetsTheSignalThatWasAskedFor) {
    Process worker = start_worker("worker", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    // Nothing handles it in a slot, so it kills.
    const Output revoked = run({"revoke", held.id(), "--terminate", "--signal", "USR2"});
    EXPECT_EQ(revoked.ending, Ending{.exit_code = 0}) << revoked.err;
    EXPECT_EQ(revoked.out, held.id() + ": revoked, and terminated where it runs\n");
    EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(held.wait(kPatience).status, states::kRevoked);
    stop(worker);
    EXPECT_THAT(logs(), HasSubstr("Terminating ledger.hold[" + held.id() + "] (SIGUSR2)"));
    EXPECT_EQ(ledger_.count("end", "held"), 0U);
    EXPECT_EQ(held.meta().failure()->exc_message, "terminated");
    EXPECT_THAT(logs(), Not(HasSubstr("by itself"))) << "it was no crash";
    EXPECT_EQ(ledger_.count("start", "held"), 1U);
    EXPECT_EQ(queue_status().ready, 0U);
}

TEST_F(Prefork, AHarderSignalMayFollowAMilderOne) {
    Process worker = start_worker("worker", 1);
    const auto sent = app_.send_task("ledger.misbehave", Json::array({"ignore-SIGHUP", "deaf"}));
    ASSERT_TRUE(ledger_.wait_for("start", "deaf", soon())) << logs();
    sent.revoke({.terminate = true, .signal = SIGHUP});
    sent.revoke({.terminate = true});
    EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(sent.wait(kPatience).status, states::kRevoked);
    stop(worker);
}

TEST_F(Prefork, ATaskSendsAndWaitsByWayOfTheWorker) {
    Process worker = start_worker("worker", 2);
    const auto sum = app_.send_task("ledger.add-elsewhere", Json::array({40, 2}));
    EXPECT_EQ(sum.get(kPatience), Json{42});
    const TaskMeta meta = sum.meta();
    ASSERT_EQ(meta.children.fully_expanded()->as_array().size(), 1U) << "it is the other's parent";
    stop(worker);
}

TEST_F(Prefork, ATaskGivenToADyingSlotIsRunByAnotherAndNotBlamed) {
    Process worker = start_worker("worker", 1);
    std::vector<AsyncResult<Json>> sent;
    // Each of them ends well, and its slot then reads nothing any more.
    for (int i = 0; i < 5; ++i) {
        sent.push_back(misbehave("hang-up"));
        sent.push_back(send_work(fmt::format("behind-{}", i)));
    }
    for (const auto& result : sent) EXPECT_EQ(result.wait(kPatience).status, states::kSuccess);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(ledger_.count("start", fmt::format("behind-{}", i)), 1U);
    stop(worker);
    EXPECT_THAT(logs(), Not(HasSubstr("took its slot along")));
}

TEST_F(Prefork, SlotsDieWithTheirWorker) {
    Process worker = start_worker("worker", 3);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    const auto slots = children_of(worker.pid());
    EXPECT_EQ(slots.size(), 3U);
    worker.kill();
    for (const Deadline end = soon(); !end.passed();) {
        // They have become this process's children, and stay zombies until they are reaped.
        if (all_children_ended()) break;
    }
    for (const pid_t slot : slots) EXPECT_EQ(::kill(slot, 0), -1);
}

TEST_F(Prefork, SlotsAreReplacedAfterTheirLastTask) {
    Process worker = start_worker("worker", 1, {{"LOVAGE_WORKER_MAX_TASKS_PER_CHILD", "2"}});
    std::vector<AsyncResult<Json>> sent;
    for (int i = 0; i < 7; ++i) sent.push_back(send_work(fmt::format("task-{}", i)));
    for (const auto& task : sent) EXPECT_EQ(task.wait(kPatience).status, states::kSuccess);
    for (const auto& [key, starts] : ledger_.by_key("start")) EXPECT_EQ(starts.size(), 1U) << key;
    stop(worker);
    EXPECT_GE(ledger_.count("slot-start"), 4U);
    EXPECT_EQ(ledger_.count("slot-stop"), ledger_.count("slot-start"))
        << "every slot was left in order";
}

TEST_F(Prefork, ASlotWithOtherTasksIsRefusedByName) {
    Process worker = start_worker("worker", 1, {{"TEST_ODD_SLOTS", "1"}});
    const auto ending = worker.wait(soon());
    EXPECT_EQ(ending, Ending{.exit_code = 1});
    EXPECT_THAT(logs(), AllOf(HasSubstr("its tasks are not the worker's"),
                              HasSubstr("only the slot has ledger.odd()")));
}

TEST_F(Prefork, GoodTasksAreUntouchedBesideBadOnes) {
    Process worker = start_worker("worker", 3, {{"LOVAGE_WORKER_MAX_MEMORY_PER_CHILD", "262144"}});
    std::vector<AsyncResult<Json>> bad;
    std::vector<AsyncResult<Json>> good;
    bad.push_back(misbehave("null"));
    bad.push_back(misbehave("memory"));
    bad.push_back(misbehave("spin", {.time_limit = 1s}));
    for (int i = 0; i < 1000; ++i) good.push_back(send_work(fmt::format("good-{}", i)));
    for (const auto& task : good) EXPECT_EQ(task.wait(kPatience).status, states::kSuccess);
    std::vector<TaskFailure> reasons;
    for (const auto& task : bad) {
        const TaskMeta meta = task.wait(kPatience);
        EXPECT_EQ(meta.status, states::kFailure);
        reasons.push_back(meta.failure().value_or(TaskFailure{}));
    }
    EXPECT_THAT(reasons[0].exc_message, HasSubstr("signal 11 (SIGSEGV) at address 0x0"));
    EXPECT_THAT(reasons[0].traceback,
                AllOf(HasSubstr("::dereference_null()\n"), HasSubstr("ledger_app.cpp\", line ")));
    EXPECT_THAT(reasons[1].exc_message, HasSubstr("used more memory than worker_max_memory_per_"));
    EXPECT_THAT(reasons[1].traceback,
                AllOf(HasSubstr("::take_memory()\n"), HasSubstr("ledger_app.cpp\", line ")));
    EXPECT_EQ(reasons[2].exc_type, "TimeLimitExceeded");
    EXPECT_EQ(reasons[2].exc_message, "1");  // seconds
    if (!kThreadSanitizer) {                 // which keeps signals back while nothing is called
        EXPECT_THAT(reasons[2].traceback,
                    AllOf(HasSubstr("::spin()\n"), HasSubstr("ledger_app.cpp\", line ")));
    }
    stop(worker);
    for (const auto& [key, starts] : ledger_.by_key("end")) EXPECT_EQ(starts.size(), 1U) << key;
}

}  // namespace
}  // namespace lovage::integration
