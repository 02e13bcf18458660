#include <lovage/beat/beat_schedule.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/beat/schedule_json.hpp>

#include <fmt/core.h>

namespace lovage {

ScheduleEntry& BeatSchedule::add(ScheduleEntry entry) {
    value_or_throw(check_entry_name(entry.name));
    const std::string name = entry.name;
    const auto [place, added] = entries_.try_emplace(name, std::move(entry));
    if (!added) {
        throw LovageError{
            Error{Errc::already_exists, fmt::format("beat_schedule: '{}' is there twice", name)}};
    }
    return place->second;
}

std::vector<ScheduleEntry> BeatSchedule::entries() const {
    std::vector<ScheduleEntry> all;
    for (const auto& [name, entry] : entries_) all.push_back(entry);
    return all;
}

BeatSchedule& beat_schedule(App& app) {
    return app.core()->part<BeatSchedule>();
}

Result<std::vector<ScheduleEntry>> program_entries(App& app) {
    const Settings& settings = app.settings();
    auto configured = read_beat_schedule(settings.beat_schedule);
    if (!configured) {
        const auto origin = settings.origins.find("beat_schedule");
        if (origin != settings.origins.end()) {
            configured.error().detail = origin->second + ": " + configured.error().detail;
        }
        return configured;
    }
    // Later ones replace earlier ones of the same name.
    std::vector<ScheduleEntry> all = beat_schedule(app).entries();
    for (ScheduleEntry& entry : *configured) all.push_back(std::move(entry));
    return all;
}

Result<TimeZone> schedule_zone(const Settings& settings) {
    auto zone = TimeZone::load(settings.timezone);
    if (!zone) return fail(Errc::invalid_argument, "timezone: " + zone.error().detail);
    return zone;
}

std::optional<std::chrono::seconds> cron_deadline(const Settings& settings) {
    if (!settings.beat_cron_starting_deadline) return std::nullopt;
    return std::chrono::ceil<std::chrono::seconds>(*settings.beat_cron_starting_deadline);
}

}  // namespace lovage
