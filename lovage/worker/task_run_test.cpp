#include <lovage/worker/task_run.hpp>

#include <lovage/worker/task_record.hpp>

#include <lovage/core/task_function.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

/// A request for `task` with raw arguments, as decoded.
TaskRequest request_for(const TaskDefinition& task, const char* args) {
    TaskRequest request;
    request.message.id = "id-1";
    request.message.task = task.name;
    request.message.args = Json::raw(args);
    request.message.kwargs = Json::raw("{}");
    request.message.parent_id = "parent-1";
    request.definition = &task;
    request.delivery.queue = "celery";
    request.context = std::make_shared<TaskContext>(
        TaskContext::Request{.id = "id-1", .task = task.name, .hostname = "w@h"});
    return request;
}

TEST(RunTask, ASuccessCarriesTheValue) {
    const auto task =
        make_task_definition("add", [](int x, int y) { return x + y; }, arg("x"), arg("y"));
    const TaskRequest request = request_for(task, "[2, 3]");
    const TaskOutcome outcome = run_task(request);
    const TaskMeta meta = make_meta(request, outcome, false);

    EXPECT_FALSE(outcome.failure);
    EXPECT_EQ(meta.status, "SUCCESS");
    EXPECT_EQ(meta.result, Json{5});
    EXPECT_EQ(meta.task_id, "id-1");
    EXPECT_EQ(meta.parent_id, "parent-1");
    EXPECT_TRUE(meta.date_done);
    EXPECT_FALSE(meta.traceback);
}

TEST(RunTask, WhatTheFunctionThrowsBecomesTheFailure) {
    const auto task = make_task_definition("bad", [] { throw std::out_of_range{"no such row"}; });
    const TaskRequest request = request_for(task, "[]");
    const TaskMeta meta = make_meta(request, run_task(request), false);

    EXPECT_EQ(meta.status, "FAILURE");
    EXPECT_EQ(
        to_json_text(meta.result),
        R"({"exc_type": "IndexError", "exc_message": ["no such row"], "exc_module": "builtins"})");
    EXPECT_TRUE(meta.traceback);
}

TEST(RunTask, TheContextIsCurrentWhileTheTaskRunsOnly) {
    const auto task = make_task_definition("who", [] { return TaskContext::current()->id(); });
    const TaskRequest request = request_for(task, "[]");

    EXPECT_EQ(run_task(request).value, Json{"id-1"});
    EXPECT_EQ(TaskContext::current(), nullptr);
}

TEST(RunTask, ChildrenAreListedInCelerysForm) {
    const auto task =
        make_task_definition("parent", [](TaskContext& context) { context.add_child("c1"); });
    const TaskRequest request = request_for(task, "[]");
    EXPECT_EQ(to_json_text(make_meta(request, run_task(request), false).children),
              R"([[["c1", null], null]])");
}

TEST(RunTask, ExtendedResultsNameTheCall) {
    const auto task = make_task_definition("f", [](int x) { return x; }, arg("x"));
    const TaskRequest request = request_for(task, "[1]");
    const TaskMeta meta = make_meta(request, run_task(request), true);
    EXPECT_EQ(
        to_json_text(meta.extra),
        R"({"name": "f", "args": [1], "kwargs": {}, "worker": "w@h", "retries": 0, "queue": "celery"})");
}

TEST(RunTask, AnExpiredTaskDoesNotStart) {
    const auto task = make_task_definition("f", [] { return 1; });
    TaskRequest request = request_for(task, "[]");
    request.message.expires = TimePoint{};
    const TaskOutcome outcome = run_task(request);
    EXPECT_EQ(outcome.ending, Ending::revoked);
    EXPECT_EQ(outcome.reason, "expired");
    EXPECT_EQ(
        to_json_text(make_meta(request, outcome, false).result),
        R"({"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"})");
}

TEST(RunTask, ARevokedTaskDoesNotStart) {
    bool ran = false;
    const auto task = make_task_definition("f", [&] { ran = true; });
    const TaskRequest request = request_for(task, "[]");
    request.context->forbid_start();
    const TaskOutcome outcome = run_task(request);
    EXPECT_EQ(outcome.ending, Ending::revoked);
    EXPECT_EQ(outcome.reason, "revoked");
    EXPECT_FALSE(ran);
}

TEST(RunTask, ATerminatedTaskEndsAsRevokedWhateverItReturns) {
    const auto task = make_task_definition("f", [](TaskContext& context) {
        context.request_stop(StopReason::terminated);
        return 1;
    });
    const TaskRequest request = request_for(task, "[]");
    const TaskOutcome outcome = run_task(request);
    EXPECT_EQ(outcome.ending, Ending::revoked);
    EXPECT_EQ(outcome.reason, "terminated");
}

TaskMeta record_at_hard_limit(std::chrono::milliseconds limit,
                              std::shared_ptr<const CrashReport> crash) {
    const auto task = make_task_definition("f", [] {});
    TaskOutcome outcome;
    outcome.ending = Ending::timed_out;
    outcome.time_limit = limit;
    outcome.crash = std::move(crash);
    return make_meta(request_for(task, "[]"), outcome, false);
}

TEST(RunTask, AHardLimitIsCelerysFailureWithTheLimitAsItsArgument) {
    const TaskMeta meta = record_at_hard_limit(std::chrono::seconds{2}, nullptr);
    EXPECT_EQ(
        to_json_text(meta.result),
        R"({"exc_type": "TimeLimitExceeded", "exc_message": [2], "exc_module": "billiard.exceptions"})");
    EXPECT_FALSE(meta.traceback);
}

TEST(RunTask, AHardLimitHasTheCallStackOfItsSlotForTraceback) {
    const TaskMeta meta = record_at_hard_limit(
        std::chrono::milliseconds{500},
        std::make_shared<const CrashReport>(
            CrashReport{"killed", "", "  File \"shop.cpp\", line 7, in shop::spin()\n", ""}));
    EXPECT_EQ(
        to_json_text(meta.result),
        R"({"exc_type": "TimeLimitExceeded", "exc_message": [0.5], "exc_module": "billiard.exceptions"})");
    EXPECT_EQ(meta.traceback,
              "Traceback (most recent call last):\n"
              "  File \"shop.cpp\", line 7, in shop::spin()\n"
              "billiard.exceptions.TimeLimitExceeded: TimeLimitExceeded(0.5,)\n");
}

}  // namespace
}  // namespace lovage
