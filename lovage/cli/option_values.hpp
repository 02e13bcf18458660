#pragma once

#include <lovage/core/json.hpp>
#include <lovage/core/time.hpp>

#include <charconv>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/core.h>

namespace lovage::cli {

/// A wrong command line; parse_arguments() catches it.
struct UsageError {
    std::string message;
};

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
    throw UsageError{fmt::format(format, std::forward<Args>(args)...)};
}

// Texts of options become values, or a UsageError. `option` is how messages call the option.

/// A number of seconds from 0 to ten years.
[[nodiscard]] std::chrono::milliseconds to_seconds(const std::string& option,
                                                   const std::string& text);

template <class Integer>
[[nodiscard]] Integer to_integer(const std::string& option, const std::string& text, Integer low,
                                 Integer high) {
    Integer number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end || number < low || number > high) {
        refuse("{}: '{}' is no whole number from {} to {}", option, text, low, high);
    }
    return number;
}

/// An ISO 8601 time.
[[nodiscard]] TimePoint to_time(const std::string& option, const std::string& text);

/// What `--expires` takes: a time, or seconds from now.
[[nodiscard]] std::variant<std::monostate, std::chrono::milliseconds, TimePoint> to_expiry(
    const std::string& option, const std::string& text);

/// A signal by its name, with or without SIG, or by its number.
[[nodiscard]] int to_signal(const std::string& option, const std::string& text);

/// JSON of one kind: a list or a map.
[[nodiscard]] Json to_json(const std::string& option, const std::string& text, Json::Kind kind);

/// Names (of queues, of nodes) separated by commas, each once.
[[nodiscard]] std::vector<std::string> to_list(const std::string& option,
                                               const std::vector<std::string>& texts);

}  // namespace lovage::cli
