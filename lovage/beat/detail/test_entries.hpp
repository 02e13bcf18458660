#pragma once

#include <lovage/beat/schedule_entry.hpp>
#include <lovage/core/time.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace lovage::testing_support {

/// A moment as tests write it: "2026-01-01T10:00:00Z".
inline TimePoint at(std::string_view text) {
    return value_or_throw(parse_iso8601(text));
}

inline ScheduleEntry entry(Schedule schedule, std::string name = "it") {
    return {.name = std::move(name), .task = "task", .schedule = std::move(schedule)};
}

}  // namespace lovage::testing_support
