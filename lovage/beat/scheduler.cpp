#include <lovage/beat/scheduler.hpp>

#include <lovage/beat/schedule_json.hpp>
#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <utility>

namespace lovage {

namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr seconds kStorePatience{5};
constexpr seconds kRetryMost{30};

Deadline store_deadline() {
    return Deadline::in(kStorePatience);
}

/// Whether sending it again could ever end better.
bool is_final(const Error& error) {
    return error.code == Errc::invalid_argument || error.code == Errc::too_large;
}

}  // namespace

BeatMoment real_moment() {
    return {wall_clock_now(), Deadline::Clock::now()};
}

Scheduler::Scheduler(StateStore& store, std::vector<ScheduleEntry> entries,
                     SchedulerOptions options, Send send)
    : store_{store},
      options_{std::move(options)},
      keys_{options_.schedule},
      entries_{store, keys_, std::move(entries), options_.cron_deadline},
      send_{std::move(send)},
      lease_{store, keys_.leader(), options_.holder, options_.lease},
      table_{options_.zone} {
    metrics::Registry& registry = metrics::default_registry();
    leading_ = registry.gauge("lovage_beat_leader", "1 where the schedule is led.", {"schedule"})
                   .with({options_.schedule});
    entries_known_ = registry.gauge("lovage_beat_entries", "Entries of the schedule.", {"schedule"})
                         .with({options_.schedule});
    tasks_ = registry.counter("lovage_beat_times_total",
                              "Times of entries, by what became of them: sent, missed (nobody was "
                              "there, or too late), refused.",
                              {"schedule", "entry", "outcome"});
    lag_ = registry
               .histogram("lovage_beat_lag_seconds",
                          "How much later than its time a task was sent.", {"schedule"})
               .with({options_.schedule});
}

Awaitable<Result<microseconds>> Scheduler::tick() {
    const BeatMoment now = options_.now();
    if (auto led = co_await lead(now); !led) co_return std::unexpected{std::move(led.error())};
    if (leads()) {
        if (auto done = co_await load(now); !done)
            co_return std::unexpected{std::move(done.error())};
        for (const std::string& name : table_.due(now.wall)) {
            // Much that is due must not outlast the lease: the next tick renews it and goes on.
            if (options_.stopping() || must_renew()) break;
            if (auto done = co_await fire(name); !done) {
                co_return std::unexpected{std::move(done.error())};
            }
        }
    }
    co_return until_next(options_.now());
}

Awaitable<Result<void>> Scheduler::lead(BeatMoment now) {
    if (now.steady < renew_at_) co_return Result<void>{};
    const bool led = leads();
    const auto kept = co_await lease_.keep(store_deadline());
    if (!kept) co_return std::unexpected{kept.error()};
    // Who waits looks often, so that little time is lost when the leader dies.
    renew_at_ = now.steady + options_.lease / (*kept ? 3 : 6);
    leading_.set(*kept ? 1 : 0);
    if (!*kept) entries_known_.set(0);
    if (*kept == led) co_return Result<void>{};
    log::info("beat", "{} {} schedule '{}'", options_.holder, *kept ? "leads" : "no longer leads",
              options_.schedule);
    loaded_ = false;
    attempts_.clear();
    co_return Result<void>{};
}

Awaitable<void> Scheduler::resign(Deadline deadline) {
    leading_.set(0);
    entries_known_.set(0);
    co_await lease_.release(deadline);
}

microseconds Scheduler::until_next(BeatMoment now) const {
    auto wait = std::chrono::duration_cast<microseconds>(renew_at_ - now.steady);
    if (leads()) {
        wait = std::min(wait, std::chrono::duration_cast<microseconds>(reload_at_ - now.steady));
        if (const auto next = table_.next()) wait = std::min(wait, *next - now.wall);
    }
    return std::max(wait, microseconds{0});
}

