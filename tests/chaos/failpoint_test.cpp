// Something happens to a process exactly at an arrow of the delivery contract: between two steps
// of a task's way, which no fault from outside would hit often.
#include "stack.hpp"
#include "ways.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <tests/support/services.hpp>
#include <tests/support/soon.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>

namespace lovage::chaos {
namespace {

using failpoint::Point;
using testing_support::service_url;

/// What happens where, on which broker.
struct Case {
    std::string_view broker;
    Point point{};
    std::string_view action;
};
void PrintTo(const Case& of, std::ostream* out) {
    *out << of.broker << ": " << of.action << " at " << to_string(of.point);
}

bool in_producer(Point point) {
    return point <= Point::send_confirmed;
}
bool in_slot(Point point) {
    return point == Point::slot_before_task || point == Point::slot_after_task;
}

class Failpoint : public Stack, public testing::WithParamInterface<Case> {
protected:
    Failpoint() {
        results_ = sqlite_url();
        std::string broker = results_;
        if (GetParam().broker == "rabbitmq") {
            vhost_.emplace();
            broker = vhost_->url();
            results_ = service_url("LOVAGE_TEST_REDIS_URL");
        }
        use({.broker = broker, .results = results_});
    }

    /// SIGKILL has ended it.
    static void expect_killed(Process& process) {
        EXPECT_EQ(process.wait(soon()), Ending{.signal = SIGKILL});
    }
    /// One of ten crashes, one is retried, one is rejected, one is a workflow: every arrow is on
    /// somebody's way.
    void start_varied_producer(std::map<std::string, std::string> environment) {
        start_producer(kGently, 2ms, "chaos.vary", std::move(environment));
    }
    void wait_until(const std::string& what, const std::function<bool()>& condition) const {
        EXPECT_TRUE(eventually(condition, soon())) << what;
    }
    /// Everything accepted has come to its end, and that end is the right one.
    void expect_ends();
    [[nodiscard]] std::size_t accepted(Way way) const {
        std::size_t count = 0;
        for (std::uint32_t task = 0; task < ledger_.tasks(); ++task) {
            count += ledger_.accepted(task) && way_of(task) == way ? 1 : 0;
        }
        return count;
    }

