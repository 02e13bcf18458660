#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/beat/lease.hpp>
#include <lovage/beat/schedule_entry.hpp>
#include <lovage/beat/schedule_store.hpp>
#include <lovage/beat/timetable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/results/state_store.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/metrics.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace lovage {

/// A moment on both clocks: that of the calendar, which people set, and that of waits.
struct BeatMoment {
    TimePoint wall;
    Deadline::Clock::time_point steady;
};

[[nodiscard]] BeatMoment real_moment();

/// One time of one entry, on its way.
struct Firing {
    ScheduleEntry entry;
    std::string task_id;
    TimePoint time;
    /// It may have been sent before: by a beat that died, or without an answer.
    bool again = false;
};

struct SchedulerOptions {
    std::string schedule;  ///< Beats of the same one are each other's stand-ins.
    std::string holder;    ///< Who this is, for people and for the lease; unique.
    TimeZone zone;
    /// Of crontabs that have none of their own.
    std::optional<std::chrono::seconds> cron_deadline = std::nullopt;
    std::chrono::milliseconds lease = std::chrono::seconds{15};
    /// How often entries of the state store are read.
    std::chrono::milliseconds reload = std::chrono::seconds{5};
    /// The clocks.
    std::function<BeatMoment()> now = real_moment;
    /// Whether to leave what is due for later; asked between one entry and the next.
    std::function<bool()> stopping = [] { return false; };
};

/// Sends what is due and remembers it, so that each time of each entry is one task, with however
/// many schedulers on one state store and whenever one of them dies.
///
/// The order of one time: it is noted as pending (a compare-and-set that only one scheduler can
/// win), sent under an id that follows from entry and time, noted as sent. Who dies in between
/// leaves a pending time; the next one claims it anew and sends it again, under the same id. The
/// lease only keeps the others from trying: the version of an entry's state is the fencing token,
/// and one who believes to lead a moment too long fails there.
///
/// Celery differs: two beats send everything twice, and a time whose send failed is lost.
///
/// Belongs to the store's loop; not thread-safe.
class Scheduler {
public:
    /// Errors: invalid_argument and too_large end the attempt; after any other it is made again.
    using Send = std::function<Awaitable<Result<void>>(Firing)>;

    /// `entries` are those of the program. Lifetime: `store` must outlive the scheduler.
    Scheduler(StateStore& store, std::vector<ScheduleEntry> entries, SchedulerOptions options,
              Send send);

    /// Does what is due, until the lease has to be renewed, and says how long there is nothing to
    /// do. Errors: those of the state store; the next tick goes on where this one ended.
    [[nodiscard]] Awaitable<Result<std::chrono::microseconds>> tick();
    /// Lets another one lead at once.
    [[nodiscard]] Awaitable<void> resign(Deadline deadline);

    [[nodiscard]] bool leads() const noexcept { return lease_.held(); }
    [[nodiscard]] const Timetable& timetable() const noexcept { return table_; }

private:
    Awaitable<Result<void>> lead(BeatMoment now);
    Awaitable<Result<void>> load(BeatMoment now);
    Awaitable<Result<void>> load_states(ScheduleStore::Entries* wanted);
    Awaitable<Result<void>> begin(ScheduleEntry entry, TimePoint now);
    Awaitable<Result<void>> drop(std::string name, std::uint64_t version);
    void forget(const std::string& name);
    void warn_of_silence(TimePoint now);
    Awaitable<Result<void>> fire(std::string name);
    Awaitable<Result<void>> send(Firing firing);
    Awaitable<Result<void>> settle(std::string name, EntryState state);
    /// False: somebody else has changed it, and what they wrote is known now.
    Awaitable<Result<bool>> save(std::string name, EntryState state);
    /// The lease comes before anything else.
    [[nodiscard]] bool must_renew() const { return options_.now().steady >= renew_at_; }
    [[nodiscard]] std::chrono::microseconds until_next(BeatMoment now) const;
    void retry_later(const std::string& name, TimePoint now);
    void note(const ScheduleEntry& entry, const EntryState& before, const EntryState& after);

    StateStore& store_;
    SchedulerOptions options_;
    ScheduleKeys keys_;
    ScheduleStore entries_;
    Send send_;
    Lease lease_;
    Timetable table_;
    bool loaded_ = false;  ///< What is remembered is known.
    Deadline::Clock::time_point renew_at_;
    Deadline::Clock::time_point reload_at_;

    /// Of a pending time: what this scheduler knows beyond its state.
    struct Attempt {
        TimePoint time;
        unsigned failed = 0;
        std::optional<TimePoint> sent_at;  ///< Only the note is missing.
    };
    std::map<std::string, Attempt> attempts_;
    std::set<std::string> silent_;  ///< Entries that were warned of.
    [[nodiscard]] Attempt& attempt(const std::string& name, TimePoint time);

    metrics::Gauge leading_;
    metrics::Gauge entries_known_;
    metrics::CounterFamily tasks_;
    metrics::Histogram lag_;
};

}  // namespace lovage
