#include <lovage/core/task_context.hpp>

#include <stdexcept>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

TaskContext context_after(std::int64_t retries) {
    return TaskContext{{.id = "id-1",
                        .task = "flaky",
                        .retries = retries,
                        .argsrepr = "(1,)",
                        .kwargsrepr = "{}"}};
}

/// What retry() threw.
template <class E>
E thrown_by_retry(const TaskContext& context, RetryOptions options = {}) {
    try {
        context.retry(std::move(options));
    } catch (const E& thrown) {
        return thrown;
    }
}

TEST(TaskContext, ARetryWaitsForTheTasksDefaultDelay) {
    const TaskContext context = context_after(0);
    const Retry retry = thrown_by_retry<Retry>(context);
    EXPECT_EQ(retry.countdown, 180s);
    EXPECT_FALSE(retry.eta);
    EXPECT_FALSE(retry.cause);
}

TEST(TaskContext, ARetryTakesTheExceptionBeingHandledAsItsCause) {
    const TaskContext context = context_after(0);
    try {
        throw std::runtime_error{"try again"};
    } catch (const std::exception&) {
        const Retry retry = thrown_by_retry<Retry>(context, {.countdown = 2s});
        EXPECT_EQ(retry.countdown, 2s);
        EXPECT_EQ(retry.cause, std::current_exception());
    }
}

TEST(TaskContext, WhenRetriesAreUsedUpTheCauseIsThrown) {
    const TaskContext context = context_after(3);
    const auto cause = std::make_exception_ptr(std::out_of_range{"no such row"});
    EXPECT_THROW(context.retry({.cause = cause}), std::out_of_range);
    EXPECT_THROW(context.retry({.max_retries = 4, .cause = cause}), Retry);
}

TEST(TaskContext, WhenRetriesAreUsedUpWithoutACauseItSaysSoAsCeleryDoes) {
    const TaskContext context = context_after(3);
    const auto error = thrown_by_retry<MaxRetriesExceededError>(context);
    EXPECT_STREQ(error.what(), "Can't retry flaky[id-1] args:(1,) kwargs:{}");
    EXPECT_EQ(error.exc_module(), "celery.exceptions");
}

TEST(TaskContext, ARetryThatContradictsItselfIsRefused) {
    const TaskContext context = context_after(0);
    EXPECT_THROW(context.retry({.countdown = 1s, .eta = TimePoint{}}), std::invalid_argument);
    EXPECT_THROW(context.retry({.args = Json::object()}), std::invalid_argument);
    EXPECT_THROW(context.retry({.kwargs = Json::array()}), std::invalid_argument);
}

TEST(TaskContext, ACheckpointPassesWhileNobodyAsksToStop) {
    TaskContext context = context_after(0);
    EXPECT_NO_THROW(context.checkpoint());
    EXPECT_EQ(context.stop_reason(), StopReason::none);
}

TEST(TaskContext, TheSoftLimitIsToldOnce) {
    TaskContext context = context_after(0);
    context.request_stop(StopReason::soft_time_limit);
    EXPECT_TRUE(context.stop_token().stop_requested());
    EXPECT_THROW(context.checkpoint(), SoftTimeLimitExceeded);
    EXPECT_NO_THROW(context.checkpoint()) << "the task is cleaning up";
}

TEST(TaskContext, ATerminatedTaskIsToldAtEveryCheckpointAlsoAfterTheSoftLimit) {
    TaskContext context = context_after(0);
    context.request_stop(StopReason::soft_time_limit);
    EXPECT_THROW(context.checkpoint(), SoftTimeLimitExceeded);
    context.request_stop(StopReason::terminated);
    context.request_stop(StopReason::shutdown);
    EXPECT_EQ(context.stop_reason(), StopReason::terminated);
    EXPECT_THROW(context.checkpoint(), TaskStopped);
    EXPECT_THROW(context.checkpoint(), TaskStopped);
}

class KeepingSink final : public TaskContext::EventSink {
public:
    void send(const std::string& task_id, std::string type, Json fields) override {
        sent.push_back(task_id + " " + type + " " + to_json_text(fields));
    }
    std::vector<std::string> sent;
};

TEST(TaskContext, AnEventGoesOutWithTheTasksId) {
    TaskContext context = context_after(0);
    EXPECT_NO_THROW(context.send_event("nobody-listens"));
    const auto sink = std::make_shared<KeepingSink>();
    context.send_events_to(sink);
    context.send_event("task-progress", Json::object({{"done", 3}}));
    context.send_event("task-progress", Json::raw(R"({"done": 4})"));
    EXPECT_EQ(sink->sent, (std::vector{context.id() + R"( task-progress {"done": 3})",
                                       context.id() + R"( task-progress {"done": 4})"}));
}

TEST(TaskContext, AnEventHasATypeAndFieldsOfItsOwn) {
    TaskContext context = context_after(0);
    EXPECT_THROW(context.send_event(""), std::invalid_argument);
    EXPECT_THROW(context.send_event(std::string(201, 'x')), std::invalid_argument);
    EXPECT_THROW(context.send_event("task-progress", 7), std::invalid_argument);
    EXPECT_THROW(context.send_event("task-progress", Json::raw("[7]")), std::invalid_argument);
    EXPECT_THROW(context.send_event("task-progress", Json::object({{"uuid", "another's"}})),
                 std::invalid_argument);
}

TEST(TaskContext, ScopesNest) {
    TaskContext outer = context_after(0);
    TaskContext inner = context_after(1);
    {
        const TaskContext::Scope first{outer};
        {
            const TaskContext::Scope second{inner};
            EXPECT_EQ(TaskContext::current(), &inner);
        }
        EXPECT_EQ(TaskContext::current(), &outer);
    }
    EXPECT_EQ(TaskContext::current(), nullptr);
}

}  // namespace
}  // namespace lovage
