#include <lovage/runtime/detail/log_format.hpp>

#include <lovage/runtime/detail/mask_secrets.hpp>
#include <lovage/runtime/detail/printable.hpp>
#include <lovage/runtime/detail/utf8.hpp>

#include <algorithm>
#include <ctime>

namespace lovage::log::detail {

namespace {

using lovage::detail::append_printable;
using lovage::detail::is_control;
using lovage::detail::kReplacementCharacter;
using lovage::detail::Lines;
using lovage::detail::utf8_prefix;
using lovage::detail::utf8_sequence_length;

struct Moment {
    std::tm calendar{};
    int milliseconds = 0;
};

enum class Zone : std::uint8_t { local, utc };

Moment split(std::chrono::system_clock::time_point when, Zone zone) {
    using namespace std::chrono;
    const auto whole = floor<seconds>(when);
    const std::time_t seconds_since_epoch = system_clock::to_time_t(whole);
    Moment moment;
    moment.milliseconds = static_cast<int>(duration_cast<milliseconds>(when - whole).count());
    if (zone == Zone::utc) {
        gmtime_r(&seconds_since_epoch, &moment.calendar);
    } else {
        localtime_r(&seconds_since_epoch, &moment.calendar);
    }
    return moment;
}

void append_date(std::string& out, const std::tm& calendar, char between) {
    out += fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", calendar.tm_year + 1900,
                       calendar.tm_mon + 1, calendar.tm_mday, between, calendar.tm_hour,
                       calendar.tm_min, calendar.tm_sec);
}

std::string_view level_label(Level level) noexcept {
    switch (level) {
        case Level::debug:
            return "DEBUG";
        case Level::info:
            return "INFO";
        case Level::warning:
            return "WARNING";
        case Level::error:
            return "ERROR";
        case Level::critical:
            return "CRITICAL";
        case Level::off:
            break;
    }
    return "OFF";
}

std::string_view level_color(Level level) noexcept {
    switch (level) {
        case Level::debug:
            return "\x1b[36m";
        case Level::info:
            return "\x1b[32m";
        case Level::warning:
            return "\x1b[33m";
        case Level::error:
            return "\x1b[31m";
        case Level::critical:
            return "\x1b[1;31m";
        case Level::off:
            break;
    }
    return "";
}

constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kPlain = "\x1b[0m";

void append_readable_value(std::string& out, std::string_view value) {
    const bool quote = value.empty() || value.find_first_of(" \t\n\"=") != std::string_view::npos;
    if (!quote) return append_printable(out, value, Lines::escape);
    std::string inner;
    append_printable(inner, value, Lines::escape);
    out += '"';
    for (const char c : inner) {
        if (c == '"') out += '\\';
        out += c;
    }
    out += '"';
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        const auto first = static_cast<unsigned char>(text[0]);
        if (length == 0) {
            out += kReplacementCharacter;
        } else if (first == '"' || first == '\\') {
            out += '\\';
            out += text[0];
        } else if (first == '\n') {
            out += "\\n";
        } else if (is_control(first)) {
            out += fmt::format("\\u{:04x}", first);
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    out += '"';
}

void append_json_member(std::string& out, std::string_view name, std::string_view value) {
    out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
}

/// Is `text` a number in JSON's grammar: -?(0|[1-9]digits)(.digits)?([eE][+-]?digits)?
bool is_json_number(std::string_view text) noexcept {
    const auto take_digits = [&text] {
        const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
        text.remove_prefix(count);
        return count;
    };
    if (text.starts_with('-')) text.remove_prefix(1);
    const bool leading_zero = text.starts_with('0');
    const std::size_t whole = take_digits();
    if (whole == 0 || (leading_zero && whole > 1)) return false;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        if (take_digits() == 0) return false;
    }
    if (text.starts_with('e') || text.starts_with('E')) {
        text.remove_prefix(1);
        if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
        if (take_digits() == 0) return false;
    }
    return text.empty();
}

void append_json_field(std::string& out, const Field& field, std::string_view value) {
    if (!field.is_number || !is_json_number(value)) {
        return append_json_member(out, field.name, value);
    }
    out += ',';
    append_json_string(out, field.name);
    out += ':';
    out += value;
}

/// Secrets are hidden while the text is cut, so that no cut hides the end of a URL from the mask.
/// One byte more than is shown tells whether the last character is whole.
std::string presentable(std::string_view text) {
    lovage::detail::MaskedText masked = lovage::detail::mask_secrets(text, kTextBytesMax + 1);
    const std::size_t shown = utf8_prefix(masked.text, kTextBytesMax).size();
    const std::size_t left_out = masked.bytes_left_out + masked.text.size() - shown;
    if (left_out == 0) return std::move(masked.text);
    masked.text.resize(shown);
    masked.text += fmt::format("… ({} bytes left out)", left_out);
    return std::move(masked.text);
}

}  // namespace

std::string_view to_string(Level level) noexcept {
    switch (level) {
        case Level::debug:
            return "debug";
        case Level::info:
            return "info";
        case Level::warning:
            return "warning";
        case Level::error:
            return "error";
        case Level::critical:
            return "critical";
        case Level::off:
            break;
    }
    return "off";
}

void append_text_line(std::string& out, const Record& record, bool color) {
    const Moment moment = split(record.time, Zone::local);
    if (color) out += kDim;
    append_date(out, moment.calendar, ' ');
    out += fmt::format(",{:03}", moment.milliseconds);
    if (color) out += kPlain;
    out += fmt::format(" {}{:<8}{} ", color ? level_color(record.level) : "",
                       level_label(record.level), color ? kPlain : "");
    out += fmt::format("{:<7} ", record.logger);
    append_printable(out, presentable(record.message), Lines::keep);
    for (const Field& field : record.fields) {
        out += ' ';
        if (color) out += kDim;
        append_printable(out, field.name, Lines::escape);
        out += '=';
        if (color) out += kPlain;
        append_readable_value(out, presentable(field.value));
    }
    out += '\n';
}

void append_json_line(std::string& out, const Record& record) {
    const Moment moment = split(record.time, Zone::utc);
    out += "{\"@timestamp\":\"";
    append_date(out, moment.calendar, 'T');
    out += fmt::format(".{:03}Z\"", moment.milliseconds);
    append_json_member(out, "log.level", to_string(record.level));
    append_json_member(out, "message", presentable(record.message));
    append_json_member(out, "ecs.version", "8.11.0");
    append_json_member(out, "service.name", record.service_name);
    append_json_member(out, "log.logger", record.logger);
    out += fmt::format(",\"process.pid\":{}", record.pid);
    append_json_member(out, "process.thread.name", record.thread_name);
    for (const Field& field : record.fields) {
        append_json_field(out, field, presentable(field.value));
    }
    out += "}\n";
}

}  // namespace lovage::log::detail
