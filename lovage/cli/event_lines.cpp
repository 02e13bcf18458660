#include <lovage/cli/event_lines.hpp>

#include <lovage/core/python_repr.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>

#include <fnmatch.h>

#include <fmt/chrono.h>
#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// The longest value of a field in a line for people.
constexpr std::size_t kShownMost = 160;

bool matches_any(const std::vector<std::string>& patterns, const std::string& text) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) {
        return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
    });
}

/// "2026-11-22 15:30:01.123"; what is no time of this millennium is shown as a number.
std::string time_text(double unix_time) {
    constexpr double kLast = 253'402'300'799;  // the end of the year 9999
    if (!(unix_time >= 0 && unix_time <= kLast)) return python_float_repr(unix_time);
    const auto milliseconds = static_cast<std::int64_t>(unix_time * 1000);
    const std::time_t seconds = milliseconds / 1000;
    return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", fmt::gmtime(seconds), milliseconds % 1000);
}

const char* color_of(std::string_view type) {
    if (type == "task-failed" || type == "task-rejected") return "\033[31m";
    if (type == "task-succeeded") return "\033[32m";
    if (type == "task-retried" || type == "task-revoked") return "\033[33m";
    if (type.starts_with("worker-")) return "\033[36m";
    return "";
}

/// Text as it is, everything else as Python shows it.
std::string value_text(const Json& value) {
    if (!value.is_string()) return python_repr(value, kShownMost);
    std::string_view text = value.as_string();
    const bool cut = text.size() > kShownMost;
    return lovage::detail::printable_line(text.substr(0, kShownMost)) + (cut ? "…" : "");
}

bool is_shown(std::string_view name, const Json& value) {
    // What is not known, what the line began with, and what takes many lines.
    return !value.is_null() && name != "uuid" && name != "name" && name != "traceback";
}

}  // namespace

bool EventFilter::passes(const Event& event, const TaskView* task) const {
    if (!types.empty() && !matches_any(types, event.type)) return false;
    if (!workers.empty() && !matches_any(workers, event.hostname)) return false;
    if (tasks.empty()) return true;
    return task != nullptr && (matches_any(tasks, task->name) || matches_any(tasks, task->uuid));
}

std::string event_line(const Event& event, const TaskView* task, bool color) {
    const std::string type = lovage::detail::printable_line(event.type);
    const std::string paint = color ? color_of(event.type) : "";
    std::string line = fmt::format("{} {} {}{}{}", time_text(event.timestamp),
                                   lovage::detail::printable_line(event.hostname), paint, type,
                                   paint.empty() ? "" : "\033[0m");
    if (task != nullptr) {
        line += fmt::format(" {}[{}]",
                            task->name.empty() ? "?" : lovage::detail::printable_line(task->name),
                            lovage::detail::printable_line(task->uuid));
    }
    for (const auto& [name, value] : event.fields.as_object()) {
        if (!is_shown(name, value)) continue;
        line += ' ' + lovage::detail::printable_line(name) + '=' + value_text(value);
    }
    return line;
}

std::string event_json_line(const Event& event, TimePoint received) {
    Event shown = event;
    // Raw values may hold line ends.
    for (auto& [name, value] : shown.fields.as_object()) {
        if (auto whole = value.fully_expanded()) value = std::move(*whole);
    }
    shown.fields.set("local_received", unix_seconds(received));
    return encode_event(shown);
}

}  // namespace lovage::cli