/// Much that is new costs a write each: a load that takes longer than the lease may is left where
/// it is, and the next tick renews the lease and goes on.
Awaitable<Result<void>> Scheduler::load(BeatMoment now) {
    if (loaded_ && now.steady < reload_at_) co_return Result<void>{};
    reload_at_ = now.steady;
    auto wanted = co_await entries_.entries(store_deadline());
    if (!wanted) co_return std::unexpected{std::move(wanted.error())};
    if (!loaded_) {
        if (auto done = co_await load_states(&*wanted); !done) co_return done;
        if (!loaded_) co_return Result<void>{};
    }
    std::vector<std::pair<std::string, std::uint64_t>> gone;
    for (const auto& [name, row] : table_.rows()) {
        if (!wanted->contains(name)) gone.emplace_back(name, row.version);
    }
    for (const auto& [name, version] : gone) {
        if (entries_.may_have(name)) {
            forget(name);
            continue;
        }
        if (must_renew()) co_return Result<void>{};
        if (auto done = co_await drop(name, version); !done) co_return done;
    }
    for (auto& [name, entry] : *wanted) {
        if (const Timetable::Row* row = table_.find(name)) {
            table_.put(std::move(entry), row->state, row->version);
            continue;
        }
        if (must_renew()) co_return Result<void>{};
        if (auto done = co_await begin(std::move(entry), now.wall); !done) {
            co_return done;
        }
    }
    warn_of_silence(now.wall);
    // From its end on: one that took long must leave time for what is due.
    reload_at_ = options_.now().steady + options_.reload;
    entries_known_.set(static_cast<double>(table_.rows().size()));
    co_return Result<void>{};
}

/// Says once of each entry that it waits for a clock that was ahead.
void Scheduler::warn_of_silence(TimePoint now) {
    for (const auto& [name, row] : table_.rows()) {
        const auto until = silent_until(row.entry, row.state, now);
        if (!until) {
            silent_.erase(name);
        } else if (silent_.insert(name).second) {
            log::warning("beat", "'{}' does not come before {}: a clock that was ahead had it so",
                         name, to_iso8601(*until));
        }
    }
}

/// What is remembered of the entries; what is remembered of entries that are gone is dropped, so
/// that one which comes back later is new. An entry that is there and cannot be read, because a
/// newer version wrote it, is not gone.
Awaitable<Result<void>> Scheduler::load_states(ScheduleStore::Entries* wanted) {
    auto stored = co_await store_.list(keys_.states(), 2 * kScheduleEntriesMax, store_deadline());
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    table_.clear();
    for (const auto& [key, value] : *stored) {
        const std::string name = key.substr(keys_.states().size());
        const auto found = wanted->find(name);
        if (found == wanted->end() && entries_.may_have(name)) continue;
        const auto state = read_entry_state(value.value);
        if (found == wanted->end() || !state) {
            if (!state) log::error("beat", "what was remembered of '{}' is unreadable", name);
            if (must_renew()) co_return Result<void>{};  // only writes take time
            if (auto done = co_await drop(name, value.version); !done) co_return done;
            continue;
        }
        table_.put(found->second, *state, value.version);
    }
    loaded_ = true;
    co_return Result<void>{};
}

/// An entry nobody has seen before: its times begin now.
Awaitable<Result<void>> Scheduler::begin(ScheduleEntry entry, TimePoint now) {
    const EntryState state{.decided_until = now};
    const std::string key = keys_.states() + entry.name;
    auto version = co_await store_.compare_and_set(key, 0, write_entry_state(state), std::nullopt,
                                                   store_deadline());
    if (version) {
        table_.put(std::move(entry), state, *version);
        co_return Result<void>{};
    }
    if (version.error().code != Errc::conflict) co_return std::unexpected{version.error()};
    auto found = co_await store_.get(key, store_deadline());
    if (!found) co_return std::unexpected{std::move(found.error())};
    // Gone again, or unreadable: the next load sees to it.
    const auto known =
        *found ? read_entry_state((*found)->value) : Result<EntryState>{fail(Errc::not_found, "")};
    if (known) table_.put(std::move(entry), *known, (*found)->version);
    co_return Result<void>{};
}

Awaitable<Result<void>> Scheduler::drop(std::string name, std::uint64_t version) {
    auto erased =
        co_await store_.compare_and_erase(keys_.states() + name, version, store_deadline());
    if (!erased && erased.error().code != Errc::conflict) co_return erased;
    forget(name);
    co_return Result<void>{};
}

void Scheduler::forget(const std::string& name) {
    table_.erase(name);
    attempts_.erase(name);
    silent_.erase(name);
}

