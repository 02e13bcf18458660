#pragma once

#include <lovage/app/app.hpp>
#include <lovage/beat/schedule_entry.hpp>
#include <lovage/core/error.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lovage {

/// The periodic tasks that a program brings along: Celery's `app.conf.beat_schedule`. Fill it at
/// start-up, on one thread.
///
///     beat_schedule(app).add("nightly", crontab("0 4 * * *"), report, {"sales"});
///     beat_schedule(app).add("ping", every(30s), ping);
class BeatSchedule {
public:
    /// A task of this program, its arguments checked by the compiler. What is returned can be given
    /// further options, and lives as long as the app. Throws LovageError for a name that is taken,
    /// empty or longer than 200 bytes.
    template <class Return, class Values, std::size_t Required>
    ScheduleEntry& add(std::string name, Schedule schedule,
                       const Task<Return, Values, Required>& task,
                       typename Task<Return, Values, Required>::Arguments arguments = {},
                       SendOptions options = {}) {
        return add({.name = std::move(name),
                    .task = task.name(),
                    .schedule = std::move(schedule),
                    .args = std::move(arguments).take(),
                    .options = std::move(options)});
    }
    /// Any task, by name.
    ScheduleEntry& add(ScheduleEntry entry);

    [[nodiscard]] std::vector<ScheduleEntry> entries() const;

private:
    std::map<std::string, ScheduleEntry> entries_;
};

/// The schedule of `app`, which the commands `beat` and `worker -B` run.
[[nodiscard]] BeatSchedule& beat_schedule(App& app);

/// All entries that the program brings along: those of its code, with those of the setting
/// `beat_schedule` in their place or beside them. Errors: invalid_argument.
[[nodiscard]] Result<std::vector<ScheduleEntry>> program_entries(App& app);
/// The zone of the setting `timezone`, whose wall clock crontabs go by. Errors: invalid_argument,
/// naming the setting.
[[nodiscard]] Result<TimeZone> schedule_zone(const Settings& settings);
/// What the setting `beat_cron_starting_deadline` says, which holds for all entries: see
/// ScheduleStore.
[[nodiscard]] std::optional<std::chrono::seconds> cron_deadline(const Settings& settings);

}  // namespace lovage
