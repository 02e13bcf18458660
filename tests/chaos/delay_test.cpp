// Tasks for later: workers that are killed while they hand them to the broker; and very many, due
// over a long time: what the worker's memory does while it takes them in, and whether those that
// are due first begin on time.
#include "own_rabbitmq.hpp"
#include "stack.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/core/time.hpp>
#include <tests/support/services.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace lovage::chaos {
namespace {

using std::chrono_literals::operator""h;
using testing_support::service_url;

/// Memory that belongs to a process, with its share of what it has in common with others, in MiB.
double memory_of(pid_t process) {
    std::ifstream rollup{fmt::format("/proc/{}/smaps_rollup", process)};
    constexpr std::string_view kField = "Pss:";
    for (std::string line; std::getline(rollup, line);) {
        if (line.starts_with(kField)) return std::stod(line.substr(kField.size())) / 1024;
    }
    return 0;
}

Awaitable<std::uint64_t> count_ready(std::shared_ptr<AppCore> core) {
    value_or_throw(co_await core->connect(soon()));
    co_return value_or_throw(co_await core->broker().queue_status("celery", soon())).ready;
}

class Later : public Stack {
protected:
    struct Plan {
        std::int64_t tasks = 0;
        std::chrono::seconds span{};    ///< In which all of them are due, after the first.
        std::chrono::seconds intake{};  ///< From the beginning until the first is due.
        std::chrono::seconds watched{};
    };
    static constexpr Plan kFew{.tasks = 10'000, .span = 1'000s, .intake = 10s, .watched = 5s};

