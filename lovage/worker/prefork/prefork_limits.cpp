// What ends a slot that does not end by itself: its task's hard limit, its memory, its patience.
#include <lovage/runtime/log.hpp>
#include <lovage/worker/prefork/pool_slot.hpp>
#include <lovage/worker/prefork/prefork_pool.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>

namespace lovage {

using slot::KillReason;
using slot::SlotState;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How often the memory of slots is looked at while tasks run.
constexpr auto kMemoryLook = 50ms;
/// How long a slot that is to be killed may take to say where its task is. It takes microseconds
/// when it has a processor; one that is stopped, or keeps signals out, never does.
constexpr auto kAnswerWithin = 200ms;
/// The same while it takes more memory.
constexpr auto kAnswerWhileItGrows = 100ms;

}  // namespace

Awaitable<void> PreforkPool::watch_limits() {
    while (!stopping_) {
        if (options_.memory_max != 0) check_memory();
        const auto now = Clock::now();
        next_kill_.reset();
        for (const auto& slot : slots_) {
            if (slot->state.kill_at() && *slot->state.kill_at() <= now) kill_late(*slot);
            const auto kill_at = slot->state.kill_at();
            if (kill_at && (!next_kill_ || *kill_at < *next_kill_)) next_kill_ = kill_at;
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

void PreforkPool::look_at(std::optional<Clock::time_point> limit) {
    if (limit && (!next_kill_ || *limit < *next_kill_)) limits_changed_.notify_all();
}

bool PreforkPool::outgrown(const Slot& slot) const {
    return options_.memory_max != 0 && slot.process->resident_bytes() > options_.memory_max;
}

void PreforkPool::check_memory() {
    for (const auto& slot : slots_) {
        if (!slot->state.busy() || slot->state.kill_reason() != KillReason::none) continue;
        if (!outgrown(*slot)) continue;
        catch_up(*slot);
        if (slot->state.busy()) {
            kill_when_it_has_answered(*slot, KillReason::memory, kAnswerWhileItGrows);
        }
    }
}

void PreforkPool::kill_late(Slot& slot) {
    const KillReason known = slot.state.kill_reason();
    if (known != KillReason::none) return kill(slot, known);  // it has not answered
    if (slot.state.busy()) {
        catch_up(slot);
        if (!slot.state.kill_at() || *slot.state.kill_at() > Clock::now()) return;
        return kill_when_it_has_answered(slot, KillReason::time_limit, kAnswerWithin);
    }
    const bool starting = slot.state.phase() == SlotState::Phase::starting;
    log::error("worker",
               "slot {} (pid {}) is killed, since it {} within {} s: look for what blocks {}",
               slot.index, slot.process->pid(), starting ? "was not ready" : "did not end",
               (starting ? kReadyWithin : kGoneWithin).count(),
               starting ? "this program before lovage::main, or in on_slot_start"
                        : "in on_slot_stop, or in the program's destructors");
    kill(slot, KillReason::misbehaved);
}

void PreforkPool::terminate(const std::shared_ptr<TaskRequest>& request, int signal) {
    request->context->request_stop(StopReason::terminated);
    Slot* const runner = find_runner(request);
    if (runner == nullptr) return;
    Slot& slot = *runner;
    if (signal == SIGKILL) return kill(slot, KillReason::terminated);
    // Slots leave SIGTERM to the worker, since Ctrl-C and a service manager's stop reach them, too.
    // So it means the kill; before that the slot tells where its task is.
    if (signal == SIGTERM) {
        return kill_when_it_has_answered(slot, KillReason::terminated, kAnswerWithin);
    }
    slot.process->interrupt({slot.state.sequence(), StopReason::terminated});
    slot.process->signal(signal);
}

void PreforkPool::kill(Slot& slot, KillReason reason) {
    std::erase(idle_, &slot);
    slot.state.killed(reason);
    slot.process->kill();
}

void PreforkPool::kill_when_it_has_answered(Slot& slot, KillReason reason,
                                            std::chrono::milliseconds patience) {
    std::erase(idle_, &slot);
    slot.state.asked(reason, Clock::now() + patience);
    slot.process->ask_where();
    look_at(slot.state.kill_at());
}

}  // namespace lovage
