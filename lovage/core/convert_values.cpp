#include <lovage/core/convert_values.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <lovage/core/base64.hpp>
#include <lovage/core/detail/number_text.hpp>
#include <lovage/core/detail/utf8.hpp>

namespace lovage {

namespace {

/// What kombu (5.3 and newer) wraps values in that JSON has no kind for.
/// Wire: `{"__type__": tag, "__value__": value}` with exactly these two keys.
struct Tagged {
    std::string_view tag;
    Json value;
};

std::optional<Tagged> read_tagged(const Json& value) {
    if (!value.is_object() || value.as_object().size() != 2) return std::nullopt;
    const Json* const tag = value.find("__type__");
    const Json* const inner = value.find("__value__");
    if (tag == nullptr || !tag->is_string() || inner == nullptr) return std::nullopt;
    Result<Json> expanded = inner->fully_expanded();
    if (!expanded) return std::nullopt;
    return Tagged{tag->as_string(), std::move(*expanded)};
}

/// "12345678-1234-…" from the 32 digits kombu writes.
std::optional<std::string> uuid_text(const Json& value) {
    const Json* const hex = value.find("hex");
    constexpr std::size_t kDigits = 32;
    if (hex == nullptr || !hex->is_string() || hex->as_string().size() != kDigits) {
        return std::nullopt;
    }
    std::string text = hex->as_string();
    for (const std::size_t dash : {20U, 16U, 12U, 8U}) text.insert(dash, 1, '-');
    return text;
}

/// The text of a tagged value that has one.
std::optional<std::string> tagged_text(const Json& value) {
    const std::optional<Tagged> tagged = read_tagged(value);
    if (!tagged) return std::nullopt;
    if (tagged->tag == "uuid") return uuid_text(tagged->value);
    constexpr std::array<std::string_view, 5> kTexts{"datetime", "date", "time", "decimal",
                                                     "bytes"};
    if (std::ranges::find(kTexts, tagged->tag) == kTexts.end()) return std::nullopt;
    if (!tagged->value.is_string()) return std::nullopt;
    return tagged->value.as_string();
}

std::optional<bool> lax_bool(std::string_view text) {
    std::string lower{text.substr(0, 6)};
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    for (const char* yes : {"1", "true", "t", "yes", "y", "on"}) {
        if (lower == yes) return true;
    }
    for (const char* no : {"0", "false", "f", "no", "n", "off"}) {
        if (lower == no) return false;
    }
    return std::nullopt;
}

/// The integer a finite or infinite real is, as pydantic takes it: only below 2^63.
std::optional<Json> integer_of_real(const Json& value, ConversionContext& context) {
    const double real = value.as_real();
    constexpr double kTwoTo63 = 9223372036854775808.0;
    if (!std::isfinite(real)) {
        context.report("finite_number", "Input should be a finite number", "int", value);
    } else if (std::trunc(real) != real) {
        context.report("int_from_float",
                       "Input should be a valid integer, got a number with a fractional part",
                       "int", value);
    } else if (std::abs(real) >= kTwoTo63) {
        context.report("int_parsing_size",
                       "Unable to parse input string as an integer, exceeded maximum size", "int",
                       value);
    } else {
        return Json{static_cast<std::int64_t>(real)};
    }
    return std::nullopt;
}

/// Is `real`, which is the double nearest to the integer, the integer itself?
bool is_exact(const Json& integer, double real) {
    if (!std::isfinite(real)) return false;
    std::array<char, 400> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), real,
                                   std::chars_format::fixed, 0);
    return integer.integer_text() == std::string_view{digits.data(), end.ptr};
}

std::optional<double> real_of_integer(const Json& value, ConversionContext& context) {
    const double real = detail::real_from_decimal(value.integer_text());
    const bool taken = context.lax() ? std::isfinite(real) : is_exact(value, real);
    if (taken) return real;
    context.report("float_type", "Input should be a valid number", "float that keeps every digit",
                   value);
    return std::nullopt;
}

void report_datetime(std::string_view reason, const Json& value, ConversionContext& context) {
    context.report("datetime_from_date_parsing",
                   fmt::format("Input should be a valid datetime or date, {}", reason), "datetime",
                   value, Json::object({{"error", reason}}));
}

void read_iso8601(std::string_view text, const Json& value, TimePoint& out,
                  ConversionContext& context) {
    Result<TimePoint> when = parse_iso8601(text);
    if (when) {
        out = *when;
        return;
    }
    // The detail repeats the text before it says what is wrong with it.
    std::string_view reason = when.error().detail;
    constexpr std::string_view kBefore = " is not an ISO 8601 time: ";
    if (const std::size_t at = reason.rfind(kBefore); at != std::string_view::npos) {
        reason.remove_prefix(at + kBefore.size());
    }
    report_datetime(reason, value, context);
}

