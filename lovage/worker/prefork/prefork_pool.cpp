#include <lovage/worker/prefork/prefork_pool.hpp>

#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/prefork/pool_slot.hpp>
#include <lovage/worker/prefork/registry_check.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <utility>

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

slot::LogStyle log_style() {
    const log::Options options = log::options();
    return {static_cast<std::uint8_t>(options.level), static_cast<std::uint8_t>(options.format),
            options.terminal.value_or(false), options.color};
}

}  // namespace

PreforkPool::PreforkPool(AppCore& core, PreforkOptions options)
    : core_{core},
      options_{std::move(options)},
      ahead_given_{core.loop().executor()},
      limits_changed_{core.loop().executor()},
      changed_{core.loop().executor()},
      scope_{core.loop().executor()} {
    wanted_ = std::clamp<std::size_t>(options_.slots, 1, kSlotsMost);
}

PreforkPool::~PreforkPool() = default;

void PreforkPool::start(Events events) {
    events_ = std::move(events);
    setup_.hostname = options_.hostname;
    setup_.registry_hash = slot::registry_hash(core_.registry());
    setup_.log = log_style();
    setup_.settings = export_settings(core_.settings());
    add_slots();
    scope_.spawn("hard limits", watch_limits());
    scope_.spawn("what waits in slots", watch_ahead());
}

void PreforkPool::add_slots() {
    while (kept() < wanted_) {
        std::uint32_t index = 0;
        while (std::ranges::any_of(slots_, [&](const auto& s) { return s->index == index; })) {
            ++index;
        }
        slots_.push_back(std::make_unique<Slot>());
        slots_.back()->index = index;
        scope_.spawn("slot", keep(slots_.back().get()));
    }
}

std::size_t PreforkPool::kept() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(slots_, [](const auto& slot) { return !slot->removed; }));
}

Result<void> PreforkPool::resize(std::size_t slots) {
    wanted_ = std::clamp<std::size_t>(slots, 1, kSlotsMost);
    if (stopping_ || retiring_) return {};
    // Those that have not left yet may as well stay.
    for (const auto& slot : slots_) {
        if (kept() < wanted_ && slot->removed && slot->state.phase() == SlotState::Phase::serving) {
            slot->removed = false;
        }
    }
    add_slots();
    const auto remove_those = [this](auto&& which) {
        for (const auto& slot : slots_) {
            if (kept() > wanted_ && !slot->removed && which(slot->state)) {
                slot->removed = true;
                take_back(*slot);
                dismiss_idle(*slot);
            }
        }
    };
    remove_those([](const SlotState& state) { return state.idle(); });
    remove_those([](const SlotState& state) { return !state.busy(); });
    remove_those([](const SlotState&) { return true; });
    changed_.notify_all();
    dispatch();
    return {};
}

Result<void> PreforkPool::restart() {
    for (const auto& slot : slots_) {
        if (slot->state.phase() != SlotState::Phase::serving) continue;
        slot->state.replace();
        take_back(*slot);
        dismiss_idle(*slot);
    }
    dispatch();
    return {};
}

void PreforkPool::dismiss_idle(Slot& slot) {
    if (!slot.state.idle()) return;
    std::erase(idle_, &slot);
    slot.state.leave(Clock::now() + kGoneWithin);
    look_at(slot.state.kill_at());
    slot.process->quit();
}

Awaitable<void> PreforkPool::keep(Slot* slot) {
    while (!stopping_ && !retiring_ && !slot->removed) {
        if (starting_ >= kStartingMost) {
            co_await changed_.wait();
            continue;
        }
        if (start_process(*slot)) {
            const auto process = slot->process;
            on_ended(*slot, co_await process->serve());
        }
        if (slot->failures != 0) co_await pause_after_failures(slot->failures);
    }
    if (slot->removed) std::erase_if(slots_, [&](const auto& own) { return own.get() == slot; });
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
         [this, &slot](slot::Event event) { on_event(slot, std::move(event)); },
         [this, &slot](slot::Outcome outcome) { on_outcome(slot, std::move(outcome)); },
         [this, &slot](const Error& problem) { on_broken(slot, problem); }});
    if (!started) {
        ++slot.failures;
        log::error("worker", "slot {} cannot be started: {}", slot.index,
                   started.error().message());
        return false;
    }
    slot.process = std::move(*started);
    slot.state = SlotState{options_.tasks_max, Clock::now() + kReadyWithin};
    look_at(slot.state.kill_at());
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
            what = fmt::format(
                "its tasks are not the worker's (registry {:016x}, the worker's is {:016x}){}",
                ready.registry_hash, setup_.registry_hash,
                slot::difference(slot::signatures(core_.registry()), ready.tasks));
        }
        log::error("worker", "slot {} cannot serve: {}", slot.index, what);
        if (events_.broken) {
            events_.broken({Errc::conflict, fmt::format("a prefork slot cannot serve: {}", what)});
        }
        return;
    }
    (void)slot.state.ready();
    --starting_;
    changed_.notify_all();
    if (!slot.state.idle()) return;  // it is being killed: this comes too late
    if (retiring_ || slot.removed) return dismiss_idle(slot);
    idle_.push_back(&slot);
    dispatch();
}

