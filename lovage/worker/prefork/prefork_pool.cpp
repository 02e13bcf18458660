#include <lovage/worker/prefork/prefork_pool.hpp>

#include <lovage/runtime/log.hpp>
#include <lovage/worker/prefork/backtrace.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <utility>

#include <unistd.h>

namespace lovage {

namespace asio = boost::asio;
using slot::KillReason;
using slot::SlotState;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Processes that may be starting at a time: all at once would only slow each other down.
constexpr std::size_t kStartingMost = 8;
constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 10s;
constexpr auto kJoin = 1s;
/// How often the memory of slots is looked at while tasks run.
constexpr auto kMemoryLook = 50ms;

slot::LogStyle log_style() {
    const log::Options options = log::options();
    return {static_cast<std::uint8_t>(options.level), static_cast<std::uint8_t>(options.format),
            options.terminal.value_or(false), options.color};
}

/// What only one of the two registers, for a message.
std::string difference(const std::vector<std::string>& here, const std::vector<std::string>& there,
                       std::string_view where) {
    constexpr std::size_t kShown = 3;
    std::vector<std::string> only;
    std::ranges::set_difference(here, there, std::back_inserter(only));
    if (only.empty()) return {};
    std::string text = fmt::format("; only the {} has ", where);
    for (std::size_t i = 0; i < std::min(kShown, only.size()); ++i) {
        if (i != 0) text += ", ";
        text += only[i];
    }
    if (only.size() > kShown) text += fmt::format(" and {} more", only.size() - kShown);
    return text;
}

/// What killed a slot; the handler's word counts more than the exit of what came after it.
std::string cause_of(const SlotState& state, const ExitStatus& status,
                     const slot::CrashPage* page) {
    if (state.kill_reason() == KillReason::memory) {
        return "killed by the worker, since it used more memory than worker_max_memory_per_child";
    }
    if (state.kill_reason() == KillReason::misbehaved) {
        return "killed by the worker, which could not understand it";
    }
    if (page != nullptr && page->stage.load() != slot::CrashPage::nothing) {
        return to_string(ExitStatus{.signal = page->signal});
    }
    return to_string(status);
}

/// What was accessed, when the signal tells.
std::string address_of(const slot::CrashPage* page) {
    if (page == nullptr || page->stage.load() == slot::CrashPage::nothing) return {};
    const bool fault = page->signal == SIGSEGV || page->signal == SIGBUS;
    return fault && page->code > 0 ? fmt::format("{:#018x}", page->address) : std::string{};
}

Awaitable<std::string> describe(std::shared_ptr<slot::CrashPage> page) {
    co_return slot::describe_stack(*page);
}

/// What a process has in memory; 0 when it cannot be told. Celery's measure, too.
std::uint64_t resident_bytes(pid_t pid) {
    std::ifstream file{fmt::format("/proc/{}/statm", pid)};
    std::uint64_t all = 0;
    std::uint64_t resident = 0;
    if (!(file >> all >> resident)) return 0;
    static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return resident * page_bytes;
}

}  // namespace

struct PreforkPool::Slot {
    std::uint32_t index = 0;
    std::shared_ptr<slot::SlotProcess> process;
    SlotState state;
    std::size_t failures = 0;  ///< Starts that failed, one after the other.
    Clock::time_point started;
};

PreforkPool::PreforkPool(AppCore& core, PreforkOptions options)
    : core_{core},
      options_{std::move(options)},
      limits_changed_{core.loop().executor()},
      changed_{core.loop().executor()},
      scope_{core.loop().executor()} {
    const std::size_t count = std::clamp<std::size_t>(options_.slots, 1, 1024);
    for (std::size_t i = 0; i < count; ++i) {
        slots_.push_back(std::make_unique<Slot>());
        slots_.back()->index = static_cast<std::uint32_t>(i);
    }
}

PreforkPool::~PreforkPool() = default;

void PreforkPool::start(Events events) {
    events_ = std::move(events);
    setup_.hostname = options_.hostname;
    setup_.registry_hash = slot::registry_hash(core_.registry());
    setup_.log = log_style();
    setup_.settings = export_settings(core_.settings());
    for (const auto& slot : slots_) scope_.spawn("slot", keep(*slot));
    scope_.spawn("hard limits", watch_limits());
}

