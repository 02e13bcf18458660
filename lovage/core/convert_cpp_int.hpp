#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include <boost/multiprecision/cpp_int.hpp>

#include <lovage/core/convert.hpp>

/// `boost::multiprecision::cpp_int` as JSON integer. Apart from convert.hpp because the type is
/// costly to include.
namespace lovage {

/// The longest integer read into a cpp_int, in digits: the work grows with the square of the
/// length, and is done on the loop.
inline constexpr std::size_t kCppIntDigitsMax = 10'000;

template <>
struct JsonConverter<boost::multiprecision::cpp_int> {
    using Integer = boost::multiprecision::cpp_int;

    static void read(const Json& value, Integer& out, ConversionContext& context) {
        if (const auto text = detail::read_integer_text(value, kCppIntDigitsMax, context)) {
            out.assign(*text);
        }
    }
    static Json write(const Integer& value) { return Json::integer(value.str()); }
    static Json schema(SchemaDefinitions& /*definitions*/) {
        return detail::schema_of_type("integer");
    }
    static std::string type_name() { return "int"; }
};

}  // namespace lovage