    void expect_flat_memory_and_punctual_tasks(const std::string& broker, const Plan& plan);

private:
    struct Run {
        std::int64_t task;
        double late;  ///< Seconds.
    };
    [[nodiscard]] std::vector<Run> runs() const;
    /// Waits until `done`, looking at the memory of the worker and its slots; returns the most, in
    /// MiB.
    double most_memory_until(const std::function<bool()>& done, Deadline deadline) const;
    /// None of those that ran did so before its time, twice, or more than a second late, and none
    /// that was due for two seconds is missing. Returns how late they were, in order.
    [[nodiscard]] std::vector<double> expect_punctual(const Plan& plan, TimePoint first) const;
};

std::vector<Later::Run> Later::runs() const {
    std::vector<Run> all;
    std::ifstream lines{folder_.path() / "lateness"};
    std::int64_t task = 0;
    std::int64_t begin = 0;
    std::int64_t late = 0;
    while (lines >> task >> begin >> late) all.push_back({task, static_cast<double>(late) / 1e6});
    return all;
}

double Later::most_memory_until(const std::function<bool()>& done, Deadline deadline) const {
    for (double most = 0;; let_pass(500ms)) {
        double now = memory_of(worker_->pid());
        for (const pid_t slot : children_of(worker_->pid())) now += memory_of(slot);
        most = std::max(most, now);
        if (done()) return most;
        if (deadline.passed()) {
            ADD_FAILURE() << "not done in time";
            return most;
        }
    }
}

std::vector<double> Later::expect_punctual(const Plan& plan, TimePoint first) const {
    const std::chrono::duration<double> looked = wall_clock_now() - first - 2s;
    const auto due =
        static_cast<std::int64_t>(looked / plan.span * static_cast<double>(plan.tasks));
    std::map<std::int64_t, double> late;
    for (const Run& run : runs()) {
        EXPECT_TRUE(late.emplace(run.task, run.late).second) << run.task << " ran twice";
        EXPECT_GE(run.late, 0) << run.task << " ran before its time";
        EXPECT_LE(run.late, 1) << run.task << " ran too late";
    }
    std::int64_t missing = 0;
    for (std::int64_t task = 0; task < due; ++task) missing += late.contains(task) ? 0 : 1;
    EXPECT_EQ(missing, 0) << "tasks of " << due << " that are due have not run";
    std::vector<double> sorted;
    for (const auto& [task, seconds] : late) sorted.push_back(seconds);
    std::ranges::sort(sorted);
    return sorted;
}

void Later::expect_flat_memory_and_punctual_tasks(const std::string& broker, const Plan& plan) {
    // What holds many tasks' bodies for a moment may be bought from the system, and kept.
    constexpr double kGrowthMost = 32;
    use({.broker = broker, .results = sqlite_url()});
    Settings settings;
    settings.broker_url = broker;
    settings.result_backend = sqlite_url();
    const App looking{"chaos-later", settings};
    const auto begin = Clock::now();
    const TimePoint first = wall_clock_now() + plan.intake;
    start_worker("worker", {{"CHAOS_LATENESS", folder_.path() / "lateness"}});
    Process producer =
        start("producer", {LOVAGE_CHAOS_APP, "produce-later", std::to_string(plan.tasks),
                           std::to_string(first.time_since_epoch().count()),
                           std::to_string(plan.span.count())});
    // Past its beginnings, a worker's memory does not depend on how much it has seen.
    const Deadline in_time = Deadline::at(begin + plan.intake);
    const double early =
        most_memory_until([&] { return Clock::now() > begin + plan.intake / 10; }, in_time);
    std::optional<Ending> sent;
    const double sending = most_memory_until(
        [&] { return (sent = producer.wait(Deadline::in(0s))).has_value(); }, in_time);
    EXPECT_EQ(sent, Ending{.exit_code = 0});
    const std::chrono::duration<double> sent_after = Clock::now() - begin;
    const auto core = looking.core();
    const double taking = most_memory_until(
        [&] { return core->loop().run_blocking(count_ready(core)) == 0; }, in_time);
    const std::chrono::duration<double> taken_after = Clock::now() - begin;
    const double waiting = most_memory_until(
        [&] { return wall_clock_now() > first + plan.watched + 2s; }, Deadline::in(1h));
    const auto late = expect_punctual(plan, first);
    ASSERT_FALSE(late.empty());
    fmt::print(
        "{} tasks: sent after {:.1f} s, taken in after {:.1f} s; memory: {:.1f} MiB at first, at "
        "most {:.1f} MiB while they were sent, {:.1f} MiB until they were taken in, {:.1f} MiB "
        "while the first {} ran, late by {:.0f} ms (median), {:.0f} ms (99 %), {:.0f} ms (most)\n",
        plan.tasks, sent_after.count(), taken_after.count(), early, sending, taking, waiting,
        late.size(), late[late.size() / 2] * 1e3, late[late.size() * 99 / 100] * 1e3,
        late.back() * 1e3);
    EXPECT_LT(std::max({sending, taking, waiting}), early + kGrowthMost);
}

TEST_F(Later, MemoryIsFlatAndTasksArePunctualOnRabbitMq) {
    const conformance::TestVhost vhost;
    expect_flat_memory_and_punctual_tasks(vhost.url(), kFew);
}

TEST_F(Later, MemoryIsFlatAndTasksArePunctualOnSqlite) {
    expect_flat_memory_and_punctual_tasks(sqlite_url(), kFew);
}

class LongLater : public Later {
protected:
    /// A million, or as many as LOVAGE_LATER_TASKS says for a machine that is slow. They are sent
    /// and taken in at no less than kPace a second.
    [[nodiscard]] static Plan due_over_a_day() {
        constexpr std::int64_t kPace = 2'000;
        const char* const wanted = std::getenv("LOVAGE_LATER_TASKS");
        const std::int64_t tasks = wanted == nullptr ? 1'000'000 : std::atoll(wanted);
        return {.tasks = tasks,
                .span = 24h,
                .intake = 30s + std::chrono::seconds{tasks / kPace},
                .watched = 1min};
    }
};

TEST_F(LongLater, AMillionTasksAreDueOverADayOnRabbitMq) {
    const OwnRabbitMq server{"chaos-later"};
    expect_flat_memory_and_punctual_tasks(server.url(), due_over_a_day());
}

TEST_F(LongLater, AMillionTasksAreDueOverADayOnSqlite) {
    expect_flat_memory_and_punctual_tasks(sqlite_url(), due_over_a_day());
}

class DelayedWork : public Stack {
protected:
    static constexpr auto kCountdown = 3s;
    static constexpr auto kASecond = static_cast<std::uint32_t>(kRate);

    DelayedWork() {
        use({.broker = vhost_.url(), .results = service_url("LOVAGE_TEST_REDIS_URL")});
        // A worker holds a task for its last second only.
        set("LOVAGE_WORKER_ETA_HORIZON", "1");
    }

    conformance::TestVhost vhost_;
};

TEST_F(DelayedWork, WorkersAreKilledWhileTheyHandTasksToTheBroker) {
    start_worker();
    start_producer(kRate, 0ms, "chaos.work",
                   {{"CHAOS_COUNTDOWN", std::to_string(kCountdown / 1ms)}});
    wait_for_progress(kASecond);
    const auto fault = Clock::now();
    for (const char* const successor : {"second", "third", "fourth"}) {
        worker_->kill();
        start_worker(successor);
        wait_for_progress(kASecond);
    }
    // A task that one of them left twice runs again when it is due.
    let_pass(kCountdown);
    note_fault(fault);
    expect_contract();
    expect_results(service_url("LOVAGE_TEST_REDIS_URL"));
}

}  // namespace
}  // namespace lovage::chaos
