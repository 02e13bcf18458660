#include <lovage/core/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <lovage/core/detail/utf8.hpp>

namespace lovage {

namespace {

void append_unit_escape(std::string& out, std::uint32_t unit) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::array<char, 6> escape{'\\',
                                     'u',
                                     kDigits[(unit >> 12U) & 0xFU],
                                     kDigits[(unit >> 8U) & 0xFU],
                                     kDigits[(unit >> 4U) & 0xFU],
                                     kDigits[unit & 0xFU]};
    out.append(escape.data(), escape.size());
}

void append_escape(std::string& out, std::uint32_t point) {
    switch (point) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\b':
            out += "\\b";
            return;
        case '\f':
            out += "\\f";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            break;
    }
    if (point < 0x10000) {
        append_unit_escape(out, point);
    } else {
        append_unit_escape(out, 0xD800 + ((point - 0x10000) >> 10U));
        append_unit_escape(out, 0xDC00 + ((point - 0x10000) & 0x3FFU));
    }
}

/// May a code point stand in a string unescaped?
[[nodiscard]] bool stands_as_is(detail::CodePoint point, JsonStyle style) noexcept {
    if (point.value < 0x20 || point.value == '"' || point.value == '\\') return false;
    if (style == JsonStyle::python) return point.value < 0x7F;
    return !point.is_surrogate();
}

struct Writer {
    std::string& out;
    JsonStyle style;

    [[nodiscard]] std::string_view comma() const { return style == JsonStyle::python ? ", " : ","; }
    [[nodiscard]] std::string_view colon() const { return style == JsonStyle::python ? ": " : ":"; }

    void integer(const Json& value) const {
        if (const std::optional<std::int64_t> small = value.as_int64()) {
            std::array<char, 20> buffer;
            const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), *small);
            out.append(buffer.data(), end.ptr);
        } else {
            out += value.integer_text();
        }
    }

    void real(double value) const {
        if (std::isnan(value)) {
            out += "NaN";
        } else if (std::isinf(value)) {
            out += value < 0 ? "-Infinity" : "Infinity";
        } else {
            out += python_float_repr(value);
        }
    }

    void array(const Json::Array& items) const {
        out += '[';
        for (bool first = true; const Json& item : items) {
            if (!first) out += comma();
            first = false;
            write(item);
        }
        out += ']';
    }

    void object(const Json::Object& members) const {
        out += '{';
        for (bool first = true; const auto& [name, value] : members) {
            if (!first) out += comma();
            first = false;
            append_json_string(out, name, style);
            out += colon();
            write(value);
        }
        out += '}';
    }

    void write(const Json& value) const {
        switch (value.kind()) {
            case Json::Kind::null:
                out += "null";
                return;
            case Json::Kind::boolean:
                out += value.as_bool() ? "true" : "false";
                return;
            case Json::Kind::integer:
                integer(value);
                return;
            case Json::Kind::real:
                real(value.as_real());
                return;
            case Json::Kind::string:
                append_json_string(out, value.as_string(), style);
                return;
            case Json::Kind::array:
                array(value.as_array());
                return;
            case Json::Kind::object:
                object(value.as_object());
                return;
            case Json::Kind::raw:
                out += value.raw_text();
                return;
        }
    }
};

}  // namespace

std::string to_json_text(const Json& value, JsonStyle style) {
    constexpr std::size_t kUsualMemberBytes = 40;  // a guess that spares most texts from growing
    std::string text;
    if (value.is_object()) text.reserve(value.as_object().size() * kUsualMemberBytes);
    append_json_text(text, value, style);
    return text;
}

void append_json_text(std::string& out, const Json& value, JsonStyle style) {
    Writer{out, style}.write(value);
}

void append_json_string(std::string& out, std::string_view text, JsonStyle style) {
    constexpr std::uint32_t kReplacement = 0xFFFD;
    constexpr char kDelete = 0x7F;
    out += '"';
    while (!text.empty()) {
        std::size_t run = detail::plain_json_run(text);
        if (style == JsonStyle::python) run = std::min(run, text.substr(0, run).find(kDelete));
        out.append(text.substr(0, run));
        text.remove_prefix(run);
        if (text.empty()) break;
        detail::CodePoint point = detail::decode_wtf8(text);
        if (point.length == 0) point = {kReplacement, 1};
        if (!stands_as_is(point, style)) {
            append_escape(out, point.value);
        } else {
            detail::append_wtf8(out, point.value);
        }
        text.remove_prefix(point.length);
    }
    out += '"';
}

std::string python_float_repr(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";

    // Shortest digits in scientific form, laid out anew by Python's rules.
    std::array<char, 32> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                   std::chars_format::scientific);
    std::string_view text{buffer.data(), end.ptr};
    std::string out;
    if (text.front() == '-') {
        out += '-';
        text.remove_prefix(1);
    }
    const std::size_t exponent_at = text.find('e');
    int exponent = 0;
    const std::size_t sign = text[exponent_at + 1] == '+' ? 1 : 0;
    std::from_chars(text.data() + exponent_at + 1 + sign, text.data() + text.size(), exponent);
    std::string digits{text.front()};
    if (exponent_at > 2) digits += text.substr(2, exponent_at - 2);

    if (exponent < -4 || exponent >= 16) {
        out += text.substr(0, exponent_at);
        out += exponent < 0 ? "e-" : "e+";
        const int magnitude = std::abs(exponent);
        if (magnitude < 10) out += '0';
        out += std::to_string(magnitude);
    } else if (exponent < 0) {
        out += "0.";
        out.append(static_cast<std::size_t>(-exponent - 1), '0');
        out += digits;
    } else {
        const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
        if (digits.size() < whole + 1) digits.append(whole + 1 - digits.size(), '0');
        out += std::string_view{digits}.substr(0, whole);
        out += '.';
        out += std::string_view{digits}.substr(whole);
    }
    return out;
}

}  // namespace lovage
