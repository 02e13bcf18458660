#include <lovage/app/app_core.hpp>
#include <lovage/beat/beat.hpp>
#include <lovage/beat/schedule_json.hpp>
#include <lovage/beat/schedule_store.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/table.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

constexpr std::chrono::seconds kSchedulePatience{10};

/// What `schedule list` shows.
struct Listing {
    ScheduleStore::Entries entries;
    std::map<std::string, EntryState> states;
    std::optional<std::string> leader;
};

/// A visit to the schedule in the state store. Named coroutines on the app's loop; `run` is what a
/// sub-command does there.
class ScheduleVisit {
public:
    ScheduleVisit(App& app, const ScheduleArguments& arguments, std::vector<ScheduleEntry> program)
        : app_{app},
          keys_{arguments.schedule.empty() ? app.name() : arguments.schedule},
          program_{std::move(program)} {}

    template <class T>
    Result<T> run(Awaitable<Result<T>> (ScheduleVisit::*action)(ScheduleStore*)) {
        return app_.core()->loop().run_blocking(connected<T>(this, action));
    }

    Awaitable<Result<Listing>> list(ScheduleStore* store) {
        auto entries = co_await store->entries(deadline_);
        if (!entries) co_return std::unexpected{std::move(entries.error())};
        auto states = co_await store->states(deadline_);
        if (!states) co_return std::unexpected{std::move(states.error())};
        auto leader = co_await store->leader(deadline_);
        if (!leader) co_return std::unexpected{std::move(leader.error())};
        co_return Listing{std::move(*entries), std::move(*states), std::move(*leader)};
    }
    Awaitable<Result<bool>> put(ScheduleStore* store) { return store->put(*entry, deadline_); }
    Awaitable<Result<ScheduleEntry>> find(ScheduleStore* store) {
        return store->entry(name, deadline_);
    }
    Awaitable<Result<void>> remove(ScheduleStore* store) { return store->remove(name, deadline_); }
    Awaitable<Result<void>> pause(ScheduleStore* store) { return store->pause(name, deadline_); }
    Awaitable<Result<void>> resume(ScheduleStore* store) {
        return store->resume(name, wall_clock_now(), deadline_);
    }

    std::string name;
    std::optional<ScheduleEntry> entry;

private:
    template <class T>
    static Awaitable<Result<T>> connected(
        ScheduleVisit* visit, Awaitable<Result<T>> (ScheduleVisit::*action)(ScheduleStore*)) {
        auto ready = co_await visit->app_.core()->connect(visit->deadline_);
        if (!ready) co_return std::unexpected{std::move(ready.error())};
        ScheduleStore store{visit->app_.core()->state(), visit->keys_, visit->program_,
                            cron_deadline(visit->app_.settings())};
        co_return co_await (visit->*action)(&store);
    }

    App& app_;
    ScheduleKeys keys_;
    std::vector<ScheduleEntry> program_;
    Deadline deadline_ = Deadline::in(kSchedulePatience);
};

std::string shown_time(const std::optional<TimePoint>& time) {
    if (!time) return "-";
    return to_iso8601(std::chrono::floor<std::chrono::seconds>(*time)).substr(0, 19) + 'Z';
}

/// When an entry comes next; nothing: not before it is resumed, or no beat has seen it.
std::optional<TimePoint> next_time(const ScheduleEntry& entry, const EntryState* state,
                                   const TimeZone& zone) {
    if (!entry.enabled || state == nullptr) return std::nullopt;
    return due_time(entry, *state, zone);
}

Json listing_json(const Listing& listing, const TimeZone& zone) {
    const auto time = [](const std::optional<TimePoint>& when) {
        return when ? Json{to_iso8601(*when)} : Json{};
    };
    Json entries = Json::object();
    for (const auto& [name, entry] : listing.entries) {
        const auto found = listing.states.find(name);
        const EntryState* state = found == listing.states.end() ? nullptr : &found->second;
        Json shown = write_schedule_entry(entry);
        shown.set("enabled", entry.enabled);
        shown.set("next_run_at", time(next_time(entry, state, zone)));
        shown.set("last_run_at", time(state ? state->last_run_at : std::nullopt));
        shown.set("total_run_count", state ? state->total_run_count : 0);
        shown.set("missed_count", state ? state->missed_count : 0);
        entries.set(name, std::move(shown));
    }
    Json all = Json::object();
    all.set("leader", listing.leader ? Json{*listing.leader} : Json{});
    all.set("entries", std::move(entries));
    return all;
}

