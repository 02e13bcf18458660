#include "crew.hpp"

#include "workload.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <signal.h>

namespace lovage::torture {

using integration::children_of;
using integration::Ending;
using integration::Process;
using testing_support::TaskLedger;

namespace {

using namespace std::chrono_literals;
using Clock = TaskLedger::Clock;

/// How long a slot may outlive its worker, and a worker SIGTERM.
constexpr auto kSlotsDie = 2s;
constexpr auto kWorkerEnds = 40s;
/// After a suspended process goes on: what it still does before it notices what it has missed.
constexpr auto kAftermath = 5s;

bool is_gone(pid_t pid) {
    const char state = state_of(pid);
    return state == '\0' || state == 'Z' || state == 'X';
}

std::string text_of(const std::optional<Ending>& ending) {
    if (!ending) return "it still runs";
    if (ending->signal != 0) return fmt::format("it was ended by signal {}", ending->signal);
    return fmt::format("it exited with {}", ending->exit_code);
}

Deadline now() {
    return Deadline::at(Clock::now());
}

}  // namespace

Crew::Crew(Options options) : options_{std::move(options)} {
    for (std::size_t i = 0; i < options_.workers; ++i) workers_.push_back(start_worker());
    for (std::size_t i = 0; i < options_.producers; ++i) producers_.push_back(start_producer());
}

Process Crew::start(const std::string& name, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), options_.program.string());
    const auto log = options_.folder / (name + ".log");
    return Process{{.arguments = std::move(arguments),
                    .environment = {{"LOVAGE_BROKER_URL", options_.urls.broker},
                                    {"LOVAGE_RESULT_BACKEND", options_.urls.results},
                                    {"LOVAGE_LOG_FORMAT", "text"},
                                    {kLedgerVariable, options_.folder / "ledger"},
                                    {kRunVariable, options_.run}},
                    .folder = options_.folder,
                    .output = log,
                    .errors = log}};
}

Crew::Member Crew::start_worker() {
    const std::string name = fmt::format("worker-{}", ++started_);
    return {name, start(name, {"worker", "-P", "prefork", "-n", name + "@%h", "-c",
                               std::to_string(options_.slots), "-l", "warning"})};
}

Crew::Member Crew::start_producer() {
    const std::string name = fmt::format("producer-{}", ++started_);
    const double rate = options_.rate / static_cast<double>(options_.producers);
    return {name, start(name, {"produce", std::to_string(rate), std::to_string(options_.backlog)})};
}

Inflicted Crew::inflict(const PlannedFault& fault) {
    Member& worker = workers_[fault.pick % workers_.size()];
    Member& producer = producers_[fault.pick % producers_.size()];
    switch (fault.kind) {
        case FaultKind::kill_worker:
            return kill_worker(worker);
        case FaultKind::stop_worker: {
            // Its leases and connections outlast that: it is no excuse for anything.
            Inflicted stopped = suspend_member(worker, fault);
            stopped.excuse.reset();
            return stopped;
        }
        case FaultKind::suspend_worker:
            return suspend_member(worker, fault);
        case FaultKind::end_worker:
            return end_worker(worker);
        case FaultKind::kill_slot:
            return kill_slot(worker, fault.pick / 16);
        case FaultKind::stop_slot:
            return stop_slot(worker, fault);
        case FaultKind::kill_producer:
            return kill_producer(producer);
        case FaultKind::stop_producer:
            return suspend_member(producer, fault);
        default:
            return {};  // the servers'
    }
}

Inflicted Crew::kill_worker(Member& worker) {
    const pid_t pid = worker.process.pid();
    const auto slots = children_of(pid);
    Inflicted done;
    done.excuse = {.begin = Clock::now(), .processes = {pid}};
    worker.process.kill();
    done.excuse->end = Clock::now();
    const auto gone = std::ranges::count_if(slots, [&](pid_t slot) {
        return look_until([&] { return is_gone(slot); }, Deadline::in(kSlotsDie));
    });
    if (is_gone(pid)) {
        done.evidence =
            Sign{fmt::format("pid {} and {} of its {} slots died", pid, gone, slots.size()),
                 done.excuse->end};
    }
    if (std::cmp_not_equal(gone, slots.size())) {
        done.violations.push_back(fmt::format("slots of {} outlived it (C10)", worker.name));
    }
    worker = start_worker();
    return done;
}