/// Seconds since 1970, or milliseconds when that would be past the year 2603, as pydantic.
void read_unix_time(double stamp, const Json& value, TimePoint& out, ConversionContext& context) {
    constexpr double kMillisecondsFrom = 2e10;
    constexpr double kYear1 = -62'135'596'800.0;
    constexpr double kYear10000 = 253'402'300'800.0;
    const double seconds = std::abs(stamp) > kMillisecondsFrom ? stamp / 1e3 : stamp;
    if (seconds >= kYear1 && seconds < kYear10000) {
        out = TimePoint{std::chrono::microseconds{std::llround(seconds * 1e6)}};
        return;
    }
    const std::string_view reason = std::isnan(seconds) ? "NaN values not permitted"
                                    : seconds < 0
                                        ? "dates before 0000 are not supported as unix timestamps"
                                        : "dates after 9999 are not supported as unix timestamps";
    context.report("datetime_parsing", fmt::format("Input should be a valid datetime, {}", reason),
                   "datetime", value, Json::object({{"error", reason}}));
}

/// Text that is nothing but a number of seconds.
std::optional<double> unix_time_text(std::string_view text) {
    if (text.find_first_not_of("+-.0123456789") != std::string_view::npos) return std::nullopt;
    return detail::lax_real(text);
}

}  // namespace

void JsonConverter<bool>::read(const Json& value, bool& out, ConversionContext& context) {
    if (value.is_bool()) {
        out = value.as_bool();
        return;
    }
    std::optional<std::string> text;
    if (context.lax()) {
        if (value.is_string()) text = value.as_string();
        if (value.is_integer()) text = value.integer_text();
        // 1.0 and 0.0 count as the integers; other whole numbers are refused as such.
        if (value.is_real() && std::isfinite(value.as_real()) &&
            std::trunc(value.as_real()) == value.as_real()) {
            constexpr double kDropsTheSignOfZero = 0.0;
            text = fmt::format("{:.0f}", value.as_real() + kDropsTheSignOfZero);
        }
    }
    const std::optional<bool> meant = text ? lax_bool(*text) : std::nullopt;
    if (meant) {
        out = *meant;
    } else if (text) {
        context.report("bool_parsing", "Input should be a valid boolean, unable to interpret input",
                       type_name(), value);
    } else {
        context.report("bool_type", "Input should be a valid boolean", type_name(), value);
    }
}

Json JsonConverter<bool>::schema(SchemaDefinitions& /*definitions*/) {
    return detail::schema_of_type("boolean");
}

void JsonConverter<std::string>::read(const Json& value, std::string& out,
                                      ConversionContext& context) {
    if (value.is_string()) {
        out = value.as_string();
    } else if (std::optional<std::string> text = tagged_text(value)) {
        out = std::move(*text);
    } else {
        context.report("string_type", "Input should be a valid string", type_name(), value);
    }
}

Json JsonConverter<std::string>::schema(SchemaDefinitions& /*definitions*/) {
    return detail::schema_of_type("string");
}

void JsonConverter<Bytes>::read(const Json& value, Bytes& out, ConversionContext& context) {
    if (value.is_string()) {
        out.data = value.as_string();
        return;
    }
    const std::optional<Tagged> tagged = read_tagged(value);
    if (tagged && tagged->value.is_string()) {
        const std::string& text = tagged->value.as_string();
        if (tagged->tag == "bytes") {
            out.data = text;
            return;
        }
        if (std::optional<std::string> data;
            tagged->tag == "base64" && (data = base64_decode(text))) {
            out.data = std::move(*data);
            return;
        }
    }
    context.report("bytes_type", "Input should be a valid bytes", type_name(), value);
}

Json JsonConverter<Bytes>::write(const Bytes& value) {
    if (detail::is_utf8(value.data)) return Json{value.data};
    return Json::object({{"__type__", "base64"}, {"__value__", base64_encode(value.data)}});
}

Json JsonConverter<Bytes>::schema(SchemaDefinitions& /*definitions*/) {
    return detail::schema_of_type("string", "binary");
}

