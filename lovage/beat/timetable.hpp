#pragma once

#include <lovage/beat/schedule_entry.hpp>
#include <lovage/core/time.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace lovage {

/// The entries of one schedule, ordered by what comes next.
///
/// Pure state: it reads no clock and does no I/O. Not thread-safe; a beat's loop owns it.
class Timetable {
public:
    struct Row {
        ScheduleEntry entry;
        EntryState state;
        std::uint64_t version = 0;  ///< Of the state in the state store.
        TimePoint due;              ///< When there is something to do next.
    };

    explicit Timetable(TimeZone zone) : zone_{std::move(zone)} {}

    /// Adds an entry, or replaces the one of its name; a pending time stays postponed.
    void put(ScheduleEntry entry, EntryState state, std::uint64_t version);
    /// What is remembered of an entry that is there has changed. One that is not is left alone.
    void update(const std::string& name, EntryState state, std::uint64_t version);
    /// Leaves an entry alone until `when`.
    void postpone(const std::string& name, TimePoint when);
    void erase(const std::string& name);
    void clear();

    [[nodiscard]] const Row* find(const std::string& name) const;
    [[nodiscard]] const std::map<std::string, Row>& rows() const noexcept { return rows_; }
    [[nodiscard]] const TimeZone& zone() const noexcept { return zone_; }

    /// The names of entries with something due at `now`, in the order of their times.
    [[nodiscard]] std::vector<std::string> due(TimePoint now) const;
    /// When something comes next; nothing: never.
    [[nodiscard]] std::optional<TimePoint> next() const;

private:
    void order(const std::string& name, Row& row, TimePoint due);

    TimeZone zone_;
    std::map<std::string, Row> rows_;
    std::set<std::pair<TimePoint, std::string>> order_;  // of the enabled ones
};

}  // namespace lovage
