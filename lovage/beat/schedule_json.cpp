#include <lovage/beat/schedule_json.hpp>

#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include <fmt/core.h>

namespace lovage {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Reads one map key by key and says where it was when something is wrong.
class MapReader {
public:
    MapReader(std::string where, const Json& map) : where_{std::move(where)}, map_{map} {}

    [[nodiscard]] std::unexpected<Error> wrong(std::string_view key, std::string_view what) const {
        return fail(Errc::invalid_argument, detail::printable_line(fmt::format(
                                                "beat_schedule: '{}': {} {}", where_, key, what)));
    }

    /// Calls `take` with the value of `key` if it is there and not null; false: it is not of the
    /// accepted form, which is `form`.
    template <class F>
    void read(std::string_view key, std::string_view form, const F& take) {
        const Json* value = map_.find(key);
        if (error_ || value == nullptr || value->is_null()) return;
        if (!take(*value)) error_ = wrong(key, fmt::format("is not {}", form)).error();
    }
    void refuse_others(std::initializer_list<std::string_view> known) {
        for (const auto& [key, value] : map_.as_object()) {
            if (error_ || std::ranges::find(known, key) != known.end()) continue;
            error_ = wrong(key.substr(0, 100), "is not known here").error();
        }
    }
    [[nodiscard]] std::optional<Error>& error() { return error_; }

private:
    std::string where_;
    const Json& map_;
    std::optional<Error> error_;
};

std::optional<double> number(const Json& value) {
    if (value.is_real() && std::isfinite(value.as_real())) return value.as_real();
    if (value.is_integer()) {
        if (const auto whole = value.as_int64()) return static_cast<double>(*whole);
    }
    return std::nullopt;
}

std::optional<TimePoint> time_member(const Json& map, std::string_view key) {
    const Json* value = map.find(key);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    const auto time = parse_iso8601(value->as_string());
    return time ? std::optional{*time} : std::nullopt;
}

template <class Duration>
std::optional<Duration> duration(const Json& value) {
    constexpr double kSecondsMax = 4e9;  // more than a hundred years
    const auto seconds = number(value);
    if (!seconds || *seconds < 0 || *seconds > kSecondsMax) return std::nullopt;
    return std::chrono::round<Duration>(std::chrono::duration<double>{*seconds});
}

template <class Duration>
bool assign_duration(const Json& value, std::optional<Duration>& into) {
    into = duration<Duration>(value);
    return into.has_value();
}

Result<CronSpec> read_cron_spec(const Json& value) {
    if (value.is_string()) return value.as_string();
    std::vector<int> values;
    const auto take = [&values](const Json& item) {
        const auto whole = item.is_integer() ? item.as_int64() : std::nullopt;
        if (whole && std::in_range<int>(*whole)) values.push_back(static_cast<int>(*whole));
        return whole && std::in_range<int>(*whole);
    };
    const bool fits = value.is_array() ? std::ranges::all_of(value.as_array(), take) : take(value);
    if (!fits) return fail(Errc::invalid_argument, "is neither text, nor a number, nor numbers");
    return values;
}

Result<Schedule> read_crontab_fields(const Json& map) {
    CrontabFields fields;
    const std::array<std::pair<std::string_view, CronSpec*>, 5> known{
        {{"minute", &fields.minute},
         {"hour", &fields.hour},
         {"day_of_week", &fields.day_of_week},
         {"day_of_month", &fields.day_of_month},
         {"month_of_year", &fields.month_of_year}}};
    for (const auto& [key, value] : map.as_object()) {
        if (key == "__type__") continue;
        const auto field = std::ranges::find(known, key, [](const auto& one) { return one.first; });
        if (field == known.end()) {
            return fail(Errc::invalid_argument,
                        fmt::format("'{}' is no field of a crontab", key.substr(0, 100)));
        }
        auto spec = read_cron_spec(value);
        if (!spec)
            return fail(Errc::invalid_argument, fmt::format("{} {}", key, spec.error().detail));
        *field->second = std::move(*spec);
    }
    return Crontab::from(fields);
}

Result<Schedule> read_interval(const Json& every, bool relative) {
    const auto time = duration<microseconds>(every);
    if (!time) return fail(Errc::invalid_argument, "is no number of seconds");
    return Interval::from(*time, relative);
}

Result<Schedule> read_schedule(const Json& value, bool relative) {
    if (value.is_string()) return Crontab::parse(value.as_string());
    if (!value.is_object()) return read_interval(value, relative);
    const Json* every = value.find("every");
    if (every == nullptr) return read_crontab_fields(value);
    for (const auto& [key, member] : value.as_object()) {
        if (key == "relative" && member.is_bool()) {
            relative = member.as_bool();
        } else if (key != "every" && key != "__type__") {
            return fail(Errc::invalid_argument,
                        fmt::format("'{}' does not go with 'every'", key.substr(0, 100)));
        }
    }
    return read_interval(*every, relative);
}

std::optional<Error> read_options(const std::string& name, const Json& map, SendOptions& options) {
    MapReader reader{name, map};
    reader.refuse_others({"queue", "priority", "expires", "countdown", "time_limit",
                          "soft_time_limit", "headers", "ignore_result"});
    reader.read("queue", "a name", [&](const Json& value) {
        if (value.is_string()) options.queue = value.as_string();
        return value.is_string() && !options.queue.empty();
    });
    reader.read("priority", "a number from 0 to 255", [&](const Json& value) {
        const auto whole = value.is_integer() ? value.as_int64() : std::nullopt;
        if (!whole || !std::in_range<std::uint8_t>(*whole)) return false;
        options.priority = static_cast<std::uint8_t>(*whole);
        return true;
    });
    reader.read("expires", "a number of seconds or a time", [&](const Json& value) {
        if (const auto after = duration<milliseconds>(value)) {
            options.expires = *after;
            return true;
        }
        const auto at = value.is_string() ? parse_iso8601(value.as_string())
                                          : Result<TimePoint>{fail(Errc::malformed, "")};
        if (at) options.expires = *at;
        return at.has_value();
    });
    const auto read_seconds = [&](std::string_view key, std::optional<milliseconds>& into) {
        reader.read(key, "a number of seconds",
                    [&](const Json& value) { return assign_duration(value, into); });
    };
    read_seconds("countdown", options.countdown);
    read_seconds("time_limit", options.time_limit);
    read_seconds("soft_time_limit", options.soft_time_limit);
    reader.read("headers", "a map", [&](const Json& value) {
        if (value.is_object()) options.headers = value;
        return value.is_object();
    });
    reader.read("ignore_result", "true or false", [&](const Json& value) {
        if (value.is_bool()) options.ignore_result = value.as_bool();
        return value.is_bool();
    });
    return std::move(reader.error());
}

Json seconds_json(microseconds time) {
    if (time % std::chrono::seconds{1} == microseconds{0}) {
        return std::chrono::floor<std::chrono::seconds>(time).count();
    }
    return std::chrono::duration<double>{time}.count();
}

Json schedule_json(const Schedule& schedule) {
    if (const auto* times = std::get_if<Crontab>(&schedule)) return times->text();
    const auto& interval = std::get<Interval>(schedule);
    if (!interval.relative()) return seconds_json(interval.every());
    Json map = Json::object();
    map.set("every", seconds_json(interval.every()));
    map.set("relative", true);
    return map;
}

Json options_json(const SendOptions& options) {
    Json map = Json::object();
    if (!options.queue.empty()) map.set("queue", options.queue);
    if (options.priority) map.set("priority", *options.priority);
    if (const auto* after = std::get_if<milliseconds>(&options.expires)) {
        map.set("expires", seconds_json(*after));
    } else if (const auto* at = std::get_if<TimePoint>(&options.expires)) {
        map.set("expires", to_iso8601(*at));
    }
    if (options.countdown) map.set("countdown", seconds_json(*options.countdown));
    if (options.time_limit) map.set("time_limit", seconds_json(*options.time_limit));
    if (options.soft_time_limit) map.set("soft_time_limit", seconds_json(*options.soft_time_limit));
    if (!options.headers.as_object().empty()) map.set("headers", options.headers);
    if (options.ignore_result) map.set("ignore_result", *options.ignore_result);
    return map;
}

Json time_json(const std::optional<TimePoint>& time) {
    return time ? Json{to_iso8601(*time)} : Json{};
}

std::uint64_t count_member(const Json& map, std::string_view key) {
    const Json* value = map.find(key);
    return value != nullptr && value->is_integer() ? value->as_uint64().value_or(0) : 0;
}

}  // namespace

