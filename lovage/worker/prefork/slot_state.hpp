#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <lovage/runtime/child_process.hpp>
#include <lovage/worker/prefork/claims.hpp>
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
        : tasks_max_{tasks_max == 0 ? kNoLimit : tasks_max}, kill_at_{ready_by} {}

    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] bool idle() const noexcept {
        return phase_ == Phase::serving && !running_ && kill_reason_ == KillReason::none;
    }
    [[nodiscard]] bool busy() const noexcept { return running_ != nullptr; }
    [[nodiscard]] const RequestPtr& running() const noexcept { return running_; }
    /// That it has begun.
    [[nodiscard]] std::size_t tasks_run() const noexcept { return tasks_run_; }
    /// The number of the attempt that runs, or ran last.
    [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
    [[nodiscard]] KillReason kill_reason() const noexcept { return kill_reason_; }

    /// It says that it serves. False when that makes no sense.
    [[nodiscard]] bool ready() noexcept;
    /// An idle slot takes a request; returns the attempt's number.
    std::uint64_t begin(RequestPtr request, Clock::time_point now);
    /// One that is busy takes a request, which it begins after what it has; returns its number.
    std::uint64_t queue(RequestPtr request);
    /// How many requests it may be given beyond the one it runs.
    [[nodiscard]] std::size_t queue_max() const noexcept;
    [[nodiscard]] std::size_t queued() const noexcept { return queue_.size(); }
    [[nodiscard]] bool has_queued(const RequestPtr& request) const noexcept;
    /// The number of the last attempt that was given to it.
    [[nodiscard]] std::uint64_t given() const noexcept { return given_; }
    /// Takes what is queued and has not begun, in its order.
    [[nodiscard]] std::vector<RequestPtr> take_back(Claims& claims);
    /// The attempt has ended, and the next one of the queue runs; its request, or nullptr when no
    /// such attempt runs.
    [[nodiscard]] RequestPtr end(std::uint64_t sequence, Clock::time_point now) noexcept;
    /// It shall be given no more: it has run as many tasks as it may, or is to be replaced.
    [[nodiscard]] bool used_up() const noexcept {
        return phase_ == Phase::serving && (replace_ || tasks_run_ >= tasks_max_);
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

    /// The process has ended; the request whose attempt it takes along, or nullptr. After this
    /// take_back(), then lost().
    [[nodiscard]] RequestPtr ended() noexcept;
    /// What it had begun and not told the end of, besides the one that ended() told.
    [[nodiscard]] std::vector<RequestPtr> lost();

private:
    static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

    struct Given {
        std::uint64_t sequence = 0;
        RequestPtr request;
    };

    void run(Given given, Clock::time_point now) noexcept;

    std::size_t tasks_max_;
    Phase phase_ = Phase::starting;
    RequestPtr running_;
    std::uint64_t sequence_ = 0;  // its
    std::uint64_t given_ = 0;
    std::deque<Given> queue_;  // behind it
    std::size_t tasks_run_ = 0;
    bool replace_ = false;
    Clock::time_point began_;
    std::optional<Clock::time_point> kill_at_;
    KillReason kill_reason_ = KillReason::none;
};

}  // namespace lovage::slot
