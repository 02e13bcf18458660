#pragma once

#include <lovage/runtime/log.hpp>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace lovage::log::detail {

/// Everything one line is made of.
struct Record {
    Level level = Level::info;
    std::chrono::system_clock::time_point time;
    std::string_view logger;
    std::string_view message;
    std::span<const Field> fields;
    std::string_view service_name;
    std::string_view thread_name;
    int pid = 0;
};

/// Longest message, and longest field value, in bytes; what is beyond is left out and counted in
/// the text.
inline constexpr std::size_t kTextBytesMax = std::size_t{16} << 10U;

/// Appends one line with its end: "2026-11-21 17:51:02,123 INFO     worker  message key=value".
/// Local time.
///
/// Control characters are written as \xNN, so that nobody's data steers the terminal or forges a
/// line; the second and later lines of a message (a traceback) are indented.
void append_text_line(std::string& out, const Record& record, bool color);

/// Appends one line with its end: a JSON object under ECS 8 names. The first three are the ones the
/// ECS logging specification wants first. Bytes that are not UTF-8 become U+FFFD.
void append_json_line(std::string& out, const Record& record);

/// "debug", "info", …: the ECS spelling.
[[nodiscard]] std::string_view to_string(Level level) noexcept;

}  // namespace lovage::log::detail
