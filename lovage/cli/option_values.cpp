#include <lovage/cli/option_values.hpp>

#include <lovage/runtime/child_process.hpp>

#include <algorithm>
#include <cmath>

namespace lovage::cli {

namespace {

double to_number(const std::string& option, const std::string& text) {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    constexpr double kTenYears = 10.0 * 366 * 86400;
    const bool read = error == std::errc{} && stop == end;
    if (read && number < 0) refuse("{}: '{}' must not be negative", option, text);
    if (!read || !(number <= kTenYears)) {
        refuse("{}: '{}' is no number of seconds (such as 10 or 2.5)", option, text);
    }
    return number;
}

}  // namespace

std::chrono::milliseconds to_seconds(const std::string& option, const std::string& text) {
    return std::chrono::milliseconds{std::llround(to_number(option, text) * 1000)};
}

std::variant<std::monostate, std::chrono::milliseconds, TimePoint> to_expiry(
    const std::string& option, const std::string& text) {
    if (const auto time = parse_iso8601(text); time && text.contains('-')) return *time;
    if (text.empty() || text.find_first_not_of("+-.0123456789") != std::string::npos) {
        refuse(
            "{}: '{}' is neither a number of seconds (such as 60) nor an ISO 8601 time (such as "
            "2026-11-21T18:30:00+01:00)",
            option, text);
    }
    return to_seconds(option, text);
}

TimePoint to_time(const std::string& option, const std::string& text) {
    const auto time = parse_iso8601(text);
    if (!time)
        refuse("{}: '{}' is no ISO 8601 time (such as 2026-11-21T18:30:00+01:00)", option, text);
    return *time;
}

int to_signal(const std::string& option, const std::string& text) {
    if (const auto signal = signal_number(text)) return *signal;
    if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) {
        refuse("{}: '{}' is no signal's name (such as SIGTERM or KILL)", option, text);
    }
    return to_integer(option, text, 1, 64);
}

Json to_json(const std::string& option, const std::string& text, Json::Kind kind) {
    auto value = parse_json(text);
    const char* const wanted =
        kind == Json::Kind::array ? "list, such as [1, 2]" : "map, such as {\"x\": 1}";
    if (!value) refuse("{}: '{}' is no JSON {}: {}", option, text, wanted, value.error().detail);
    if (value->kind() != kind) refuse("{}: '{}' is no JSON {}", option, text, wanted);
    return std::move(*value);
}

std::vector<std::string> to_list(const std::string& option, const std::vector<std::string>& texts) {
    std::vector<std::string> names;
    for (const std::string& text : texts) {
        std::size_t start = 0;
        while (start <= text.size()) {
            const std::size_t end = std::min(text.find(',', start), text.size());
            std::string name = text.substr(start, end - start);
            if (name.empty()) refuse("{}: '{}' holds an empty name", option, text);
            if (!std::ranges::count(names, name)) names.push_back(std::move(name));
            start = end + 1;
        }
    }
    return names;
}

}  // namespace lovage::cli