void PreforkPool::submit(std::vector<std::shared_ptr<TaskRequest>> requests) {
    std::ranges::move(requests, std::back_inserter(waiting_));
    dispatch();
}

void PreforkPool::dispatch() {
    for (const auto& slot : slots_) {
        if (waiting_.size() >= idle_.size()) break;
        take_back(*slot);
    }
    while (!waiting_.empty() && !idle_.empty()) {
        Slot& slot = *idle_.back();
        std::shared_ptr<TaskRequest> request = std::move(waiting_.front());
        waiting_.pop_front();
        if (!write(slot, request)) continue;
        idle_.pop_back();
        ++busy_;
        (void)slot.state.begin(std::move(request), Clock::now());
        note_begin(slot);
        slot.process->flush();
    }
    if (!waiting_.empty()) give_ahead();
}

bool PreforkPool::write(Slot& slot, std::shared_ptr<TaskRequest>& request) {
    TaskOutcome outcome;
    if (std::string reason = reason_not_to_start(*request); !reason.empty()) {
        outcome.ending = Ending::revoked;
        outcome.reason = std::move(reason);
    } else {
        if (slot.process->give(slot.state.given() + 1, *request)) return true;
        outcome.ending = Ending::failed;
        outcome.failure = TaskFailure{"DecodeError", "the arguments are too large for a slot",
                                      "kombu.exceptions", ""};
        outcome.started = outcome.ended = Clock::now();
    }
    finish({std::move(request), std::move(outcome)});
    return false;
}

void PreforkPool::note_begin(Slot& slot) {
    const std::shared_ptr<TaskRequest>& request = slot.state.running();
    slot.mark = {request->journal, request->message.id, wall_clock_now()};
    if (request->report_start && events_.started) events_.started(request);
    look_at(slot.state.kill_at());
}

void PreforkPool::forbid_start(const std::shared_ptr<TaskRequest>& request) {
    request->context->forbid_start();
    for (const auto& slot : slots_) {
        if (slot->state.has_queued(request)) take_back(*slot);
    }
}

