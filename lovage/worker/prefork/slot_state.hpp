#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <lovage/runtime/child_process.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage::slot {

/// Why the worker has killed a slot.
enum class KillReason : std::uint8_t {
    none,
    time_limit,  ///< Its task reached the hard time limit.
    memory,      ///< It outgrew worker_max_memory_per_child.
    terminated,  ///< Its task was revoked with `terminate`.
    misbehaved,  ///< It said something nobody understands, or was not ready, or gone, in time.
};

/// What a worker knows of one slot process from its start to its end. Pure state: it reads no clock
/// and does no I/O. The pool's loop owns it; not thread-safe.
class SlotState {
public:
    using Clock = std::chrono::steady_clock;
    using RequestPtr = std::shared_ptr<TaskRequest>;

    enum class Phase : std::uint8_t {
        starting,  ///< Not ready yet.
        serving,
        leaving,  ///< Asked to run its finalisers and exit.
        ended,
    };

    /// `tasks_max`: how many tasks it runs before it is replaced; 0: no limit. `ready_by`: when it
    /// must be killed unless it is ready.
    explicit SlotState(std::size_t tasks_max = 0, std::optional<Clock::time_point> ready_by = {})
        : tasks_max_{tasks_max}, kill_at_{ready_by} {}

    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] bool idle() const noexcept {
        return phase_ == Phase::serving && !running_ && kill_reason_ == KillReason::none;
    }
    [[nodiscard]] bool busy() const noexcept { return running_ != nullptr; }
    [[nodiscard]] const RequestPtr& running() const noexcept { return running_; }
    /// That it has begun.
    [[nodiscard]] std::size_t tasks_run() const noexcept { return tasks_run_; }
    [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
    [[nodiscard]] KillReason kill_reason() const noexcept { return kill_reason_; }

    /// It says that it serves. False when that makes no sense.
    [[nodiscard]] bool ready() noexcept;
    /// An idle slot takes a request; returns the attempt's number.
    std::uint64_t begin(RequestPtr request, Clock::time_point now);
    /// The attempt has ended; its request, or nullptr when no such attempt runs.
    [[nodiscard]] RequestPtr end(std::uint64_t sequence) noexcept;
    /// It shall run no more: idle, and it has run as many tasks as it may, or is to be replaced.
    [[nodiscard]] bool used_up() const noexcept {
        return idle() && (replace_ || (tasks_max_ != 0 && tasks_run_ >= tasks_max_));
    }
    /// Another one shall take its place after its task.
    void replace() noexcept { replace_ = true; }
    /// It is asked to run its way out, and killed when it is still there at `gone_by`.
    void leave(Clock::time_point gone_by) noexcept;
    /// It is about to be killed; the first reason counts.
    void killed(KillReason reason) noexcept;
    /// It shall say where it is and die of that, and must be killed when it is still there at
    /// `gone_by`. The first reason counts, and its time.
    void asked(KillReason reason, Clock::time_point gone_by) noexcept;

    /// When its task started; when it must be killed, if it must: its task's hard limit, or the end
    /// of its time to get ready, to leave or to answer.
    [[nodiscard]] Clock::time_point began() const noexcept { return began_; }
    [[nodiscard]] std::optional<Clock::time_point> kill_at() const noexcept { return kill_at_; }

    /// The process has ended; the request whose attempt it takes along, or nullptr.
    [[nodiscard]] RequestPtr ended() noexcept;

private:
    std::size_t tasks_max_;
    Phase phase_ = Phase::starting;
    RequestPtr running_;
    std::uint64_t sequence_ = 0;
    std::size_t tasks_run_ = 0;
    bool replace_ = false;
    Clock::time_point began_;
    std::optional<Clock::time_point> kill_at_;
    KillReason kill_reason_ = KillReason::none;
};

}  // namespace lovage::slot