Inflicted Crew::end_worker(Member& worker) {
    Inflicted done;
    const pid_t pid = worker.process.pid();
    const auto asked = Clock::now();
    worker.process.signal(SIGTERM);
    const auto ending = worker.process.wait(Deadline::in(kWorkerEnds));
    if (ending) done.evidence = Sign{fmt::format("pid {}: {}", pid, text_of(ending)), asked};
    if (ending != Ending{.exit_code = 0}) {
        done.violations.push_back(
            fmt::format("{} after SIGTERM: {} (C38)", worker.name, text_of(ending)));
    }
    worker = start_worker();
    return done;
}

Inflicted Crew::kill_slot(const Member& worker, std::uint32_t pick) {
    const auto slots = children_of(worker.process.pid());
    if (slots.empty()) return {};
    const pid_t slot = slots[pick % slots.size()];
    const auto begin = Clock::now();
    ::kill(slot, SIGKILL);
    Inflicted done;
    if (look_until([&] { return is_gone(slot); }, Deadline::in(2s))) {
        done.evidence = Sign{fmt::format("pid {} of {} died", slot, worker.name), begin};
    }
    done.excuse = {.begin = begin, .end = Clock::now(), .processes = {slot}};
    return done;
}

Inflicted Crew::stop_slot(const Member& worker, const PlannedFault& fault) {
    const auto slots = children_of(worker.process.pid());
    if (slots.empty()) return {};
    Inflicted done;
    done.evidence = suspend(slots[fault.pick / 16 % slots.size()], fault.duration);
    return done;
}

Inflicted Crew::kill_producer(Member& producer) {
    const pid_t pid = producer.process.pid();
    Inflicted done;
    if (producer.process.wait(now())) {
        done.evidence = Sign{"it had nothing left to send"};
        return done;
    }
    done.excuse = {.begin = Clock::now(), .processes = {pid}};
    producer.process.kill();
    done.excuse->end = Clock::now();
    if (is_gone(pid)) done.evidence = Sign{fmt::format("pid {} died", pid), done.excuse->end};
    producer = start_producer();
    return done;
}

Inflicted Crew::suspend_member(const Member& member, const PlannedFault& fault) {
    Inflicted done;
    const pid_t pid = member.process.pid();
    const auto begin = Clock::now();
    done.evidence = suspend(pid, fault.duration);
    done.excuse = {.begin = begin, .end = Clock::now() + kAftermath, .processes = {pid}};
    return done;
}

std::vector<std::string> Crew::join_producers(Deadline deadline) {
    std::vector<std::string> violations;
    for (Member& producer : producers_) {
        const auto ending = producer.process.wait(deadline);
        if (ending != Ending{.exit_code = 0}) {
            violations.push_back(fmt::format("{}: {}", producer.name, text_of(ending)));
        }
    }
    return violations;
}

std::vector<std::string> Crew::end_workers() {
    std::vector<std::string> violations;
    for (const Member& worker : workers_) worker.process.signal(SIGTERM);
    for (Member& worker : workers_) {
        const auto ending = worker.process.wait(Deadline::in(kWorkerEnds));
        if (ending != Ending{.exit_code = 0}) {
            violations.push_back(
                fmt::format("{} after SIGTERM: {} (C38)", worker.name, text_of(ending)));
        }
    }
    return violations;
}

std::vector<std::string> Crew::unexpected_ends() {
    std::vector<std::string> ends;
    for (Member& worker : workers_) {
        const auto ending = worker.process.wait(now());
        if (!ending) continue;
        ends.push_back(fmt::format("{} ended by itself: {}", worker.name, text_of(ending)));
        worker = start_worker();
    }
    for (Member& producer : producers_) {
        // One that has nothing left to send ends in order.
        const auto ending = producer.process.wait(now());
        if (!ending || *ending == Ending{.exit_code = 0}) continue;
        ends.push_back(fmt::format("{} ended by itself: {}", producer.name, text_of(ending)));
        producer = start_producer();
    }
    return ends;
}

}  // namespace lovage::torture
