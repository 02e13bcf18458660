#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <lovage/core/time.hpp>
#include <lovage/events/event.hpp>

namespace lovage {

/// A worker as its events show it.
struct WorkerView {
    std::string hostname;
    std::int64_t pid = 0;
    std::int64_t clock = 0;
    double freq = 60;  ///< Seconds between heartbeats; Celery's 60 until it says so.
    std::int64_t active = 0;
    std::int64_t processed = 0;
    std::array<double, 3> loadavg{};
    std::string sw_ident, sw_ver, sw_sys;
    double timestamp = 0;  ///< Of its last event, by its own clock.
    /// When it was last heard of, by our clock; nothing: it said that it goes.
    std::optional<TimePoint> heard;
    /// How far its clock was from ours, in whole seconds. More than kDriftMax is worth a warning.
    std::int64_t drift = 0;

    static constexpr std::int64_t kDriftMax = 16;
    /// Heard of within twice its heartbeat's interval.
    [[nodiscard]] bool alive(TimePoint now) const noexcept;
};

/// A task as its events show it. Texts are empty, times 0, while nothing was said.
struct TaskView {
    std::string uuid;
    /// A state of Celery, RECEIVED and REJECTED among them, or the upper-case name of a custom
    /// event.
    std::string state = "PENDING";
    std::string name, args, kwargs;
    std::string worker;  ///< Node name; empty while only its producer spoke of it.
    std::string client;  ///< Who sent it.
    std::string root_id, parent_id;
    std::string eta, expires;  ///< ISO 8601.
    std::string queue, exchange, routing_key;
    std::string result, exception, traceback;
    std::int64_t retries = 0;
    std::optional<double> runtime;  ///< Seconds.
    bool terminated = false;
    std::string signum;  ///< A number or a name, as JSON without quotes.

    // Unix time of the event of that name.
    double sent = 0, received = 0, started = 0, succeeded = 0, failed = 0, retried = 0, revoked = 0,
           rejected = 0;
    double timestamp = 0;  ///< Of the event that set the state.
    std::int64_t clock = 0;

    [[nodiscard]] bool ready() const noexcept;
};

/// Workers and tasks rebuilt from their events, in whatever order these come: Celery's
/// `events.State` (celery-wire reference, section 15.5).
///
/// Bounded: the worker or task that was least recently heard of goes first. A task takes at most
/// kTaskBytesMax bytes, a finished one with short arguments about 1,200; longer texts are cut
/// (tracebacks at their beginning, their last lines say what happened). Plain state: no I/O, no
/// clock; not thread-safe.
class EventState {
public:
    struct Limits {
        std::size_t workers = 5'000;
        std::size_t tasks = 10'000;
    };
    static constexpr std::size_t kTextBytesMax = 1'024;
    static constexpr std::size_t kTracebackBytesMax = 4'096;
    static constexpr std::size_t kTaskBytesMax = 12 * 1'024;

    /// What an event was about; what does not apply is nullptr. Valid until the next apply().
    struct Change {
        const TaskView* task = nullptr;
        const WorkerView* worker = nullptr;
        bool is_new = false;  ///< The task, or of a worker's event the worker, was not known.
        bool late = false;    ///< It tells of a state before the task's present one.
    };

    EventState() : EventState{Limits{}} {}
    explicit EventState(Limits limits) : limits_{limits} {}
    // What it hands out points into it.
    EventState(const EventState&) = delete;
    EventState& operator=(const EventState&) = delete;

    /// `received`: now, by our clock.
    Change apply(const Event& event, TimePoint received);

    [[nodiscard]] const TaskView* task(std::string_view uuid) const;
    [[nodiscard]] const WorkerView* worker(std::string_view hostname) const;
    /// Most recently heard of first.
    [[nodiscard]] const std::list<TaskView>& tasks() const noexcept { return tasks_.items; }
    [[nodiscard]] const std::list<WorkerView>& workers() const noexcept { return workers_.items; }

    [[nodiscard]] std::uint64_t events() const noexcept { return events_; }
    /// Tasks and workers that had to go.
    [[nodiscard]] std::uint64_t forgotten() const noexcept { return forgotten_; }

private:
    /// A list in order of use, and where each name is in it.
    template <class Item>
    struct Recent {
        std::list<Item> items;
        /// Keys are texts inside the items.
        std::unordered_map<std::string_view, typename std::list<Item>::iterator> by_name;
    };
    template <class Item>
    Item& touch(Recent<Item>& recent, std::string Item::* name, std::string_view value,
                std::size_t most, bool& is_new);
    Change apply_to_worker(const Event& event, TimePoint received);
    Change apply_to_task(const Event& event, TimePoint received);

    Limits limits_;
    Recent<TaskView> tasks_;
    Recent<WorkerView> workers_;
    std::uint64_t events_ = 0;
    std::uint64_t forgotten_ = 0;
};

}  // namespace lovage
