#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/eta_policy.hpp>
#include <lovage/worker/eta_queue.hpp>
#include <lovage/worker/key_lines.hpp>
#include <lovage/worker/task_metrics.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// Delivered tasks that shall run later: at a time of the wall clock, when it is their turn, or
/// when there is a place for them under the concurrency limit of their key. Near ones are held
/// here, unacknowledged, and come out when they are due; far ones, and those there is no room for,
/// are handed to the broker's delay.
///
/// A hand-over sends the message again as it came, waits for the confirm, and only then
/// acknowledges the delivery: a crash in between leaves the task twice, never none. What the broker
/// does not take is held after all, or given back when there is no room.
///
/// Belongs to the worker's loop; not thread-safe.
class WaitingRoom {
public:
    using RequestPtr = std::shared_ptr<TaskRequest>;
    using Clock = std::chrono::steady_clock;

    struct Options {
        EtaPolicy policy;
        std::size_t tasks_most = 10'000;                  ///< Held at a time.
        std::size_t bytes_most = std::size_t{64} << 20U;  ///< Of their message bodies.
    };
    struct Hooks {
        /// The consumer that acks go to; nullptr while there is none.
        std::function<Consumer*()> consumer;
        /// How many wait here, or when the next one is due, has changed.
        std::function<void()> changed;
    };

    WaitingRoom(AppCore& core, TaskMetrics& metrics, Options options, Hooks hooks);

    /// Takes a task that shall run at `due`.
    void add(RequestPtr request, TimePoint due, TimePoint now);
    /// Takes a task whose turn is at `turn`; returns false and leaves it alone when there is no
    /// room.
    [[nodiscard]] bool hold_for_turn(RequestPtr& request, Clock::time_point turn);
    /// For a task's `ticket`: never the same twice.
    [[nodiscard]] std::uint64_t next_ticket() noexcept { return in_line_.next_ticket(); }
    enum class InLine : std::uint8_t {
        held,
        full,      ///< There is no room.
        too_long,  ///< It has been in line for as long as it may.
    };
    /// Takes a task, with its ticket, that found no place, see KeyLines; leaves it alone when it
    /// does not.
    [[nodiscard]] InLine hold_in_line(RequestPtr& request, Clock::time_point now);
    /// Somebody waits for a place of that key.
    [[nodiscard]] bool waits_in_line(const std::string& key) const { return in_line_.waits(key); }
    /// The first in that line asks at `when`.
    void wake_line(const std::string& key, Clock::time_point when);
    /// Hands a task to the broker that has to ask again later.
    void send_away(RequestPtr request, std::chrono::milliseconds delay);

    /// The tasks of that name which wait for their turn have none any more, and come out now.
    void forget_turns(const TaskDefinition& task);

    /// Removes and returns those that are held and that `matches` says yes to.
    [[nodiscard]] std::vector<RequestPtr> take_if(
        const std::function<bool(const RequestPtr&)>& matches);

    /// Those that wait for their ETA, in its order.
    [[nodiscard]] std::vector<RequestPtr> scheduled() const { return held_.all(); }
    /// Those that wait for their turn or their place.
    [[nodiscard]] std::vector<RequestPtr> in_line() const;

    /// Removes and returns whose time has come.
    [[nodiscard]] std::vector<RequestPtr> pop_due(TimePoint now, Clock::time_point steady_now);
    /// How long until then; at most a minute, since the wall clock may be set.
    [[nodiscard]] Clock::duration until_next(TimePoint now, Clock::time_point steady_now) const;
    /// Removes and returns what is held. The deliveries of hand-overs under way are not this
    /// worker's any more: those that have not been sent will not be.
    [[nodiscard]] std::vector<RequestPtr> withdraw();

    /// Deliveries to be had beyond what the slots need, so that waiting ones do not take the places
    /// of others. Hand-overs count up to kHandOversMost: a broker that is slow to take them shall
    /// be asked for no more.
    [[nodiscard]] std::size_t places() const noexcept;
    [[nodiscard]] std::size_t held() const noexcept {
        return held_.size() + in_turn_.size() + in_line_.size();
    }
    [[nodiscard]] std::size_t handing_over() const noexcept { return handing_over_; }

    /// No hand-over is begun again from here on: what fails is given back.
    void stop() noexcept { stopping_ = true; }
    /// Ends what is under way.
    void give_up() noexcept { scope_.request_stop(); }
    [[nodiscard]] Awaitable<bool> join(Deadline deadline) { return scope_.join(deadline); }

private:
    static constexpr std::size_t kHandOversMost = 1'000;

    [[nodiscard]] bool room_for(const TaskRequest& request) const noexcept;
    void hold(RequestPtr request, TimePoint due);
    void give_back(const RequestPtr& request);
    Awaitable<void> hand_over(RequestPtr request, TimePoint due, std::chrono::milliseconds delay);
    /// After a moment: a broker that hands it out again at once is not to be kept busy.
    Awaitable<void> give_back_later(RequestPtr request);
    Awaitable<void> pause();

    void tell();

    AppCore& core_;
    TaskMetrics& metrics_;
    const Options options_;
    Hooks hooks_;
    EtaQueue<RequestPtr> held_;
    EtaQueue<RequestPtr, Clock::time_point> in_turn_;
    KeyLines<RequestPtr> in_line_;
    std::size_t bytes_ = 0;  // of the bodies of what is held
    std::size_t handing_over_ = 0;
    std::size_t handing_over_bytes_ = 0;
    std::uint64_t generation_ = 0;  // of deliveries: older ones are not ours any more
    bool told_of_trouble_ = false;
    bool stopping_ = false;
    TaskScope scope_;
};

}  // namespace lovage