void JsonConverter<TimePoint>::read(const Json& value, TimePoint& out, ConversionContext& context) {
    if (value.is_string()) {
        if (context.lax()) {
            if (const std::optional<double> stamp = unix_time_text(value.as_string())) {
                return read_unix_time(*stamp, value, out, context);
            }
        }
        return read_iso8601(value.as_string(), value, out, context);
    }
    if (context.lax() && value.is_real()) {
        return read_unix_time(value.as_real(), value, out, context);
    }
    if (context.lax() && value.is_integer()) {
        const double stamp = detail::real_from_decimal(value.integer_text());
        return read_unix_time(stamp, value, out, context);
    }
    const std::optional<Tagged> tagged = read_tagged(value);
    if (tagged && (tagged->tag == "datetime" || tagged->tag == "date") &&
        tagged->value.is_string()) {
        return read_iso8601(tagged->value.as_string(), value, out, context);
    }
    context.report("datetime_type", "Input should be a valid datetime", type_name(), value);
}

Json JsonConverter<TimePoint>::schema(SchemaDefinitions& /*definitions*/) {
    return detail::schema_of_type("string", "date-time");
}

void JsonConverter<Json>::read(const Json& value, Json& out, ConversionContext& context) {
    if (std::optional<Json> full = context.expand(value)) out = std::move(*full);
}

namespace detail {

std::optional<Json> read_integer(const Json& value, ConversionContext& context) {
    if (value.is_integer()) return value;
    if (context.lax()) {
        if (value.is_bool()) return Json{value.as_bool() ? 1 : 0};
        if (value.is_real()) return integer_of_real(value, context);
        if (value.is_string()) {
            if (auto text = lax_integer_text(value.as_string())) return Json::integer(*text);
            context.report("int_parsing",
                           "Input should be a valid integer, unable to parse string as an integer",
                           "int", value);
            return std::nullopt;
        }
    }
    context.report("int_type", "Input should be a valid integer", "int", value);
    return std::nullopt;
}

std::optional<Json> read_integer_within(const Json& value, IntegerRange range,
                                        ConversionContext& context) {
    std::optional<Json> integer = read_integer(value, context);
    if (!integer) return std::nullopt;
    const auto negative = integer->as_int64();
    const auto positive = integer->as_uint64();
    if (positive ? *positive <= range.max : negative && *negative >= range.min) return integer;
    context.report(
        "int_parsing_size",
        fmt::format("Input should be a valid integer from {} to {}", range.min, range.max),
        fmt::format("int from {} to {}", range.min, range.max), value,
        Json::object({{"ge", range.min}, {"le", range.max}}));
    return std::nullopt;
}

std::optional<std::string> read_integer_text(const Json& value, std::size_t digits_max,
                                             ConversionContext& context) {
    const std::optional<Json> integer = read_integer(value, context);
    if (!integer) return std::nullopt;
    std::string text = integer->integer_text();
    const std::size_t digits = text.size() - (text.starts_with('-') ? 1 : 0);
    if (digits <= digits_max) return text;
    context.report("int_parsing_size",
                   "Unable to parse input string as an integer, exceeded maximum size",
                   fmt::format("int of at most {} digits", digits_max), value);
    return std::nullopt;
}

Json integer_schema(IntegerRange range) {
    Json schema = schema_of_type("integer");
    const bool whole_int64 = std::cmp_equal(range.max, std::numeric_limits<std::int64_t>::max());
    if (!whole_int64) {
        schema.set("maximum", range.max);
        schema.set("minimum", range.min);
    }
    return schema;
}

std::optional<double> read_real(const Json& value, double largest, ConversionContext& context) {
    std::optional<double> real;
    if (value.is_real()) {
        real = value.as_real();
    } else if (value.is_integer()) {
        real = real_of_integer(value, context);
        if (!real) return std::nullopt;
    } else if (context.lax() && value.is_bool()) {
        real = value.as_bool() ? 1.0 : 0.0;
    } else if (context.lax() && value.is_string()) {
        real = lax_real(value.as_string());
        if (!real) {
            context.report("float_parsing",
                           "Input should be a valid number, unable to parse string as a number",
                           "float", value);
            return std::nullopt;
        }
    }
    if (!real) {
        context.report("float_type", "Input should be a valid number", "float", value);
    } else if (std::isfinite(*real) && std::abs(*real) > largest) {
        const std::string bound = python_float_repr(largest);
        context.report("less_than_equal",
                       fmt::format("Input should be less than or equal to {}", bound),
                       fmt::format("float from -{} to {}", bound, bound), value,
                       Json::object({{"le", largest}}));
        real.reset();
    }
    return real;
}

Json schema_of_type(std::string_view type, std::string_view format) {
    Json schema = Json::object({{"type", type}});
    if (!format.empty()) schema.set("format", format);
    return schema;
}

}  // namespace detail

}  // namespace lovage