Result<void> check_entry_name(std::string_view name) {
    constexpr std::size_t kNameMax = 200;
    if (!name.empty() && name.size() <= kNameMax) return {};
    return fail(Errc::invalid_argument,
                fmt::format("beat_schedule: the name '{}' does not have 1 to {} bytes",
                            detail::printable_line(name.substr(0, 100)), kNameMax));
}

Result<ScheduleEntry> read_schedule_entry(std::string_view name, const Json& entry) {
    if (auto fits = check_entry_name(name); !fits) return std::unexpected{std::move(fits.error())};
    const std::string key{name};
    if (!entry.is_object()) {
        return fail(Errc::invalid_argument,
                    fmt::format("beat_schedule: '{}' is no map", detail::printable_line(key)));
    }
    MapReader reader{key, entry};
    reader.refuse_others({"task", "schedule", "args", "kwargs", "options", "relative", "enabled",
                          "catch_up", "starting_deadline", "since"});
    bool relative = false;
    reader.read("relative", "true or false", [&](const Json& value) {
        if (value.is_bool()) relative = value.as_bool();
        return value.is_bool();
    });
    if (reader.error()) return std::unexpected{std::move(*reader.error())};
    const Json* when = entry.find("schedule");
    if (when == nullptr) return reader.wrong("schedule", "is missing");
    auto schedule = read_schedule(*when, relative);
    if (!schedule) return reader.wrong("schedule:", schedule.error().detail);

    ScheduleEntry made{.name = key, .task = {}, .schedule = std::move(*schedule)};
    reader.read("task", "the name of a task", [&](const Json& value) {
        if (value.is_string()) made.task = value.as_string();
        return value.is_string();
    });
    reader.read("args", "a list", [&](const Json& value) {
        if (value.is_array()) made.args = value;
        return value.is_array();
    });
    reader.read("kwargs", "a map", [&](const Json& value) {
        if (value.is_object()) made.kwargs = value;
        return value.is_object();
    });
    reader.read("options", "a map", [](const Json& value) { return value.is_object(); });
    reader.read("enabled", "true or false", [&](const Json& value) {
        if (value.is_bool()) made.enabled = value.as_bool();
        return value.is_bool();
    });
    reader.read("catch_up", "'latest' or 'all'", [&](const Json& value) {
        const bool all = value == Json{"all"};
        if (all) made.catch_up = CatchUp::all;
        return all || value == Json{"latest"};
    });
    reader.read("starting_deadline", "a number of seconds",
                [&](const Json& value) { return assign_duration(value, made.starting_deadline); });
    reader.read("since", "a time", [&](const Json& value) {
        const auto time = value.is_string() ? parse_iso8601(value.as_string())
                                            : Result<TimePoint>{fail(Errc::malformed, "")};
        if (time) made.since = *time;
        return time.has_value();
    });
    if (reader.error()) return std::unexpected{std::move(*reader.error())};
    if (made.task.empty()) return reader.wrong("task", "is missing");
    if (const Json* options = entry.find("options"); options != nullptr && options->is_object()) {
        auto wrong = read_options(key + "' options", *options, made.options);
        if (wrong) return std::unexpected{std::move(*wrong)};
    }
    return made;
}

