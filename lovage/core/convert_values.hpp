#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <lovage/core/bytes.hpp>
#include <lovage/core/conversion.hpp>
#include <lovage/core/time.hpp>

/// Converters of values without parts: booleans, numbers, text, bytes, times, and JSON itself.
namespace lovage {

template <>
struct JsonConverter<bool> {
    static void read(const Json& value, bool& out, ConversionContext& context);
    static Json write(bool value) { return Json{value}; }
    static Json schema(SchemaDefinitions& definitions);
    static std::string type_name() { return "bool"; }
};

namespace detail {

/// The integers of a C++ type.
struct IntegerRange {
    std::int64_t min;
    std::uint64_t max;
};

/// The integer `value` stands for in the context's mode, of any size; reports when there is none.
[[nodiscard]] std::optional<Json> read_integer(const Json& value, ConversionContext& context);
/// The same within `range`, as a Json that as_int64() or as_uint64() gives out.
[[nodiscard]] std::optional<Json> read_integer_within(const Json& value, IntegerRange range,
                                                      ConversionContext& context);
/// The same as decimal text of at most `digits_max` digits.
[[nodiscard]] std::optional<std::string> read_integer_text(const Json& value,
                                                           std::size_t digits_max,
                                                           ConversionContext& context);
[[nodiscard]] Json integer_schema(IntegerRange range);

/// The number `value` stands for, at most `largest` unless infinite; reports when there is none.
[[nodiscard]] std::optional<double> read_real(const Json& value, double largest,
                                              ConversionContext& context);
[[nodiscard]] Json schema_of_type(std::string_view type, std::string_view format = {});

template <class T>
concept CharacterType =
    std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

}  // namespace detail

template <std::integral T>
    requires(!std::same_as<T, bool> && !detail::CharacterType<T>)
struct JsonConverter<T> {
    static constexpr detail::IntegerRange kRange{std::numeric_limits<T>::min(),
                                                 std::numeric_limits<T>::max()};

    static void read(const Json& value, T& out, ConversionContext& context) {
        const std::optional<Json> integer = detail::read_integer_within(value, kRange, context);
        if (!integer) return;
        if constexpr (std::is_signed_v<T>) {
            out = static_cast<T>(*integer->as_int64());
        } else {
            out = static_cast<T>(*integer->as_uint64());
        }
    }
    static Json write(T value) { return Json{value}; }
    static Json schema(SchemaDefinitions& /*definitions*/) {
        return detail::integer_schema(kRange);
    }
    static std::string type_name() { return "int"; }
};

template <class T>
    requires(std::same_as<T, float> || std::same_as<T, double>)
struct JsonConverter<T> {
    static void read(const Json& value, T& out, ConversionContext& context) {
        if (const auto real = detail::read_real(value, std::numeric_limits<T>::max(), context)) {
            out = static_cast<T>(*real);
        }
    }
    static Json write(T value) { return Json{static_cast<double>(value)}; }
    static Json schema(SchemaDefinitions& /*definitions*/) {
        return detail::schema_of_type("number");
    }
    static std::string type_name() { return "float"; }
};

/// Also takes what kombu tags as `uuid`, `decimal`, `date`, `time`, `datetime` or `bytes`: their
/// text.
template <>
struct JsonConverter<std::string> {
    static void read(const Json& value, std::string& out, ConversionContext& context);
    static Json write(const std::string& value) { return Json{value}; }
    static Json schema(SchemaDefinitions& definitions);
    static std::string type_name() { return "str"; }
};

template <>
struct JsonConverter<Bytes> {
    static void read(const Json& value, Bytes& out, ConversionContext& context);
    static Json write(const Bytes& value);
    static Json schema(SchemaDefinitions& definitions);
    static std::string type_name() { return "bytes"; }
};

/// ISO 8601 text, or kombu's `datetime` and `date` tags; written as text.
template <>
struct JsonConverter<TimePoint> {
    static void read(const Json& value, TimePoint& out, ConversionContext& context);
    static Json write(TimePoint value) { return Json{to_iso8601(value)}; }
    static Json schema(SchemaDefinitions& definitions);
    static std::string type_name() { return "datetime"; }
};

/// Any value, with every raw part parsed.
template <>
struct JsonConverter<Json> {
    static void read(const Json& value, Json& out, ConversionContext& context);
    static Json write(const Json& value) { return value; }
    static Json schema(SchemaDefinitions& /*definitions*/) { return Json::object(); }
    static std::string type_name() { return "any value"; }
};

}  // namespace lovage
