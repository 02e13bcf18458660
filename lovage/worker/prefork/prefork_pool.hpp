#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/pool.hpp>
#include <lovage/worker/prefork/crash_analyst.hpp>
#include <lovage/worker/prefork/run_ahead.hpp>
#include <lovage/worker/prefork/slot_process.hpp>
#include <lovage/worker/prefork/slot_state.hpp>

namespace lovage {

struct PreforkOptions {
    std::size_t slots = 1;         ///< 1 to 1,024.
    std::string hostname;          ///< The worker's node name, for the slots' tasks.
    std::uint64_t memory_max = 0;  ///< worker_max_memory_per_child, in bytes; 0: no limit.
    std::size_t tasks_max = 0;     ///< worker_max_tasks_per_child; 0: no limit.
};

/// Slots that are processes of their own: a task that crashes, leaks or never returns hurts its
/// slot only, which is replaced. Each is this program, started again; it has no connections and
/// does nothing but run tasks.
///
/// Belongs to the app's loop, which must run on one thread for as long as the pool lives: slots die
/// with the thread that started them. Await join() after stop(), before it is destroyed.
class PreforkPool final : public Pool {
public:
    /// `core` must outlive the pool.
    PreforkPool(AppCore& core, PreforkOptions options);
    ~PreforkPool() override;

    void start(Events events) override;
    void submit(std::vector<std::shared_ptr<TaskRequest>> requests) override;
    [[nodiscard]] std::vector<std::shared_ptr<TaskRequest>> take_unstarted() override;
    void forbid_start(const std::shared_ptr<TaskRequest>& request) override;
    void request_stop(const std::shared_ptr<TaskRequest>& request, StopReason reason) override;
    /// SIGTERM and SIGKILL kill the slot; another signal arrives at it, and its task is asked to
    /// stop.
    void terminate(const std::shared_ptr<TaskRequest>& request, int signal) override;
    [[nodiscard]] bool keeps_hard_limits() const noexcept override { return true; }
    [[nodiscard]] bool resizable() const noexcept override { return true; }
    Result<void> resize(std::size_t slots) override;
    Result<void> restart() override;
    [[nodiscard]] Awaitable<void> retire(Deadline deadline) override;
    /// Kills every slot: nothing is left behind.
    std::size_t stop() override;
    [[nodiscard]] Awaitable<void> join() override;

    [[nodiscard]] std::size_t slots() const noexcept override { return wanted_; }
    [[nodiscard]] std::size_t busy() const noexcept override { return busy_; }
    [[nodiscard]] std::string_view name() const noexcept override { return "prefork"; }
    [[nodiscard]] bool can_run() const noexcept override;
    [[nodiscard]] std::vector<RunningTask> running() const override;
    [[nodiscard]] std::vector<PoolProcess> processes() const override;

private:
    struct Slot;

    /// One slot's life: its process, and the next one, until the pool stops.
    Awaitable<void> keep(Slot* slot);
    /// Starts slots until there are as many as wanted.
    void add_slots();
    /// How many will stay.
    [[nodiscard]] std::size_t kept() const;
    /// Lets a slot that runs nothing run its finalisers and exit.
    void dismiss_idle(Slot& slot);
    Awaitable<void> pause_after_failures(std::size_t failures);
    [[nodiscard]] bool start_process(Slot& slot);
    void on_ready(Slot& slot, slot::Ready ready);
    void on_progress(Slot& slot, slot::Progress progress);
    void on_event(Slot& slot, slot::Event event);
    void on_outcome(Slot& slot, slot::Outcome outcome);
    void on_broken(Slot& slot, const Error& problem);
    void on_ended(Slot& slot, const ExitStatus& status);
    void kill(Slot& slot, slot::KillReason reason);
    /// The same for one whose task has a call stack worth knowing: it dies as soon as it has
    /// written that down, and is killed when it takes longer than `patience`.
    void kill_when_it_has_answered(Slot& slot, slot::KillReason reason,
                                   std::chrono::milliseconds patience);
    /// Ends it for what it has not done in time.
    void kill_late(Slot& slot);
    /// The worker looks at its limits no later than then.
    void look_at(std::optional<std::chrono::steady_clock::time_point> limit);
    /// Gives waiting requests to idle slots, and ahead to busy ones.
    void dispatch();
    /// Writes the request that the slot is given next. False, with its attempt ended, when it must
    /// not start, or is too large.
    bool write(Slot& slot, std::shared_ptr<TaskRequest>& request);
    /// The task that the slot runs now has begun.
    void note_begin(Slot& slot);

    /// Fills slots up that will soon have nothing to do.
    void give_ahead();
    void give_ahead(Slot& slot, std::size_t most);
    [[nodiscard]] bool takes_more(const Slot& slot) const;
    /// What the slot has been given and has not begun waits here again, before everything else.
    void take_back(Slot& slot);
    /// The same, and hears of what it has ended: what it runs now is the last that it has begun.
    void catch_up(Slot& slot);
    /// The slot that runs the request; nullptr: none does, and none will before it is given anew.
    [[nodiscard]] Slot* find_runner(const std::shared_ptr<TaskRequest>& request);
    /// Takes back what has waited in slots for too long.
    Awaitable<void> watch_ahead();
    /// What the end of a slot says in the log, and whether it is one more failure of its place.
    void note_end(Slot& slot, const ExitStatus& status, const TaskRequest* begun);
    /// Ends the attempt that a slot which is gone took along.
    void finish_lost(const Slot& slot, std::shared_ptr<TaskRequest> request,
                     const ExitStatus& status);
    /// Finds out what the slot died of and where, and ends the attempt.
    Awaitable<void> report_crash(FinishedTask lost, slot::KillReason killed, ExitStatus status,
                                 std::shared_ptr<slot::SlotProcess> process);
    /// Kills slots whose task reached its hard time limit, or that use too much memory.
    Awaitable<void> watch_limits();
    void check_memory();
    [[nodiscard]] bool outgrown(const Slot& slot) const;
    void finish(FinishedTask task);
    void report_finished();

    AppCore& core_;
    const PreforkOptions options_;
    slot::Setup setup_;
    Events events_;
    std::size_t wanted_ = 0;                    // slots there shall be
    std::vector<std::unique_ptr<Slot>> slots_;  // more, while some are on their way out
    std::vector<Slot*> idle_;                   // the one used last is used next
    std::deque<std::shared_ptr<TaskRequest>> waiting_;
    std::vector<FinishedTask> finished_;
    bool report_posted_ = false;
    slot::RunAhead run_ahead_;
    bool gave_ahead_ = false;  // since watch_ahead() looked
    Notifier ahead_given_;
    slot::CrashAnalyst analyst_;
    std::size_t busy_ = 0;
    std::size_t starting_ = 0;
    std::optional<std::chrono::steady_clock::time_point> next_kill_;
    Notifier limits_changed_;
    bool retiring_ = false;
    bool stopping_ = false;
    Notifier changed_;
    TaskScope scope_;
};

}  // namespace lovage
