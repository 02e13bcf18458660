#include <lovage/beat/schedule_entry.hpp>

#include <lovage/core/uuid.hpp>

#include <algorithm>
#include <variant>

namespace lovage {

namespace {

constexpr std::chrono::hours kCatchUpWindow{24};

bool too_late(const ScheduleEntry& entry, TimePoint time, TimePoint now) {
    if (entry.since && time <= *entry.since) return true;
    return entry.starting_deadline && now - time > *entry.starting_deadline;
}

/// The oldest time that still comes; those before it are missed.
std::optional<LatestTime> oldest_wanted(const ScheduleEntry& entry, TimePoint last, TimePoint now,
                                        const TimeZone& zone) {
    std::chrono::microseconds window = kCatchUpWindow;
    if (entry.starting_deadline) {
        window = std::min<std::chrono::microseconds>(window, *entry.starting_deadline);
    }
    std::uint64_t missed = 0;
    // The time before the window, if there is one, is where to go on.
    if (const auto before =
            latest_until(entry.schedule, last, now - window - std::chrono::microseconds{1}, zone)) {
        last = before->time;
        missed = before->missed + 1;
    }
    const TimePoint next = next_after(entry.schedule, last, zone);
    if (next <= now) return LatestTime{next, missed};
    if (missed == 0) return std::nullopt;
    return LatestTime{last, missed - 1};  // itself too late
}

TimePoint decided_until(const ScheduleEntry& entry, const EntryState& state) {
    return entry.since ? std::max(*entry.since, state.decided_until) : state.decided_until;
}

}  // namespace

void set_cron_deadline(ScheduleEntry& entry, std::optional<std::chrono::seconds> deadline) {
    if (!entry.starting_deadline && std::holds_alternative<Crontab>(entry.schedule)) {
        entry.starting_deadline = deadline;
    }
}

TimePoint due_time(const ScheduleEntry& entry, const EntryState& state, const TimeZone& zone) {
    if (state.pending) return *state.pending;
    return next_after(entry.schedule, decided_until(entry, state), zone);
}

std::optional<TimePoint> silent_until(const ScheduleEntry& entry, const EntryState& state,
                                      TimePoint now) {
    constexpr std::chrono::minutes kTolerance{1};  // clocks of two machines differ a little
    const TimePoint until = decided_until(entry, state);
    if (!entry.enabled || until <= now + kTolerance) return std::nullopt;
    return until;
}

std::optional<Decision> decide(const ScheduleEntry& entry, const EntryState& state, TimePoint now,
                               const TimeZone& zone) {
    if (!entry.enabled) return std::nullopt;
    Decision decision{.fire = std::nullopt, .state = state};
    if (state.pending) {
        if (too_late(entry, *state.pending, now)) {
            decision.state.pending.reset();
            ++decision.state.missed_count;
        } else {
            decision.fire = state.pending;
        }
        return decision;
    }
    const TimePoint last = decided_until(entry, state);
    const auto found = entry.catch_up == CatchUp::all
                           ? oldest_wanted(entry, last, now, zone)
                           : latest_until(entry.schedule, last, now, zone);
    if (!found) return std::nullopt;
    decision.state.decided_until = found->time;
    decision.state.missed_count += found->missed;
    const bool outside = entry.catch_up == CatchUp::all && now - found->time > kCatchUpWindow;
    if (outside || too_late(entry, found->time, now)) {
        ++decision.state.missed_count;
    } else {
        decision.fire = found->time;
        decision.state.pending = found->time;
    }
    return decision;
}

std::string firing_id(const std::string& schedule, const std::string& entry, TimePoint time) {
    // Any UUID does as the namespace, as long as it is always this one.
    constexpr std::string_view kBeat = "5f0c7e52-62f4-4d3e-9a3b-3f6f6e0b6d55";
    // What is fixed in length comes first, so that no two triples make the same text.
    return uuid5(kBeat, uuid5(kBeat, schedule) + '@' + to_iso8601(time) + '@' + entry);
}

}  // namespace lovage