Awaitable<Result<void>> Scheduler::fire(std::string name) {
    const Timetable::Row* row = table_.find(name);
    if (row == nullptr) co_return Result<void>{};
    const auto decision = decide(row->entry, row->state, options_.now().wall, table_.zone());
    if (!decision) co_return Result<void>{};
    const ScheduleEntry entry = row->entry;
    const bool claimed_before = row->state.pending.has_value();
    // A time that was claimed before is claimed anew, though nothing changes but the version: what
    // is known of it may be old, and whoever claimed it may just have noted it as sent.
    const bool claims_anew =
        claimed_before && decision->fire && !attempt(name, *decision->fire).sent_at;
    if (claims_anew || decision->state != row->state) {
        const EntryState before = row->state;
        const auto saved = co_await save(name, decision->state);
        if (!saved) co_return std::unexpected{saved.error()};
        if (!*saved) co_return Result<void>{};
        note(entry, before, decision->state);
    }
    if (!decision->fire) {
        attempts_.erase(name);
        co_return Result<void>{};
    }
    (void)attempt(name, *decision->fire);
    Firing firing{.entry = entry,
                  .task_id = firing_id(options_.schedule, name, *decision->fire),
                  .time = *decision->fire,
                  .again = claimed_before};
    co_return co_await send(std::move(firing));
}

/// What this scheduler knows of a time; nothing yet, when it is another than the last one.
Scheduler::Attempt& Scheduler::attempt(const std::string& name, TimePoint time) {
    Attempt& known = attempts_.try_emplace(name, Attempt{.time = time}).first->second;
    if (known.time != time) known = Attempt{.time = time};
    return known;
}

/// Sends a pending time, unless only the note of it is missing, and notes what became of it.
Awaitable<Result<void>> Scheduler::send(Firing firing) {
    const std::string name = firing.entry.name;
    const TimePoint time = firing.time;
    if (!attempts_.at(name).sent_at) {
        const auto sent = co_await send_(firing);
        const TimePoint now = options_.now().wall;
        const Timetable::Row* row = table_.find(name);
        if (row == nullptr || row->state.pending != time) co_return Result<void>{};
        if (!sent && !is_final(sent.error())) {
            log::warning("beat", "'{}' (task {}) was not sent: {}; it is tried again", name,
                         firing.task_id, sent.error().message());
            retry_later(name, now);
            co_return Result<void>{};
        }
        if (!sent) {
            log::error("beat", "'{}' cannot be sent: {}", name, sent.error().message());
            tasks_.with({options_.schedule, name, "refused"}).increment();
            EntryState state = row->state;
            state.pending.reset();
            ++state.missed_count;
            co_return co_await settle(name, state);
        }
        attempts_.at(name).sent_at = now;
        tasks_.with({options_.schedule, name, "sent"}).increment();
        lag_.observe(std::max(std::chrono::duration<double>{now - time}.count(), 0.0));
        log::info("beat", "sent '{}' ({}) as {}", name, firing.entry.task, firing.task_id);
    }
    EntryState state = table_.find(name)->state;
    state.pending.reset();
    state.last_run_at = attempts_.at(name).sent_at;
    ++state.total_run_count;
    co_return co_await settle(name, state);
}

Awaitable<Result<void>> Scheduler::settle(std::string name, EntryState state) {
    const auto saved = co_await save(name, state);
    if (!saved) co_return std::unexpected{saved.error()};
    attempts_.erase(name);
    co_return Result<void>{};
}

Awaitable<Result<bool>> Scheduler::save(std::string name, EntryState state) {
    const Timetable::Row* row = table_.find(name);
    const std::string key = keys_.states() + name;
    auto version = co_await store_.compare_and_set(key, row->version, write_entry_state(state),
                                                   std::nullopt, store_deadline());
    if (version) {
        table_.update(name, state, *version);
        co_return true;
    }
    if (version.error().code != Errc::conflict) co_return std::unexpected{version.error()};
    // Another scheduler leads, or led a moment too long; or this one's own write went through
    // without an answer.
    auto found = co_await store_.get(key, store_deadline());
    if (!found) co_return std::unexpected{std::move(found.error())};
    renew_at_ = {};
    if (!*found) {
        table_.erase(name);
        co_return false;
    }
    if (const auto known = read_entry_state((*found)->value)) {
        table_.update(name, *known, (*found)->version);
    } else {
        loaded_ = false;
    }
    co_return false;
}

void Scheduler::retry_later(const std::string& name, TimePoint now) {
    unsigned& failed = attempts_.at(name).failed;
    const seconds wait = std::min(kRetryMost, seconds{1} * (1 << std::min(failed, 5U)));
    ++failed;
    table_.postpone(name, now + wait);
}

void Scheduler::note(const ScheduleEntry& entry, const EntryState& before,
                     const EntryState& after) {
    const std::uint64_t missed = after.missed_count - before.missed_count;
    if (missed == 0) return;
    log::warning("beat", "'{}': {} times were missed", entry.name, missed);
    tasks_.with({options_.schedule, entry.name, "missed"}).increment(static_cast<double>(missed));
}

}  // namespace lovage
