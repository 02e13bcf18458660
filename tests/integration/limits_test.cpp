// Every pool × limit × way of not coming to an end.
#include "project.hpp"

#include <fmt/core.h>

#include <ostream>
#include <string>
#include <tuple>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string name_of(std::string text) {
    for (char& c : text) {
        if (c == '-') c = '_';
    }
    return text;
}

class LimitTest : public Project {
protected:
    Process start_with(const std::string& pool, std::map<std::string, std::string> more = {}) {
        more.insert({"LOVAGE_WORKER_POOL", pool});
        return start_worker("worker", 2, std::move(more));
    }
    /// The record of a task that would never end: it fails soon, and others run meanwhile.
    TaskMeta end_of(const char* task, const std::string& how, SendOptions options) {
        EXPECT_EQ(send_work("before").wait(kPatience).status, states::kSuccess);
        const auto sent = monotonic_now();
        const TaskMeta meta =
            app_.send_task(task, Json::array({how, how}), Json::object(), std::move(options))
                .wait(kPatience);
        EXPECT_LT(monotonic_now() - sent, 30s);
        EXPECT_EQ(ledger_.count("start", how), 1U);
        EXPECT_EQ(meta.status, states::kFailure);
        EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
        return meta;
    }
    static std::string type_of(const TaskMeta& meta) {
        return meta.failure() ? meta.failure()->exc_type : "";
    }
};

/// A task that heeds its context, in every pool, under either limit: the pools that cannot kill
/// take a message's hard limit for a soft one.
class HeedingTask
    : public LimitTest,
      public testing::WithParamInterface<std::tuple<const char*, const char*, const char*>> {};

TEST_P(HeedingTask, EndsInTime) {
    const auto [pool, limit, how] = GetParam();
    const bool hard = std::string{limit} == "hard";
    const bool coroutine = std::string{how} == "waiting";
    Process worker = start_with(pool);
    SendOptions options;
    (hard ? options.time_limit : options.soft_time_limit) = 500ms;
    const TaskMeta meta =
        end_of(coroutine ? "ledger.doze" : "ledger.heed", how, std::move(options));
    EXPECT_EQ(type_of(meta), hard && std::string{pool} == "prefork" ? "TimeLimitExceeded"
                                                                    : "SoftTimeLimitExceeded")
        << logs();
    stop(worker);
}

INSTANTIATE_TEST_SUITE_P(
    Of, HeedingTask,
    testing::Combine(testing::Values("prefork", "threads", "coroutine", "solo"),
                     testing::Values("soft", "hard"), testing::Values("busy", "asleep", "waiting")),
    [](const auto& test) {
        return fmt::format("{}_{}_{}", std::get<0>(test.param), std::get<1>(test.param),
                           std::get<2>(test.param));
    });

struct Heedless {
    const char* how;
    const char* where;  ///< What its call stack names; empty: it can tell nothing.
    friend void PrintTo(const Heedless& task, std::ostream* out) { *out << task.how; }
};

/// A task that heeds nothing ends where it can be killed, and says what it did there.
class HeedlessTask : public LimitTest, public testing::WithParamInterface<Heedless> {
protected:
    TaskMeta end_at_the_hard_limit(const char* how) {
        return end_of("ledger.misbehave", how, {.time_limit = 500ms, .soft_time_limit = 100ms});
    }
};

TEST_P(HeedlessTask, IsKilledWithItsSlotAtTheHardLimitWhereItIs) {
    Process worker = start_with("prefork");
    const TaskMeta meta = end_at_the_hard_limit(GetParam().how);
    EXPECT_EQ(type_of(meta), "TimeLimitExceeded");
    EXPECT_EQ(meta.failure()->exc_message, "0.5") << "what Celery says, and nothing else";
    stop(worker);
    const std::string where = GetParam().where;
    // ThreadSanitizer keeps signals back until the program calls something.
    if (kThreadSanitizer && where == "::spin()") return;
    if (where.empty()) {
        EXPECT_FALSE(meta.traceback.has_value()) << *meta.traceback;
        EXPECT_THAT(logs(), HasSubstr("it did not say where it was"));
        return;
    }
    EXPECT_THAT(meta.traceback.value_or(""),
                AllOf(StartsWith("Traceback (most recent call last):\n  File "),
                      HasSubstr("ledger_app.cpp\", line "),
                      HasSubstr("::misbehave(std::string const&, std::string const&)\n"),
                      HasSubstr(where + "\n"),
                      EndsWith("\nbilliard.exceptions.TimeLimitExceeded: "
                               "TimeLimitExceeded(0.5,)\n"),
                      Not(HasSubstr("lovage::slot::")), Not(HasSubstr("std::function"))));
    EXPECT_THAT(logs(), HasSubstr(where + "\n"));
}

INSTANTIATE_TEST_SUITE_P(Of, HeedlessTask,
                         testing::Values(Heedless{"spin", "::spin()"},
                                         Heedless{"asleep", "::sleep_long()"},
                                         Heedless{"reading", "::read_in_vain()"},
                                         Heedless{"ignore-SIGTERM", "::spin()"},
                                         Heedless{"deaf", ""}, Heedless{"stop", ""}),
                         [](const auto& test) { return name_of(test.param.how); });

/// A pool that cannot kill refuses the setting, by name.
class PoolThatCannotKill : public LimitTest, public testing::WithParamInterface<const char*> {};

TEST_P(PoolThatCannotKill, RefusesAHardLimitAtStart) {
    Process worker = start_with(GetParam(), {{"LOVAGE_TASK_TIME_LIMIT", "5"}});
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 2});
    EXPECT_THAT(logs(), HasSubstr(fmt::format("the pool '{}' cannot end a task", GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Of, PoolThatCannotKill, testing::Values("threads", "coroutine", "solo"),
                         [](const auto& test) { return std::string{test.param}; });

}  // namespace
}  // namespace lovage::integration