Awaitable<void> PreforkPool::keep(Slot& slot) {
    while (!stopping_ && !retiring_) {
        if (starting_ >= kStartingMost) {
            co_await changed_.wait();
            continue;
        }
        if (start_process(slot)) {
            const auto process = slot.process;
            on_ended(slot, co_await process->serve());
        }
        if (slot.failures != 0) co_await pause_after_failures(slot.failures);
    }
}

Awaitable<void> PreforkPool::pause_after_failures(std::size_t failures) {
    const auto pause = std::min<std::chrono::milliseconds>(
        kFirstPause * (1 << std::min<std::size_t>(failures - 1, 10)), kLongestPause);
    const Deadline end = Deadline::in(pause);
    while (!stopping_ && !retiring_ && co_await changed_.wait(end)) {
    }
}

bool PreforkPool::start_process(Slot& slot) {
    setup_.index = slot.index;
    auto started = slot::SlotProcess::start(
        core_, setup_,
        {[this, &slot](slot::Ready ready) { on_ready(slot, std::move(ready)); },
         [this, &slot](slot::Progress progress) { on_progress(slot, std::move(progress)); },
         [this, &slot](slot::Outcome outcome) { on_outcome(slot, std::move(outcome)); },
         [this, &slot](const Error& problem) { on_broken(slot, problem); }});
    if (!started) {
        ++slot.failures;
        log::error("worker", "slot {} cannot be started: {}", slot.index,
                   started.error().message());
        return false;
    }
    slot.process = std::move(*started);
    slot.state = SlotState{options_.tasks_max};
    slot.started = Clock::now();
    ++starting_;
    return true;
}

void PreforkPool::on_ready(Slot& slot, slot::Ready ready) {
    if (slot.state.phase() != SlotState::Phase::starting) {
        return on_broken(slot, {Errc::malformed, "it says twice that it is ready"});
    }
    if (!ready.refusal.empty()) {
        std::string what = ready.refusal;
        if (ready.registry_hash != setup_.registry_hash) {
            const auto own = slot::signatures(core_.registry());
            what = fmt::format(
                "its tasks are not the worker's (registry {:016x}, the worker's is {:016x}){}{}",
                ready.registry_hash, setup_.registry_hash, difference(own, ready.tasks, "worker"),
                difference(ready.tasks, own, "slot"));
        }
        log::error("worker", "slot {} cannot serve: {}", slot.index, what);
        if (events_.broken) {
            events_.broken({Errc::conflict, fmt::format("a prefork slot cannot serve: {}", what)});
        }
        return;
    }
    (void)slot.state.ready();
    slot.failures = 0;
    --starting_;
    changed_.notify_all();
    if (retiring_) {
        slot.state.leave();
        slot.process->quit();
        return;
    }
    idle_.push_back(&slot);
    dispatch();
}

void PreforkPool::submit(std::vector<std::shared_ptr<TaskRequest>> requests) {
    std::ranges::move(requests, std::back_inserter(waiting_));
    dispatch();
}

void PreforkPool::dispatch() {
    while (!waiting_.empty() && !idle_.empty()) {
        Slot& slot = *idle_.back();
        idle_.pop_back();
        std::shared_ptr<TaskRequest> request = std::move(waiting_.front());
        waiting_.pop_front();
        run(slot, std::move(request));
    }
}

void PreforkPool::run(Slot& slot, std::shared_ptr<TaskRequest> request) {
    TaskOutcome outcome;
    if (std::string reason = reason_not_to_start(*request); !reason.empty()) {
        outcome.ending = Ending::revoked;
        outcome.reason = std::move(reason);
    } else {
        slot::Request message;
        message.context = request->context->request();
        message.args = to_json_text(request->message.args);
        message.kwargs = to_json_text(request->message.kwargs);
        message.sequence = slot.state.begin(request, Clock::now());
        if (slot.process->give(message)) {
            ++busy_;
            if (request->report_start && events_.started) events_.started(request);
            if (const auto kill_at = slot.state.kill_at()) {
                if (!next_kill_ || *kill_at < *next_kill_) limits_changed_.notify_all();
            }
            return;
        }
        (void)slot.state.end(message.sequence);
        outcome.ending = Ending::failed;
        outcome.failure = TaskFailure{"DecodeError", "the arguments are too large for a slot",
                                      "kombu.exceptions", ""};
        outcome.started = outcome.ended = Clock::now();
    }
    idle_.push_back(&slot);
    finish({std::move(request), std::move(outcome)});
}