std::string listing_table(const Listing& listing, const TimeZone& zone) {
    using enum Table::Align;
    Table table{{{"NAME"},
                 {"TASK"},
                 {"SCHEDULE"},
                 {"LAST RUN"},
                 {"NEXT"},
                 {"RUNS", right},
                 {"MISSED", right}}};
    for (const auto& [name, entry] : listing.entries) {
        const auto found = listing.states.find(name);
        const EntryState* state = found == listing.states.end() ? nullptr : &found->second;
        table.add_row({name, entry.task, to_text(entry.schedule),
                       shown_time(state ? state->last_run_at : std::nullopt),
                       entry.enabled ? shown_time(next_time(entry, state, zone)) : "paused",
                       std::to_string(state ? state->total_run_count : 0),
                       std::to_string(state ? state->missed_count : 0)});
    }
    return table.text();
}

int list_entries(App& app, ScheduleVisit& visit, bool json, Console& console) {
    const auto zone = schedule_zone(app.settings());
    if (!zone) return report(console, zone.error());
    const auto listing = visit.run<Listing>(&ScheduleVisit::list);
    if (!listing) return report(console, listing.error());
    if (json) {
        console.out << to_json_text(listing_json(*listing, *zone)) << '\n';
        return kSuccess;
    }
    console.out << (listing->entries.empty() ? "The schedule is empty.\n"
                                             : listing_table(*listing, *zone));
    if (!listing->leader) console.err << "No beat leads this schedule.\n";
    return kSuccess;
}

int add_entry(ScheduleVisit& visit, const ScheduleArguments& arguments, Console& console) {
    auto entry = read_schedule_entry(arguments.name, arguments.entry);
    if (!entry) return report(console, entry.error());
    visit.entry = std::move(*entry);
    const auto replaced = visit.run<bool>(&ScheduleVisit::put);
    if (!replaced) return report(console, replaced.error());
    console.out << fmt::format("{}: {}\n", lovage::detail::printable_line(arguments.name),
                               *replaced ? "changed" : "added");
    return kSuccess;
}

int run_entry(App& app, ScheduleVisit& visit, Console& console) {
    const auto entry = visit.run<ScheduleEntry>(&ScheduleVisit::find);
    if (!entry) return report(console, entry.error());
    try {
        console.out << run_now(app, *entry) << '\n';
        return kSuccess;
    } catch (const SendError& problem) {
        return report(console, problem.error());
    }
}

int change_entry(ScheduleVisit& visit,
                 Awaitable<Result<void>> (ScheduleVisit::*action)(ScheduleStore*),
                 std::string_view done, Console& console) {
    const auto changed = visit.run<void>(action);
    if (!changed) return report(console, changed.error());
    console.out << fmt::format("{}: {}\n", lovage::detail::printable_line(visit.name), done);
    return kSuccess;
}

}  // namespace

int run_schedule(App& app, const ScheduleArguments& arguments, Console& console) {
    using enum ScheduleArguments::Action;
    auto program = program_entries(app);
    if (!program) return report(console, program.error());
    ScheduleVisit visit{app, arguments, std::move(*program)};
    visit.name = arguments.name;
    switch (arguments.action) {
        case list:
            return list_entries(app, visit, arguments.json, console);
        case add:
            return add_entry(visit, arguments, console);
        case remove:
            return change_entry(visit, &ScheduleVisit::remove, "removed", console);
        case pause:
            return change_entry(visit, &ScheduleVisit::pause, "paused", console);
        case resume:
            return change_entry(visit, &ScheduleVisit::resume, "resumed", console);
        case run:
            return run_entry(app, visit, console);
    }
    return kFailure;
}

}  // namespace lovage::cli
