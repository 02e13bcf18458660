// Any bytes as JSON: reading must end in a value or an error, what was read must survive being
// written and read again, opening a text level by level must give the same as reading it whole, and
// converting it to a C++ type must end in a value or in issues that can be shown.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include <lovage/core/convert.hpp>
#include <lovage/core/convert_cpp_int.hpp>

namespace fuzz {

enum class Color { red, green };
BOOST_DESCRIBE_ENUM(Color, red, green)

struct Everything {
    std::int64_t i = 0;
    std::uint8_t u = 0;
    double d = 0;
    float f = 0;
    bool b = false;
    std::string s;
    lovage::Bytes y;
    lovage::TimePoint t;
    Color c = Color::red;
    boost::multiprecision::cpp_int n;
    std::optional<std::vector<Everything>> l;
    std::map<std::string, lovage::Json> m;
    std::tuple<int, std::string> p;
};
BOOST_DESCRIBE_STRUCT(Everything, (), (i, u, d, f, b, s, y, t, c, n, l, m, p))
LOVAGE_JSON_DEFAULTS(Everything, i, u, d, f, b, s, y, t, c, n, m, p)

}  // namespace fuzz

namespace {

using lovage::Json;
using lovage::JsonStyle;

constexpr lovage::JsonLimits kLimits{.depth = 100, .bytes = std::size_t{1} << 20U};
constexpr std::size_t kShallowLevels = 3;

void check_written(const Json& value, JsonStyle style) {
    const std::string text = to_json_text(value, style);
    // Escapes may make the text longer than the input was.
    const auto again = lovage::parse_json(text, {.depth = kLimits.depth});
    LOVAGE_ASSERT(again.has_value());
    LOVAGE_ASSERT(*again == value);
    LOVAGE_ASSERT(to_json_text(*again, style) == text);
}

void check_shallow(std::string_view text, const Json* whole) {
    for (std::size_t levels = 0; levels <= kShallowLevels; ++levels) {
        const auto shallow = lovage::parse_json_shallow(text, levels, kLimits);
        LOVAGE_ASSERT(shallow.has_value() == (whole != nullptr));
        if (!shallow) continue;
        LOVAGE_ASSERT(*shallow == *whole);
        const auto full = shallow->fully_expanded(kLimits);
        LOVAGE_ASSERT(full.has_value());
        LOVAGE_ASSERT(*full == *whole);
        LOVAGE_ASSERT(to_json_text(*full) == to_json_text(*whole));
    }
}

/// What a conversion accepts must be written as something it accepts, and writes the same, again.
void check_converted(const Json& value, lovage::ConversionMode mode) {
    const auto converted = lovage::from_json<fuzz::Everything>(value, mode);
    if (converted) {
        const Json written = lovage::to_json(*converted);
        const auto again = lovage::from_json<fuzz::Everything>(written);
        LOVAGE_ASSERT(again.has_value());
        LOVAGE_ASSERT(lovage::to_json(*again) == written);
        return;
    }
    LOVAGE_ASSERT(!converted.error().empty());
    LOVAGE_ASSERT(converted.error().size() <= lovage::kIssuesMax);
    for (const lovage::JsonIssue& issue : converted.error()) {
        LOVAGE_ASSERT(!issue.type.empty() && !issue.msg.empty());
        LOVAGE_ASSERT(!lovage::describe_issue(issue).empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto value = lovage::parse_json(text, kLimits);
    check_shallow(text, value ? &*value : nullptr);
    if (!value) {
        LOVAGE_ASSERT(!value.error().detail.empty());
        return 0;
    }
    check_written(*value, JsonStyle::python);
    check_written(*value, JsonStyle::compact);
    check_converted(*value, lovage::ConversionMode::strict);
    check_converted(*value, lovage::ConversionMode::lax);
    return 0;
}