void PreforkPool::request_stop(const std::shared_ptr<TaskRequest>& request, StopReason reason) {
    request->context->request_stop(reason);
    const auto runs = std::ranges::find_if(
        slots_, [&](const auto& slot) { return slot->state.running() == request; });
    if (runs == slots_.end()) return;
    Slot& slot = **runs;
    if (reason == StopReason::terminated) return kill(slot, KillReason::terminated);
    slot.process->interrupt({slot.state.sequence(), reason});
}

void PreforkPool::terminate(const std::shared_ptr<TaskRequest>& request, int signal) {
    // Slots leave SIGTERM to the worker: Ctrl-C and a service manager's stop reach them, too.
    if (signal == SIGTERM || signal == SIGKILL) {
        return request_stop(request, StopReason::terminated);
    }
    request->context->request_stop(StopReason::terminated);
    const auto runs = std::ranges::find_if(
        slots_, [&](const auto& slot) { return slot->state.running() == request; });
    if (runs == slots_.end()) return;
    (*runs)->process->interrupt({(*runs)->state.sequence(), StopReason::terminated});
    (*runs)->process->signal(signal);
}

bool PreforkPool::outgrown(const Slot& slot) const {
    return options_.memory_max != 0 && resident_bytes(slot.process->pid()) > options_.memory_max;
}

void PreforkPool::check_memory() {
    for (const auto& slot : slots_) {
        if (slot->state.busy() && slot->state.kill_reason() == KillReason::none &&
            outgrown(*slot)) {
            kill(*slot, KillReason::memory);
        }
    }
}

Awaitable<void> PreforkPool::watch_limits() {
    while (!stopping_) {
        if (options_.memory_max != 0) check_memory();
        const auto now = Clock::now();
        next_kill_.reset();
        for (const auto& slot : slots_) {
            const auto kill_at = slot->state.kill_at();
            if (!kill_at) continue;
            if (*kill_at <= now) {
                kill(*slot, KillReason::time_limit);
            } else if (!next_kill_ || *kill_at < *next_kill_) {
                next_kill_ = kill_at;
            }
        }
        if (options_.memory_max != 0) {
            const Deadline look = Deadline::in(kMemoryLook);
            co_await limits_changed_.wait(
                next_kill_ ? Deadline::at(std::min(*next_kill_, look.time())) : look);
        } else if (next_kill_) {
            co_await limits_changed_.wait(Deadline::at(*next_kill_));
        } else {
            co_await limits_changed_.wait();
        }
    }
}

void PreforkPool::on_progress(Slot& slot, slot::Progress progress) {
    const std::shared_ptr<TaskRequest>& request = slot.state.running();
    if (!request || progress.sequence != slot.state.sequence()) return;  // a straggler's
    try {
        request->context->update_state(std::move(progress.state), std::move(progress.meta));
    } catch (const std::invalid_argument& problem) {
        on_broken(slot, {Errc::malformed, problem.what()});
    }
}

void PreforkPool::on_outcome(Slot& slot, slot::Outcome outcome) {
    std::shared_ptr<TaskRequest> request = slot.state.end(outcome.sequence);
    if (!request) return on_broken(slot, {Errc::malformed, "it ends a task that it does not run"});
    --busy_;
    for (std::string& child : outcome.children) request->context->add_child(std::move(child));
    finish({std::move(request), std::move(outcome.outcome)});
    if (slot.state.idle() && (slot.state.used_up() || retiring_ || outgrown(slot))) {
        slot.state.leave();
        slot.process->quit();
    } else if (slot.state.idle()) {
        idle_.push_back(&slot);
        dispatch();
    }
}

void PreforkPool::on_broken(Slot& slot, const Error& problem) {
    log::error("worker", "slot {} (pid {}) is killed, since it cannot be understood: {}",
               slot.index, slot.process->pid(), problem.message());
    kill(slot, KillReason::misbehaved);
}

void PreforkPool::kill(Slot& slot, KillReason reason) {
    std::erase(idle_, &slot);
    slot.state.killed(reason);
    slot.process->kill();
}

