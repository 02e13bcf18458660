#include <lovage/beat/timetable.hpp>

#include <algorithm>

namespace lovage {

void Timetable::put(ScheduleEntry entry, EntryState state, std::uint64_t version) {
    const std::string name = entry.name;
    TimePoint due = due_time(entry, state, zone_);
    const Row* const before = find(name);
    if (before != nullptr && state.pending && before->state.pending == state.pending) {
        due = std::max(due, before->due);
    }
    erase(name);
    const auto made = rows_.emplace(name, Row{std::move(entry), state, version, due}).first;
    order(name, made->second, due);
}

void Timetable::update(const std::string& name, EntryState state, std::uint64_t version) {
    const auto found = rows_.find(name);
    if (found == rows_.end()) return;
    Row& row = found->second;
    row.state = state;
    row.version = version;
    order(name, row, due_time(row.entry, state, zone_));
}

void Timetable::postpone(const std::string& name, TimePoint when) {
    if (const auto found = rows_.find(name); found != rows_.end()) order(name, found->second, when);
}

void Timetable::erase(const std::string& name) {
    const auto found = rows_.find(name);
    if (found == rows_.end()) return;
    order_.erase({found->second.due, name});
    rows_.erase(found);
}

void Timetable::clear() {
    order_.clear();
    rows_.clear();
}

const Timetable::Row* Timetable::find(const std::string& name) const {
    const auto found = rows_.find(name);
    return found == rows_.end() ? nullptr : &found->second;
}

std::vector<std::string> Timetable::due(TimePoint now) const {
    std::vector<std::string> names;
    for (const auto& [time, name] : order_) {
        if (time > now) break;
        names.push_back(name);
    }
    return names;
}

std::optional<TimePoint> Timetable::next() const {
    if (order_.empty()) return std::nullopt;
    return order_.begin()->first;
}

void Timetable::order(const std::string& name, Row& row, TimePoint due) {
    order_.erase({row.due, name});
    row.due = due;
    if (row.entry.enabled) order_.emplace(due, name);
}

}  // namespace lovage