void PreforkPool::request_stop(const std::shared_ptr<TaskRequest>& request, StopReason reason) {
    request->context->request_stop(reason);
    Slot* const slot = find_runner(request);
    if (slot != nullptr) slot->process->interrupt({slot->state.sequence(), reason});
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

void PreforkPool::on_event(Slot& slot, slot::Event event) {
    const std::shared_ptr<TaskRequest>& request = slot.state.running();
    if (!request || event.sequence != slot.state.sequence()) return;  // a straggler's
    try {
        request->context->send_event(std::move(event.type), std::move(event.fields));
    } catch (const std::invalid_argument& problem) {
        on_broken(slot, {Errc::malformed, problem.what()});
    }
}

void PreforkPool::on_outcome(Slot& slot, slot::Outcome outcome) {
    std::shared_ptr<TaskRequest> request = slot.state.end(outcome.sequence, Clock::now());
    if (!request) return on_broken(slot, {Errc::malformed, "it ends a task that it does not run"});
    slot.failures = 0;
    run_ahead_.on_task_ended(outcome.outcome.ended - outcome.outcome.started);
    for (std::string& child : outcome.children)
        request->context->trail()->add_result(std::move(child));
    finish({std::move(request), std::move(outcome.outcome)});
    if (slot.state.busy()) {
        note_begin(slot);
    } else {
        slot.mark.clear();
        --busy_;
    }
    if (slot.state.used_up() || retiring_ || slot.removed || outgrown(slot)) {
        take_back(slot);
        dismiss_idle(slot);
    } else if (slot.state.idle()) {
        idle_.push_back(&slot);
    }
    dispatch();
}

void PreforkPool::on_broken(Slot& slot, const Error& problem) {
    log::error("worker", "slot {} (pid {}) is killed, since it cannot be understood: {}",
               slot.index, slot.process->pid(), problem.message());
    kill(slot, KillReason::misbehaved);
}

void PreforkPool::on_ended(Slot& slot, const ExitStatus& status) {
    // A signal that the revocation of its task has asked for is no crash.
    const std::shared_ptr<TaskRequest>& running = slot.state.running();
    if (running && running->context->stop_reason() == StopReason::terminated) {
        slot.state.killed(KillReason::terminated);
    }
    changed_.notify_all();
    std::erase(idle_, &slot);
    const bool begun = slot.state.busy() && slot.process->has_begun(slot.state.sequence());
    note_end(slot, status, begun ? slot.state.running().get() : nullptr);
    const KillReason killed = slot.state.kill_reason();
    std::shared_ptr<TaskRequest> request = slot.state.ended();
    take_back(slot);
    for (auto& lost : slot.state.lost()) {
        if (!stopping_) finish_lost(slot, std::move(lost), status);
    }
    if (!request) return dispatch();
    --busy_;
    slot.mark.clear();      // charged as a crash of the slot
    if (stopping_) return;  // its message goes back with the consumer
    if (begun || killed == KillReason::time_limit || killed == KillReason::terminated) {
        finish_lost(slot, std::move(request), status);
        return dispatch();
    }
    // The slot was dying already when it was given: another one runs it, and nobody is blamed.
    waiting_.push_front(std::move(request));
    dispatch();
}

void PreforkPool::note_end(Slot& slot, const ExitStatus& status, const TaskRequest* begun) {
    using Phase = SlotState::Phase;
    const Phase phase = slot.state.phase();
    if (phase == Phase::starting) --starting_;
    const bool left = phase == Phase::leaving && status.signal == 0;
    const bool killed = slot.state.kill_reason() != KillReason::none;
    // A task that takes its slot along says nothing about the next slot in its place.
    if (phase == Phase::starting || (!begun && !left && !killed)) ++slot.failures;
    if (left || killed || stopping_) return;
    std::string when;
    if (begun != nullptr) {
        when =
            fmt::format(" while it ran {}[{}]", begun->message.display_name(), begun->message.id);
    } else if (phase != Phase::serving) {
        when = phase == Phase::starting ? " while it started" : " while it left";
    }
    log::error("worker", "slot {} (pid {}) has ended by itself{}: {}", slot.index,
               slot.process->pid(), when, to_string(status));
}

void PreforkPool::finish_lost(const Slot& slot, std::shared_ptr<TaskRequest> request,
                              const ExitStatus& status) {
    FinishedTask lost{std::move(request), {}};
    TaskOutcome& outcome = lost.outcome;
    outcome.ending = Ending::slot_lost;
    outcome.started = slot.state.began();
    outcome.ended = Clock::now();
    const KillReason killed = slot.state.kill_reason();
    if (killed == KillReason::terminated) {
        outcome.ending = Ending::revoked;
        outcome.reason = "terminated";
    }
    if (killed == KillReason::time_limit) {
        outcome.ending = Ending::timed_out;
        outcome.time_limit = lost.request->time_limit.value_or(0ms);
    }
    scope_.spawn("crash report", report_crash(std::move(lost), killed, status, slot.process));
}

Awaitable<void> PreforkPool::report_crash(FinishedTask lost, KillReason killed, ExitStatus status,
                                          std::shared_ptr<slot::SlotProcess> process) {
    CrashReport crash = co_await analyst_.examine(killed, status, std::move(process));
    if (lost.outcome.ending == Ending::slot_lost) {
        lost.outcome.failure = worker_lost(lost.request->message.task, crash);
    }
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
    for (const auto& slot : slots_) take_back(*slot);
    std::vector<std::shared_ptr<TaskRequest>> unstarted{std::make_move_iterator(waiting_.begin()),
                                                        std::make_move_iterator(waiting_.end())};
    waiting_.clear();
    return unstarted;
}

Awaitable<void> PreforkPool::retire(Deadline deadline) {
    retiring_ = true;
    changed_.notify_all();
    for (Slot* slot : std::exchange(idle_, {})) dismiss_idle(*slot);
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
    ahead_given_.notify_all();
    return 0;
}

Awaitable<void> PreforkPool::join() {
    while (!co_await scope_.join(Deadline::in(kJoin))) {
    }
    // Behind a report that is under way.
    co_await asio::post(core_.loop().executor(), asio::use_awaitable);
}

bool PreforkPool::can_run() const noexcept {
    constexpr std::size_t kBadLuck = 2;  // a slot may well fail once or twice
    return slots_.empty() || std::ranges::any_of(slots_, [](const auto& slot) {
               return slot->failures <= kBadLuck ||
                      slot->state.phase() == SlotState::Phase::serving;
           });
}

std::vector<RunningTask> PreforkPool::running() const {
    std::vector<RunningTask> tasks;
    for (const auto& slot : slots_) {
        if (!slot->state.busy()) continue;
        tasks.push_back({slot->state.running(), slot->state.began(), slot->process->pid()});
    }
    return tasks;
}

std::vector<PoolProcess> PreforkPool::processes() const {
    std::vector<PoolProcess> processes;
    for (const auto& slot : slots_) {
        if (slot->state.phase() != SlotState::Phase::serving) continue;
        processes.push_back({slot->process->pid(), slot->state.tasks_run()});
    }
    return processes;
}

}  // namespace lovage