Result<std::vector<ScheduleEntry>> read_beat_schedule(const Json& schedule) {
    if (!schedule.is_object()) {
        return fail(Errc::invalid_argument, "beat_schedule is no map from names to entries");
    }
    if (schedule.as_object().size() > kScheduleEntriesMax) {
        return fail(Errc::too_large,
                    fmt::format("beat_schedule has more than {} entries", kScheduleEntriesMax));
    }
    std::vector<ScheduleEntry> entries;
    for (const auto& [name, value] : schedule.as_object()) {
        auto entry = read_schedule_entry(name, value);
        if (!entry) return std::unexpected{std::move(entry.error())};
        entries.push_back(std::move(*entry));
    }
    return entries;
}

Json write_schedule_entry(const ScheduleEntry& entry) {
    Json map = Json::object();
    map.set("task", entry.task);
    map.set("schedule", schedule_json(entry.schedule));
    map.set("args", entry.args);
    map.set("kwargs", entry.kwargs);
    map.set("options", options_json(entry.options));
    if (!entry.enabled) map.set("enabled", false);
    if (entry.catch_up == CatchUp::all) map.set("catch_up", "all");
    if (entry.starting_deadline) map.set("starting_deadline", entry.starting_deadline->count());
    if (entry.since) map.set("since", to_iso8601(*entry.since));
    return map;
}

Result<EntryState> read_entry_state(std::string_view text) {
    auto map = parse_json(text, {.depth = 4, .bytes = 4096});
    if (!map) return std::unexpected{std::move(map.error())};
    const auto decided = time_member(*map, "decided_until");
    if (!decided) return fail(Errc::malformed, "the state of an entry has no 'decided_until'");
    return EntryState{.decided_until = *decided,
                      .pending = time_member(*map, "pending"),
                      .last_run_at = time_member(*map, "last_run_at"),
                      .total_run_count = count_member(*map, "total_run_count"),
                      .missed_count = count_member(*map, "missed_count")};
}

std::string write_entry_state(const EntryState& state) {
    Json map = Json::object();
    map.set("decided_until", to_iso8601(state.decided_until));
    map.set("pending", time_json(state.pending));
    map.set("last_run_at", time_json(state.last_run_at));
    map.set("total_run_count", state.total_run_count);
    map.set("missed_count", state.missed_count);
    return to_json_text(map);
}

}  // namespace lovage