    static constexpr double kGently = 100;
    std::string results_;
    std::optional<conformance::TestVhost> vhost_;
};

void Failpoint::expect_ends() {
    stop_producer();
    EXPECT_TRUE(ledger_.wait_for_effects(soon())) << "accepted tasks did not run";
    wait_until("the queue is not empty", [&] { return messages_in("celery") == 0; });
    const std::size_t rejected = accepted(Way::is_rejected);
    wait_until("rejected messages are not in quarantine",
               [&] { return messages_in("celery.quarantine") >= rejected; });
    stop(*worker_);
    worker_.reset();

    allow_resends();
    TaskLedger::Report report = ledger_.check(faults_);
    // These start twice by themselves. What a workflow ends with starts twice only where the fault
    // befell who had run one of its steps: that step's message was not acknowledged, and comes
    // again when the others have run to the end without it (docs/guides/canvas.md). The ledger
    // knows who ran them, so nothing is to be forgiven here.
    std::erase_if(report.unexplained, [&](std::uint32_t task) {
        return way_of(task) == Way::crashes_once || way_of(task) == Way::retries_once;
    });
    EXPECT_TRUE(report.holds()) << report
                                << testing::PrintToString(ledger_.stories(report.unexplained));
    for (const auto& [task, state] : states(results_)) {
        EXPECT_EQ(state, way_of(task) == Way::is_rejected ? lovage::states::kFailure
                                                          : lovage::states::kSuccess)
            << "task " << task;
    }
}

TEST_P(Failpoint, LosesNothing) {
    const auto& [broker, point, action] = GetParam();
    const auto evidence = folder_.path() / "evidence";
    const std::map<std::string, std::string> armed{
        {"LOVAGE_FAILPOINT", fmt::format("{}={}", to_string(point), action)},
        {"LOVAGE_FAILPOINT_FILE", evidence}};
    const std::map<std::string, std::string> unarmed;
    const auto begin = Clock::now();
    start_worker("worker", in_producer(point) ? unarmed : armed);
    start_varied_producer(in_producer(point) ? armed : unarmed);
    const pid_t befallen = in_producer(point) ? producer_->pid() : worker_->pid();
    wait_until("nobody came to the place", [&] { return std::filesystem::exists(evidence); });

    if (action == "kill" && in_producer(point)) {
        expect_killed(*producer_);
        start_varied_producer(unarmed);
    } else if (action == "kill" && !in_slot(point)) {
        expect_killed(*worker_);
        start_worker("successor");
    }
    wait_for_progress(50);
    note_fault(begin, {befallen});
    expect_ends();
}

/// A worker dies when it has stored results and acknowledged nothing; its messages come again.
class DiedBeforeTheAck : public Failpoint {
protected:
    /// How often those tasks ran that had succeeded when it died.
    std::vector<std::uint32_t> runs_of_succeeded();
};

std::vector<std::uint32_t> DiedBeforeTheAck::runs_of_succeeded() {
    const auto& [broker, point, action] = GetParam();
    const auto begin = Clock::now();
    start_worker("worker", {{"LOVAGE_FAILPOINT", fmt::format("{}={}", to_string(point), action)},
                            {"LOVAGE_FAILPOINT_FILE", folder_.path() / "evidence"}});
    start_producer(kGently, 2ms);
    expect_killed(*worker_);
    std::vector<std::uint32_t> succeeded;
    for (const auto& [task, state] : states(results_)) {
        if (state == lovage::states::kSuccess) succeeded.push_back(task);
    }
    start_worker("successor");
    wait_for_progress(kFullSecond);
    note_fault(begin);
    expect_contract();
    std::vector<std::uint32_t> runs;
    runs.reserve(succeeded.size());
    for (const std::uint32_t task : succeeded) runs.push_back(ledger_.started(task));
    return runs;
}

TEST_P(DiedBeforeTheAck, WhatHasSucceededRunsAgain) {
    EXPECT_THAT(runs_of_succeeded(), testing::Contains(2U));
}

TEST_P(DiedBeforeTheAck, WhatHasSucceededDoesNotRunAgainWhenThatIsAskedFor) {
    set("CELERY_WORKER_DEDUPLICATE_SUCCESSFUL_TASKS", "true");
    EXPECT_THAT(runs_of_succeeded(),
                testing::AllOf(testing::Not(testing::IsEmpty()), testing::Each(1U)));
}

/// An ack is only noted where it is given; sends of follow-ups fail at the points of their sends.
bool can_fail(Point point) {
    return point != Point::acknowledged && point != Point::follow_ups_unsent &&
           point != Point::follow_ups_sent;
}

std::vector<Case> cases(std::vector<std::string_view> brokers,
                        std::vector<std::string_view> actions) {
    std::vector<Case> all;
    for (const std::string_view broker : brokers) {
        for (std::size_t i = 0; i < failpoint::kPointNames.size(); ++i) {
            const auto point = static_cast<Point>(i);
            for (const std::string_view action : actions) {
                if (action != "error" || can_fail(point)) all.push_back({broker, point, action});
            }
        }
    }
    return all;
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
    const auto& [broker, point, action] = info.param;
    std::string name = fmt::format("{}_{}_{}", broker, to_string(point), action);
    std::ranges::replace_if(name, [](char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Sample, Failpoint,
                         testing::ValuesIn(cases({"sqlite", "rabbitmq"}, {"kill"})), name_of);
INSTANTIATE_TEST_SUITE_P(On, DiedBeforeTheAck,
                         testing::Values(Case{"sqlite", Point::result_stored, "kill"},
                                         Case{"rabbitmq", Point::result_stored, "kill"}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(SampleOfErrors, Failpoint, testing::ValuesIn(cases({"sqlite"}, {"error"})),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Long, Failpoint,
                         testing::ValuesIn(cases({"sqlite", "rabbitmq"},
                                                 {"kill", "stop:5000", "error"})),
                         name_of);

}  // namespace
}  // namespace lovage::chaos
