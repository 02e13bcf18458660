#include <lovage/beat/schedule_store.hpp>

#include <lovage/beat/schedule_json.hpp>
#include <lovage/runtime/detail/printable.hpp>
#include <lovage/runtime/log.hpp>

#include <utility>

#include <fmt/core.h>

namespace lovage {

namespace {

constexpr JsonLimits kEntryLimits{.depth = 100, .bytes = std::size_t{1} << 20U};

/// A change to an entry of the program: {"enabled": false}, or {"enabled": true, "since": time}.
bool is_change(const Json& value) {
    return value.is_object() && value.find("task") == nullptr && value.find("enabled") != nullptr;
}

void change(ScheduleEntry& entry, const Json& change) {
    const Json* enabled = change.find("enabled");
    if (enabled->is_bool()) entry.enabled = enabled->as_bool();
    const Json* since = change.find("since");
    if (since == nullptr || !since->is_string()) return;
    if (const auto time = parse_iso8601(since->as_string())) entry.since = *time;
}

Error no_entry(const std::string& name) {
    return {Errc::not_found,
            fmt::format("the schedule has no entry '{}'", detail::printable_line(name))};
}

/// The error of a change, as people are told it.
Error told(Error error, const std::string& name) {
    if (error.code != Errc::conflict) return error;
    return {Errc::conflict,
            fmt::format("somebody else changed '{}' at the same moment, and nothing was done; see "
                        "what it is now, and try again",
                        detail::printable_line(name))};
}

}  // namespace

ScheduleStore::ScheduleStore(StateStore& store, ScheduleKeys keys,
                             std::vector<ScheduleEntry> program,
                             std::optional<std::chrono::seconds> cron_deadline)
    : store_{store}, keys_{std::move(keys)}, cron_deadline_{cron_deadline} {
    for (ScheduleEntry& entry : program) {
        const std::string name = entry.name;
        program_.insert_or_assign(name, std::move(entry));
    }
}

Awaitable<Result<ScheduleStore::Entries>> ScheduleStore::entries(Deadline deadline) {
    auto stored = co_await store_.list(keys_.entries(), kScheduleEntriesMax, deadline);
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    Entries entries = program_;
    listed_.clear();
    listed_all_ = stored->size() < kScheduleEntriesMax;
    std::map<std::string, std::uint64_t> unreadable;
    for (const auto& [key, value] : *stored) {
        const std::string name = key.substr(keys_.entries().size());
        listed_.insert(name);
        auto entry = resolve(name, value);
        if (entry) {
            entries.insert_or_assign(name, std::move(*entry));
        } else if (entry.error().code != Errc::not_found) {
            const auto seen = unreadable_.find(name);
            if (seen == unreadable_.end() || seen->second != value.version) {
                log::error("beat", "{}", entry.error().detail);
            }
            unreadable.emplace(name, value.version);
        }
    }
    unreadable_ = std::move(unreadable);
    for (auto& [name, entry] : entries) set_cron_deadline(entry, cron_deadline_);
    co_return entries;
}

Awaitable<Result<ScheduleEntry>> ScheduleStore::entry(std::string name, Deadline deadline) {
    const auto stored = co_await store_.get(keys_.entries() + name, deadline);
    if (!stored) co_return std::unexpected{stored.error()};
    auto entry = resolve(name, *stored);
    if (entry) set_cron_deadline(*entry, cron_deadline_);
    co_return entry;
}

bool ScheduleStore::may_have(const std::string& name) const {
    return !listed_all_ || of_program(name) || listed_.contains(name);
}

Result<ScheduleEntry> ScheduleStore::resolve(const std::string& name, const Stored& stored) const {
    const auto own = program_.find(name);
    const auto value = stored ? parse_json(stored->value, kEntryLimits) : Result<Json>{Json{}};
    if (!stored || (value && is_change(*value))) {
        if (own == program_.end()) return std::unexpected{no_entry(name)};
        ScheduleEntry entry = own->second;
        if (stored) change(entry, *value);
        return entry;
    }
    auto entry = value ? read_schedule_entry(name, *value)
                       : Result<ScheduleEntry>{std::unexpected{value.error()}};
    if (!entry) {
        return fail(Errc::invalid_argument,
                    fmt::format("the state store's entry '{}' cannot be used: {}",
                                detail::printable_line(name), entry.error().message()));
    }
    return entry;
}

Awaitable<Result<bool>> ScheduleStore::put(ScheduleEntry entry, Deadline deadline) {
    if (auto fits = check_entry_name(entry.name); !fits) {
        co_return std::unexpected{std::move(fits.error())};
    }
    const std::string key = keys_.entries() + entry.name;
    auto found = co_await store_.get(key, deadline);
    if (!found) co_return std::unexpected{std::move(found.error())};
    const std::uint64_t version = *found ? (*found)->version : 0;
    auto written = co_await store_.compare_and_set(
        key, version, to_json_text(write_schedule_entry(entry)), std::nullopt, deadline);
    if (!written) co_return std::unexpected{told(std::move(written.error()), entry.name)};
    co_return version != 0 || of_program(entry.name);
}

Awaitable<Result<void>> ScheduleStore::remove(std::string name, Deadline deadline) {
    const std::string key = keys_.entries() + name;
    auto found = co_await store_.get(key, deadline);
    if (!found) co_return std::unexpected{std::move(found.error())};
    if (*found) {
        auto erased = co_await store_.compare_and_erase(key, (*found)->version, deadline);
        if (!erased) co_return std::unexpected{told(std::move(erased.error()), name)};
        co_return Result<void>{};
    }
    if (!of_program(name)) co_return std::unexpected{no_entry(name)};
    co_return fail(Errc::not_found,
                   fmt::format("'{}' is an entry of the program, which only the program can "
                               "remove; it can be paused",
                               name));
}

Awaitable<Result<void>> ScheduleStore::pause(std::string name, Deadline deadline) {
    return enable(std::move(name), std::nullopt, deadline);
}
Awaitable<Result<void>> ScheduleStore::resume(std::string name, TimePoint now, Deadline deadline) {
    return enable(std::move(name), now, deadline);
}

/// With `since` it is enabled, from there on; without, it is not.
Awaitable<Result<void>> ScheduleStore::enable(std::string name, std::optional<TimePoint> since,
                                              Deadline deadline) {
    const std::string key = keys_.entries() + name;
    const auto stored = co_await store_.get(key, deadline);
    if (!stored) co_return std::unexpected{stored.error()};
    const auto known = resolve(name, *stored);
    if (!known) co_return std::unexpected{known.error()};
    // One that goes on unpaused has missed nothing.
    if (since && known->enabled) co_return Result<void>{};
    Json value = Json::object();
    const auto own = *stored ? parse_json((*stored)->value, kEntryLimits) : Result<Json>{Json{}};
    // An entry of the state store stays one; of the program's only the change is kept.
    if (own && own->is_object() && own->find("task") != nullptr) value = *own;
    value.set("enabled", since.has_value());
    if (since) value.set("since", to_iso8601(*since));
    const std::uint64_t version = *stored ? (*stored)->version : 0;
    auto written =
        co_await store_.compare_and_set(key, version, to_json_text(value), std::nullopt, deadline);
    if (!written) co_return std::unexpected{told(std::move(written.error()), name)};
    co_return Result<void>{};
}

Awaitable<Result<std::map<std::string, EntryState>>> ScheduleStore::states(Deadline deadline) {
    auto stored = co_await store_.list(keys_.states(), 2 * kScheduleEntriesMax, deadline);
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    std::map<std::string, EntryState> states;
    for (const auto& [key, value] : *stored) {
        if (const auto state = read_entry_state(value.value)) {
            states.insert_or_assign(key.substr(keys_.states().size()), *state);
        }
    }
    co_return states;
}

Awaitable<Result<std::optional<std::string>>> ScheduleStore::leader(Deadline deadline) {
    auto found = co_await store_.get(keys_.leader(), deadline);
    if (!found) co_return std::unexpected{std::move(found.error())};
    if (!*found) co_return std::optional<std::string>{};
    co_return std::optional{(*found)->value};
}

}  // namespace lovage