void PreforkPool::on_ended(Slot& slot, const ExitStatus& status) {
    const bool never_served = slot.state.phase() == SlotState::Phase::starting;
    // A signal that the revocation of its task has asked for is no crash.
    const std::shared_ptr<TaskRequest>& running = slot.state.running();
    if (running && running->context->stop_reason() == StopReason::terminated) {
        slot.state.killed(KillReason::terminated);
    }
    const bool expected = slot.state.phase() == SlotState::Phase::leaving ||
                          slot.state.kill_reason() != KillReason::none || stopping_;
    const pid_t pid = slot.process->pid();
    if (never_served) {
        ++slot.failures;
        --starting_;
    }
    changed_.notify_all();
    std::erase(idle_, &slot);
    std::shared_ptr<TaskRequest> request = slot.state.ended();
    if (!expected) {
        log::error("worker", "slot {} (pid {}) has ended by itself{}: {}", slot.index, pid,
                   never_served ? " while it started"
                   : request ? fmt::format(" while it ran {}[{}]", request->message.display_name(),
                                           request->message.id)
                             : "",
                   to_string(status));
    }
    if (!request) return;
    --busy_;
    if (stopping_) return;  // its message goes back with the consumer
    finish_lost(slot, std::move(request), status);
}

void PreforkPool::finish_lost(const Slot& slot, std::shared_ptr<TaskRequest> request,
                              const ExitStatus& status) {
    FinishedTask lost{std::move(request), {}};
    TaskOutcome& outcome = lost.outcome;
    outcome.started = slot.state.began();
    outcome.ended = Clock::now();
    switch (slot.state.kill_reason()) {
        case KillReason::time_limit:
            outcome.ending = Ending::timed_out;
            outcome.time_limit = lost.request->time_limit.value_or(0ms);
            return finish(std::move(lost));
        case KillReason::terminated:
            outcome.ending = Ending::revoked;
            outcome.reason = "terminated";
            return finish(std::move(lost));
        case KillReason::none:
        case KillReason::memory:
        case KillReason::misbehaved:
        case KillReason::shutdown:
            break;
    }
    outcome.ending = Ending::slot_lost;
    const slot::CrashPage* const page = slot.process->crash_page();
    CrashReport crash{
        cause_of(slot.state, status, page), address_of(page), {}, slot.process->last_words()};
    scope_.spawn("crash report", report_crash(std::move(lost), std::move(crash), slot.process));
}

Awaitable<void> PreforkPool::report_crash(FinishedTask lost, CrashReport crash,
                                          std::shared_ptr<slot::SlotProcess> process) {
    const slot::CrashPage* const page = process->crash_page();
    if (page != nullptr && page->stage.load() == slot::CrashPage::complete) {
        if (!analyst_) analyst_ = std::make_unique<asio::thread_pool>(1);
        auto copy = std::make_shared<slot::CrashPage>();
        slot::copy_checked(*page, *copy);
        crash.backtrace = co_await asio::co_spawn(analyst_->get_executor(),
                                                  describe(std::move(copy)), asio::use_awaitable);
    }
    lost.outcome.failure = worker_lost(lost.request->message.task, crash);
    lost.outcome.crash = std::make_shared<const CrashReport>(std::move(crash));
    finish(std::move(lost));
}

void PreforkPool::finish(FinishedTask task) {
    finished_.push_back(std::move(task));
    if (report_posted_) return;
    report_posted_ = true;
    asio::post(core_.loop().executor(), [this] { report_finished(); });
}

void PreforkPool::report_finished() {
    report_posted_ = false;
    if (events_.finished && !finished_.empty()) events_.finished(std::exchange(finished_, {}));
}

std::vector<std::shared_ptr<TaskRequest>> PreforkPool::take_unstarted() {
    std::vector<std::shared_ptr<TaskRequest>> unstarted{std::make_move_iterator(waiting_.begin()),
                                                        std::make_move_iterator(waiting_.end())};
    waiting_.clear();
    return unstarted;
}

Awaitable<void> PreforkPool::retire(Deadline deadline) {
    retiring_ = true;
    changed_.notify_all();
    for (Slot* slot : std::exchange(idle_, {})) {
        slot->state.leave();
        slot->process->quit();
    }
    const auto leaving = [this] {
        return std::ranges::any_of(slots_, [](const auto& slot) {
            return slot->state.phase() == SlotState::Phase::leaving;
        });
    };
    while (leaving() && co_await changed_.wait(deadline)) {
    }
}

std::size_t PreforkPool::stop() {
    stopping_ = true;
    events_ = {};
    waiting_.clear();
    for (const auto& slot : slots_) {
        if (slot->process) slot->process->kill();
    }
    changed_.notify_all();
    limits_changed_.notify_all();
    return 0;
}

Awaitable<void> PreforkPool::join() {
    while (!co_await scope_.join(Deadline::in(kJoin))) {
    }
    // Behind a report that is under way.
    co_await asio::post(core_.loop().executor(), asio::use_awaitable);
}

}  // namespace lovage
