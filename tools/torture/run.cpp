#include "run.hpp"

#include "crew.hpp"
#include "rate_meter.hpp"
#include "workload.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/app/queues.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <mutex>
#include <set>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace lovage::torture {

using testing_support::TaskLedger;

namespace {

using namespace std::chrono_literals;
using Clock = TaskLedger::Clock;
using Event = TaskLedger::Event;

/// What the reliability contract promises (I9).
constexpr double kFullRate = 0.8;
constexpr auto kRecovered = 30s;
/// Work that has not come back by then never will.
constexpr auto kHopeless = 90s;
constexpr auto kLook = 25ms;
/// Further tasks, for a machine on which the faults take longer than the pace was chosen for: the
/// last one shall find work, too.
constexpr std::uint32_t with_reserve(std::uint32_t tasks) {
    return tasks + std::max(tasks / 2, 2000U);
}
/// Every task that is on its way runs within that time.
constexpr auto kDrained = 120s;
/// After servers are healed: unconfirmed messages are sent again, lost connections made again.
constexpr auto kAftermath = 5s;
/// Of tasks that are told of one by one.
constexpr std::size_t kTold = 5;
constexpr const char* kQueue = "celery";

double rate_of(const RunOptions& options) {
    if (options.rate > 0) return options.rate;
    const std::chrono::duration<double> length = length_of(make_schedule(options.plan));
    return std::clamp(static_cast<double>(options.plan.tasks) / length.count(), 20.0, 1000.0);
}

/// What is read from the stack itself when all is over.
struct Leftovers {
    std::uint64_t queued = 0;
    std::uint64_t quarantined = 0;
    std::vector<std::uint32_t> without_result;
};

Awaitable<std::uint64_t> messages_in(AppCore* core, std::string queue) {
    auto status = co_await core->broker().queue_status(std::move(queue), Deadline::in(10s));
    if (!status && status.error().code == Errc::not_found) co_return 0;
    const QueueStatus found = value_or_throw(std::move(status));
    co_return found.ready + found.delayed + found.unsettled;
}

Awaitable<Leftovers> look_around(std::shared_ptr<AppCore> core, std::string run,
                                 std::vector<std::uint32_t> accepted) {
    value_or_throw(co_await core->connect(Deadline::in(30s)));
    Leftovers left;
    left.queued = co_await messages_in(core.get(), kQueue);
    left.quarantined = co_await messages_in(core.get(), quarantine_queue(kQueue));
    for (const std::uint32_t task : accepted) {
        auto meta = co_await core->results().get(task_id(run, task), Deadline::in(30s));
        const auto found = value_or_throw(std::move(meta));
        if (!found || found->status != states::kSuccess) left.without_result.push_back(task);
    }
    co_return left;
}

/// Nobody loses what he holds, but a send may have to be tried again.
bool only_delays(FaultKind kind) {
    return kind == FaultKind::lock_broker || kind == FaultKind::stop_rabbitmq;
}

/// One run, from its servers to its report.
class Run {
public:
    explicit Run(const RunOptions& options)
        : options_{options},
          rate_{rate_of(options)},
          ledger_{TaskLedger::create(options.folder / "ledger", with_reserve(options.plan.tasks),
                                     std::uint64_t{options.plan.tasks} * 16 + 100'000)},
          servers_{options.plan.stack == Stack::rabbitmq ? make_rabbitmq_servers(options.folder)
                                                         : make_sqlite_servers(options.folder)},
          crew_{{.program = options.program,
                 .folder = options.folder,
                 .urls = servers_->urls(),
                 .run = run_,
                 .workers = options.workers,
                 .slots = options.slots,
                 .rate = rate_,
                 // Some seconds' worth: producers do not run away from workers.
                 .backlog = static_cast<std::uint64_t>(rate_ * 10)}} {}

    Report go() {
        report_.plan = options_.plan;
        report_.rate = rate_;
        warm_up();
        for (const PlannedFault& fault : make_schedule(options_.plan)) {
            wait_until_sent(fault.after);
            inflict(fault);
            if (stands_still_) break;
        }
        finish();
        report_.took = Clock::now() - begin_;
        return std::move(report_);
    }

private:
    void warm_up();
    void wait_until_sent(std::uint32_t tasks);
    void inflict(const PlannedFault& fault);
    /// From `healed` until sending and running go at the rate again.
    std::optional<std::chrono::duration<double>> wait_for_recovery(Clock::time_point healed);
    void measure(const std::stop_token& stop);
    void finish();
    void drain();
    void look_at_leftovers();
    void tell_of(const std::string& what, const std::vector<std::uint32_t>& tasks);
    void violated(std::string what) { report_.violations.push_back(std::move(what)); }
    void violated(std::vector<std::string> what) {
        for (std::string& each : what) violated(std::move(each));
    }
    [[nodiscard]] std::vector<std::uint32_t> accepted() const;

    const RunOptions& options_;
    const double rate_;
    const std::string run_ = uuid4().substr(0, 8);
    const Clock::time_point begin_ = Clock::now();
    TaskLedger ledger_;
    std::unique_ptr<Servers> servers_;
    Crew crew_;
    std::mutex measuring_;
    RateMeter meter_;  ///< Guarded by measuring_.
    std::vector<TaskLedger::Fault> excuses_;
    Report report_;
    bool stands_still_ = false;
    std::jthread measurer_{[this](const std::stop_token& stop) { measure(stop); }};
};

void Run::warm_up() {
    if (!wait_for_recovery(Clock::now())) {
        throw std::runtime_error{
            fmt::format("{:.0f} tasks/s were wanted, and this machine did not reach {:.0f} % of "
                        "that before anything was harmed: try --rate",
                        rate_, kFullRate * 100)};
    }
}

void Run::wait_until_sent(std::uint32_t tasks) {
    std::uint64_t before = 0;
    Deadline patience = Deadline::in(kHopeless);
    for (std::uint64_t sent = 0; sent < tasks; let_pass(kLook)) {
        sent = ledger_.total(Event::accepted) + ledger_.total(Event::rejected);
        if (std::exchange(before, sent) != sent) patience = Deadline::in(kHopeless);
        if (patience.passed()) return;  // told by whoever waits for what was sent
    }
}

void Run::measure(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        {
            const std::lock_guard lock{measuring_};
            meter_.sample(Clock::now(), {ledger_.total(Event::accepted), ledger_.done()});
        }
        let_pass(kLook);
    }
}

std::optional<std::chrono::duration<double>> Run::wait_for_recovery(Clock::time_point healed) {
    const Deadline hopeless = Deadline::at(healed + kHopeless);
    while (!hopeless.passed()) {
        {
            const std::lock_guard lock{measuring_};
            const auto full = meter_.full_from(healed, rate_ * kFullRate);
            if (full) return *full - healed;
        }
        // The end of the work is no outage.
        if (ledger_.all_taken() && ledger_.done() >= ledger_.total(Event::accepted))
            return Clock::now() - healed;
        let_pass(kLook);
    }
    return std::nullopt;
}

void Run::inflict(const PlannedFault& fault) {
    {
        const std::lock_guard lock{measuring_};
        meter_.clear();
    }
    if (ledger_.all_taken()) {
        violated(fmt::format("fault {} found no work", report_.faults.size() + 1));
    }
    const auto begin = Clock::now();
    FaultRecord record{.planned = fault, .begin = begin - begin_};
    Inflicted done = crew_.inflict(fault);
    record.evidence = std::move(done.evidence);
    if (!record.evidence) {
        record.evidence = servers_->inflict(fault);
        // Results that come late make no message come twice.
        static const std::set<FaultKind> of_results{
            FaultKind::kill_redis,    FaultKind::stop_redis,      FaultKind::reset_results,
            FaultKind::close_results, FaultKind::silence_results, FaultKind::lock_results};
        if (record.evidence && !of_results.contains(fault.kind)) {
            done.excuse = {.begin = begin,
                           .end = Clock::now() + kAftermath,
                           .processes = {},
                           .only_resent = only_delays(fault.kind)};
        }
    }
    if (done.excuse) excuses_.push_back(*done.excuse);
    record.recovered = wait_for_recovery(record.evidence ? record.evidence->healed : begin);
    const std::size_t number = report_.faults.size() + 1;
    options_.tell(describe(number, record));
    if (!record.evidence) violated(fmt::format("fault {} did not happen", number));
    if (!record.recovered) {
        violated(fmt::format("work stands still after fault {}", number));
        stands_still_ = true;
    } else if (*record.recovered > kRecovered) {
        violated(fmt::format("work was not back within {} s of fault {}", kRecovered / 1s, number));
    }
    violated(std::move(done.violations));
    violated(crew_.unexpected_ends());
    report_.faults.push_back(std::move(record));
}

void Run::finish() {
    ledger_.offer(std::max(options_.plan.tasks, ledger_.taken()));
    const double longest = static_cast<double>(options_.plan.tasks) / rate_ + 120;
    violated(crew_.join_producers(Deadline::in(
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{longest}))));
    drain();
    violated(crew_.end_workers());
    report_.account = ledger_.check(excuses_);
    look_at_leftovers();
    const auto& account = report_.account;
    tell_of("lost", account.lost);
    tell_of("duplicated without a fault that explains it", account.unexplained);
    tell_of("unexpected", account.ghosts);
    if (account.untraced > 0) {
        violated(fmt::format("the ledger was too small by {} notes", account.untraced));
    }
    if (const std::string complaint = servers_->complaint(); !complaint.empty()) {
        violated(complaint);
    }
}

void Run::drain() {
    // What was accepted is done, and nothing that was sent twice is still on its way.
    constexpr auto kStill = 1s;
    const Deadline patience = Deadline::in(kDrained);
    std::uint64_t before = 0;
    auto still_since = Clock::now();
    while (!patience.passed()) {
        const std::uint64_t started = ledger_.total(Event::started);
        if (std::exchange(before, started) != started) still_since = Clock::now();
        const bool done = ledger_.check().lost.empty();
        if (done && Clock::now() - still_since > kStill) return;
        let_pass(100ms);
    }
}

std::vector<std::uint32_t> Run::accepted() const {
    std::vector<std::uint32_t> tasks;
    for (std::uint32_t task = 0; task < ledger_.tasks(); ++task) {
        if (ledger_.accepted(task)) tasks.push_back(task);
    }
    return tasks;
}

void Run::look_at_leftovers() {
    Settings settings;
    settings.broker_url = servers_->straight().broker;
    settings.result_backend = servers_->straight().results;
    const App app{"torture-checker", settings};
    const auto tasks = accepted();
    const Leftovers left = app.core()->loop().run_blocking(look_around(app.core(), run_, tasks));
    report_.results = tasks.size() - left.without_result.size();
    tell_of("acknowledged, but without a SUCCESS record", left.without_result);
    if (left.queued > 0) violated(fmt::format("{} messages are still queued", left.queued));
    if (left.quarantined > 0) {
        violated(fmt::format("{} messages are in quarantine", left.quarantined));
    }
}

void Run::tell_of(const std::string& what, const std::vector<std::uint32_t>& tasks) {
    if (tasks.empty()) return;
    violated(fmt::format("{} tasks {}", tasks.size(), what));
    const std::span some{tasks.data(), std::min(tasks.size(), kTold)};
    for (const auto& [task, story] : ledger_.stories(some)) {
        violated(fmt::format("  {} ({}):{}", task, task_id(run_, task), story));
    }
}

}  // namespace

Report run(const RunOptions& options) {
    register_default_drivers();
    log::configure({.level = log::Level::off});  // the processes of a run have logs of their own
    return Run{options}.go();
}

}  // namespace lovage::torture
