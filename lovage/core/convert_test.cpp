#include <lovage/core/convert.hpp>
#include <lovage/core/convert_cpp_int.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include <cmath>

namespace lovage {
namespace test {

enum class Color { red, green, dark_blue };
BOOST_DESCRIBE_ENUM(Color, red, green, dark_blue)

struct Point {
    std::int64_t x = 0;
    double y = 0;
    friend bool operator==(const Point&, const Point&) = default;
};
BOOST_DESCRIBE_STRUCT(Point, (), (x, y))

struct Shape {
    std::string name;
    std::vector<Point> points;
    std::optional<Point> center;
    std::optional<std::string> short_label;
    std::uint8_t line_width = 3;
    Color color = Color::green;
};
BOOST_DESCRIBE_STRUCT(Shape, (), (name, points, center, short_label, line_width, color))
LOVAGE_JSON_DEFAULTS(Shape, line_width, color)

struct Node {
    int value = 0;
    std::vector<Node> children;
};
BOOST_DESCRIBE_STRUCT(Node, (), (value, children))

struct Named {
    std::string name;
};
BOOST_DESCRIBE_STRUCT(Named, (), (name))

struct Person : Named {
    int age = 0;
};
BOOST_DESCRIBE_STRUCT(Person, (Named), (age))

template <class T>
struct Box {
    T content;
};
BOOST_DESCRIBE_STRUCT(Box<int>, (), (content))

namespace other {
struct Point {
    int z = 0;
};
BOOST_DESCRIBE_STRUCT(Point, (), (z))
}  // namespace other

}  // namespace test

namespace {

using boost::multiprecision::cpp_int;
using test::Color;
using test::Point;
using test::Shape;
using testing::ElementsAre;

Json json(std::string_view text) {
    return parse_json(text).value();
}

template <class T>
T read(std::string_view text, ConversionMode mode = ConversionMode::strict) {
    auto value = from_json<T>(json(text), mode);
    if (value) return std::move(*value);
    ADD_FAILURE() << text << ": " << describe_issue(value.error().front());
    return T{};
}

template <class T>
T read_lax(std::string_view text) {
    return read<T>(text, ConversionMode::lax);
}

template <class T>
std::vector<JsonIssue> issues(std::string_view text, ConversionMode mode = ConversionMode::strict) {
    auto value = from_json<T>(json(text), mode);
    if (!value) return std::move(value.error());
    ADD_FAILURE() << "accepted: " << text;
    return {};
}

/// The one issue's description.
template <class T>
std::string refusal(std::string_view text, ConversionMode mode = ConversionMode::strict) {
    const std::vector<JsonIssue> found = issues<T>(text, mode);
    return found.size() == 1 ? describe_issue(found.front()) : "not one issue";
}

/// The one issue's pydantic type.
template <class T>
std::string lax_refusal(std::string_view text) {
    const std::vector<JsonIssue> found = issues<T>(text, ConversionMode::lax);
    return found.size() == 1 ? found.front().type : "not one issue";
}

template <class T>
std::string schema_text() {
    SchemaDefinitions definitions;
    return to_json_text(json_schema<T>(definitions), JsonStyle::compact);
}

TEST(Conversion, ReadsIntegersWithinTheirRangeOnly) {
    EXPECT_EQ(read<std::int64_t>("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(read<std::uint64_t>("18446744073709551615"),
              std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(read<std::uint8_t>("255"), 255);
    EXPECT_EQ(read<std::int8_t>("-128"), -128);
    EXPECT_EQ(refusal<std::uint8_t>("256"), "expected int from 0 to 255, received int 256");
    EXPECT_EQ(refusal<std::uint8_t>("-1"), "expected int from 0 to 255, received int -1");
    EXPECT_EQ(refusal<std::int64_t>("9223372036854775808"),
              "expected int from -9223372036854775808 to 9223372036854775807, received int "
              "9223372036854775808");
    EXPECT_EQ(lax_refusal<int>("\"2147483648\""), "int_parsing_size");
}

TEST(Conversion, TakesOnlyIntegersForIntegersInStrictMode) {
    EXPECT_EQ(refusal<int>("1.0"), "expected int, received float 1.0");
    EXPECT_EQ(refusal<int>("true"), "expected int, received bool True");
    EXPECT_EQ(refusal<int>("\"abc\""), "expected int, received str 'abc'");
    EXPECT_EQ(refusal<int>("null"), "expected int, received None");
}

TEST(Conversion, ReadsIntegersLaxlyAsPydantic) {
    for (const char* text :
         {"1", "1.0", "true", "\"1\"", "\" 1 \"", "\"+1\"", "\"01\"", "\"1.00\"", "\"0_1\""}) {
        EXPECT_EQ(read_lax<int>(text), 1) << text;
    }
    EXPECT_EQ(read_lax<int>("\"-0\""), 0);
    EXPECT_EQ(read_lax<int>("\"1_000\""), 1000);
    EXPECT_EQ(lax_refusal<int>("1.5"), "int_from_float");
    EXPECT_EQ(lax_refusal<int>("NaN"), "finite_number");
    EXPECT_EQ(lax_refusal<int>("1e30"), "int_parsing_size");
    EXPECT_EQ(lax_refusal<int>("null"), "int_type");
    EXPECT_EQ(lax_refusal<int>("[1]"), "int_type");
    for (const char* text : {"\"\"", "\"-\"", "\"1.5\"", "\"1.\"", "\"0x1\"", "\"1e3\"", "\"1__0\"",
                             "\"_1\"", "\"1 2\""}) {
        EXPECT_EQ(lax_refusal<int>(text), "int_parsing") << text;
    }
}

TEST(Conversion, TakesAnIntegerForAFloatWhenNoDigitIsLost) {
    EXPECT_EQ(read<double>("3"), 3.0);
    EXPECT_EQ(read<double>("0"), 0.0);
    EXPECT_EQ(read<double>("100000000000000000000"), 1e20);
    EXPECT_EQ(refusal<double>("9007199254740993"),
              "expected float that keeps every digit, received int 9007199254740993");
    EXPECT_EQ(read_lax<double>("9007199254740993"), 9007199254740992.0);
    EXPECT_EQ(refusal<double>("\"1.5\""), "expected float, received str '1.5'");
    EXPECT_EQ(refusal<double>("true"), "expected float, received bool True");
}

TEST(Conversion, ReadsFloatsLaxlyAsPydantic) {
    EXPECT_EQ(read_lax<double>("\" 1.5 \""), 1.5);
    EXPECT_EQ(read_lax<double>("\".5\""), 0.5);
    EXPECT_EQ(read_lax<double>("\"+5.\""), 5.0);
    EXPECT_EQ(read_lax<double>("\"1_0.5e1\""), 105.0);
    EXPECT_EQ(read_lax<double>("\"-Infinity\""), -std::numeric_limits<double>::infinity());
    EXPECT_EQ(read_lax<double>("\"1e999\""), std::numeric_limits<double>::infinity());
    EXPECT_TRUE(std::isnan(read_lax<double>("\"nan\"")));
    EXPECT_EQ(read_lax<double>("true"), 1.0);
    for (const char* text :
         {"\"\"", "\"abc\"", "\".\"", "\"1e\"", "\"nan(1)\"", "\"0x1p3\"", "\"--1\""}) {
        EXPECT_EQ(lax_refusal<double>(text), "float_parsing") << text;
    }
    EXPECT_EQ(lax_refusal<double>("1" + std::string(400, '0')), "float_type");
}

TEST(Conversion, RefusesFloatsPastTheRangeOfTheType) {
    EXPECT_FLOAT_EQ(read<float>("1.5e38"), 1.5e38F);
    EXPECT_TRUE(std::isinf(read<float>("Infinity")));
    EXPECT_EQ(refusal<float>("1e39"),
              "expected float from -3.4028234663852886e+38 to 3.4028234663852886e+38, received "
              "float 1e+39");
}

TEST(Conversion, ReadsBooleans) {
    EXPECT_TRUE(read<bool>("true"));
    EXPECT_EQ(refusal<bool>("1"), "expected bool, received int 1");
    for (const char* yes :
         {"1", "1.0", "\"true\"", "\"TRUE\"", "\"t\"", "\"yes\"", "\"Y\"", "\"on\"", "\"1\""}) {
        EXPECT_TRUE(read_lax<bool>(yes)) << yes;
    }
    for (const char* no :
         {"0", "0.0", "\"False\"", "\"f\"", "\"no\"", "\"n\"", "\"OFF\"", "\"0\""}) {
        EXPECT_FALSE(read_lax<bool>(no)) << no;
    }
    EXPECT_EQ(lax_refusal<bool>("2"), "bool_parsing");
    EXPECT_EQ(lax_refusal<bool>("\" true\""), "bool_parsing");
    EXPECT_EQ(lax_refusal<bool>("\"falsehood\""), "bool_parsing");
    EXPECT_FALSE(read_lax<bool>("-0.0"));
    EXPECT_EQ(lax_refusal<bool>("-1.0"), "bool_parsing");
    EXPECT_EQ(lax_refusal<bool>("Infinity"), "bool_type");
    EXPECT_EQ(lax_refusal<bool>("1.5"), "bool_type");
}

TEST(Conversion, ReadsTextAndWhatKombuTagsAsText) {
    EXPECT_EQ(read<std::string>("\"x\""), "x");
    EXPECT_EQ(read<std::string>(R"({"__type__": "decimal", "__value__": "1.10"})"), "1.10");
    EXPECT_EQ(read<std::string>(
                  R"({"__type__":"uuid","__value__":{"hex":"12345678123456781234567812345678"}})"),
              "12345678-1234-5678-1234-567812345678");
    EXPECT_EQ(refusal<std::string>("5"), "expected str, received int 5");
    EXPECT_EQ(refusal<std::string>(R"({"__type__": "decimal", "__value__": "1", "x": 1})"),
              "expected str, received dict {'__type__': 'decimal', '__value__': '1', 'x': 1}");
    EXPECT_EQ(lax_refusal<std::string>("1"), "string_type");
}

TEST(Conversion, CarriesBytes) {
    EXPECT_EQ(read<Bytes>("\"abc\"").data, "abc");
    EXPECT_EQ(read<Bytes>(R"({"__type__": "bytes", "__value__": "abc"})").data, "abc");
    EXPECT_EQ(read<Bytes>(R"({"__type__": "base64", "__value__": "AP8="})").data,
              (std::string{"\x00\xFF", 2}));
    EXPECT_EQ(to_json_text(to_json(Bytes{"abc"})), R"("abc")");
    EXPECT_EQ(to_json_text(to_json(Bytes{std::string{"\x00\xFF", 2}})),
              R"({"__type__": "base64", "__value__": "AP8="})");
    EXPECT_EQ(lax_refusal<Bytes>(R"({"__type__": "base64", "__value__": "A"})"), "bytes_type");
}

TEST(Conversion, CarriesTimes) {
    const TimePoint when{std::chrono::microseconds{1577836800'500000}};
    EXPECT_EQ(read<TimePoint>("\"2020-01-01T00:00:00.5Z\""), when);
    EXPECT_EQ(read<TimePoint>(R"({"__type__":"datetime","__value__":"2020-01-01T00:00:00.5"})"),
              when);
    EXPECT_EQ(to_json_text(to_json(when)), R"("2020-01-01T00:00:00.500000+00:00")");
    EXPECT_EQ(refusal<TimePoint>("5"), "expected datetime, received int 5");
    EXPECT_EQ(read_lax<TimePoint>("1577836800.5"), when);
    EXPECT_EQ(read_lax<TimePoint>("1577836800500"), when);
    EXPECT_EQ(read_lax<TimePoint>("\"1577836800.5\""), when);
    EXPECT_EQ(lax_refusal<TimePoint>("1e20"), "datetime_parsing");
    EXPECT_EQ(lax_refusal<TimePoint>("NaN"), "datetime_parsing");

    const JsonIssue issue = issues<TimePoint>("\"2020-13-01\"").front();
    EXPECT_EQ(issue.type, "datetime_from_date_parsing");
    EXPECT_EQ(issue.msg, "Input should be a valid datetime or date, the month must be 01 to 12");
}

TEST(Conversion, ReadsContainers) {
    EXPECT_THAT(read<std::vector<int>>("[1, 2]"), ElementsAre(1, 2));
    EXPECT_THAT(read<std::vector<bool>>("[true, false]"), ElementsAre(true, false));
    EXPECT_EQ((read<std::map<std::string, int>>(R"({"a": 1})")),
              (std::map<std::string, int>{{"a", 1}}));
    EXPECT_EQ((read<std::unordered_map<std::string, int>>(R"({"a": 1})").at("a")), 1);
    EXPECT_EQ((read<std::tuple<int, std::string, bool>>(R"([1, "x", true])")),
              (std::tuple{1, std::string{"x"}, true}));
    EXPECT_EQ((read<std::pair<int, int>>("[1, 2]")), (std::pair{1, 2}));
    EXPECT_THAT((read<std::array<int, 2>>("[1, 2]")), ElementsAre(1, 2));
    EXPECT_EQ(read<std::optional<int>>("null"), std::nullopt);
    EXPECT_EQ(read<std::optional<int>>("1"), 1);
}

TEST(Conversion, WritesContainers) {
    EXPECT_EQ(to_json_text(to_json(std::tuple{1, std::string{"x"}, std::optional<int>{}})),
              R"([1, "x", null])");
    EXPECT_EQ(to_json_text(to_json(std::vector<std::vector<double>>{{1}, {}})), "[[1.0], []]");
    EXPECT_EQ(to_json_text(to_json(std::vector<bool>{true, false})), "[true, false]");
    EXPECT_EQ(to_json_text(to_json(std::unordered_map<std::string, int>{{"b", 1}, {"a", 2}})),
              R"({"a": 2, "b": 1})");
    EXPECT_EQ(to_json_text(to_json(std::array{1, 2})), "[1, 2]");
    EXPECT_EQ(to_json_text(to_json(std::tuple<>{})), "[]");
}

TEST(Conversion, NamesThePlaceOfAnIssue) {
    EXPECT_EQ(refusal<std::vector<int>>(R"([1, "a"])"), "[1]: expected int, received str 'a'");
    EXPECT_EQ((refusal<std::map<std::string, std::vector<int>>>(R"({"a": [0, null]})")),
              "a[1]: expected int, received None");
    EXPECT_EQ(refusal<std::vector<int>>("{}"), "expected list of int, received dict {}");
    EXPECT_EQ((refusal<std::map<std::string, int>>("1")),
              "expected dict of str to int, received int 1");
    EXPECT_EQ(refusal<std::optional<int>>("\"a\""), "expected int, received str 'a'");
    EXPECT_EQ((refusal<std::pair<int, int>>("[1]")), "[1]: expected int, received nothing");
}

TEST(Conversion, ChecksLengthsAsPydantic) {
    const JsonIssue few = issues<std::array<int, 3>>("[1]").front();
    EXPECT_EQ(few.type, "too_short");
    EXPECT_EQ(few.msg, "List should have at least 3 items after validation, not 1");
    EXPECT_EQ(few.ctx, json(R"({"field_type": "List", "min_length": 3, "actual_length": 1})"));
    const JsonIssue many = issues<std::pair<int, int>>("[1, 2, 3]").front();
    EXPECT_EQ(many.type, "too_long");
    EXPECT_EQ(many.msg, "Tuple should have at most 2 items after validation, not 3");
}

TEST(Conversion, ReadsDescribedStructs) {
    const auto shape = read<Shape>(
        R"({"name": "s", "points": [{"x": 1, "y": 2.5}], "short_label": null, "unknown": [1]})");
    EXPECT_EQ(shape.name, "s");
    EXPECT_THAT(shape.points, ElementsAre(Point{1, 2.5}));
    EXPECT_FALSE(shape.center);
    EXPECT_EQ(shape.line_width, 3);
    EXPECT_EQ(shape.color, Color::green);
    EXPECT_EQ(
        read<Shape>(R"({"name": "", "points": [], "color": "dark_blue", "line_width": 9})").color,
        Color::dark_blue);
}

TEST(Conversion, ReportsEveryIssueOfAStructAtOnce) {
    const auto found = issues<Shape>(
        R"({"points": [{"x": "a"}, 5], "center": {"x": 1}, "line_width": null, "color": "blue"})");
    std::vector<std::string> texts;
    for (const JsonIssue& issue : found) texts.push_back(issue.type + " " + describe_issue(issue));
    EXPECT_THAT(
        texts,
        ElementsAre("missing name: expected str, received nothing",
                    "int_type points[0].x: expected int, received str 'a'",
                    "missing points[0].y: expected float, received nothing",
                    "model_attributes_type points[1]: expected Point, received int 5",
                    "missing center.y: expected float, received nothing",
                    "int_type line_width: expected int, received None",
                    "enum color: expected 'red', 'green' or 'dark_blue', received str 'blue'"));
    EXPECT_EQ(found[2].input, json(R"({"x": "a"})"));
    EXPECT_EQ(found[6].msg, "Input should be 'red', 'green' or 'dark_blue'");
    EXPECT_EQ(found[6].ctx, json(R"({"expected": "'red', 'green' or 'dark_blue'"})"));
}

TEST(Conversion, WritesDescribedStructsInTheOrderOfTheirMembers) {
    const Shape shape{.name = "s", .points = {{1, 2}}, .color = Color::dark_blue};
    EXPECT_EQ(
        to_json_text(to_json(shape)),
        R"({"name": "s", "points": [{"x": 1, "y": 2.0}], "center": null, "short_label": null, )"
        R"("line_width": 3, "color": "dark_blue"})");
    EXPECT_EQ(to_json_text(to_json(static_cast<Color>(7))), "7");
}

TEST(Conversion, IncludesTheMembersOfBases) {
    const auto person = read<test::Person>(R"({"name": "n", "age": 5})");
    EXPECT_EQ(person.name, "n");
    EXPECT_EQ(to_json_text(to_json(person)), R"({"name": "n", "age": 5})");
}

TEST(Conversion, LooksThroughRawValues) {
    const Json outer = parse_json_shallow(R"([{"x": 1, "y": 2}, [1, 2]])", 1).value();
    const auto value = from_json<std::tuple<Point, std::vector<int>>>(outer);
    ASSERT_TRUE(value);
    EXPECT_EQ(std::get<0>(*value), (Point{1, 2}));

    const auto any = from_json<Json>(outer);
    ASSERT_TRUE(any);
    EXPECT_TRUE(any->as_array()[1].is_array());

    const auto broken = from_json<int>(Json::raw("oops"));
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().front().type, "json_invalid");
}

TEST(Conversion, CutsWhatItRepeats) {
    const auto found = issues<int>("\"" + std::string(20'000, 'x') + "\"");
    EXPECT_EQ(found.front().received, "str '" + std::string(63, 'x') + "...");
    EXPECT_EQ(found.front().input, Json{"(str, too large to repeat)"});

    Json::Array many(1000, Json{"x"});
    const auto value = from_json<std::vector<int>>(Json{std::move(many)});
    EXPECT_EQ(value.error().size(), kIssuesMax);
}

TEST(Conversion, CarriesIntegersOfAnySize) {
    const std::string digits = "-" + std::string(300, '7');
    const auto value = read<cpp_int>(digits);
    EXPECT_EQ(value.str(), digits);
    EXPECT_EQ(to_json_text(to_json(cpp_int{value * 2})), "-1" + std::string(299, '5') + "4");
    EXPECT_EQ(read<cpp_int>("0"), 0);
    EXPECT_EQ(read_lax<cpp_int>("\"0010\""), 10);
    EXPECT_EQ(refusal<cpp_int>("1.0"), "expected int, received float 1.0");
}

TEST(Conversion, BoundsTheDigitsOfACppInt) {
    EXPECT_EQ(read<cpp_int>(std::string(kCppIntDigitsMax, '1')) % 10, 1);
    const auto found = issues<cpp_int>(std::string(kCppIntDigitsMax + 1, '1'));
    EXPECT_EQ(found.front().type, "int_parsing_size");
    EXPECT_EQ(found.front().expected, "int of at most 10000 digits");
}

TEST(JsonSchema, IsPydanticsForValuesAndContainers) {
    EXPECT_EQ(schema_text<std::int64_t>(), R"({"type":"integer"})");
    EXPECT_EQ(schema_text<std::uint8_t>(), R"({"type":"integer","maximum":255,"minimum":0})");
    EXPECT_EQ(schema_text<double>(), R"({"type":"number"})");
    EXPECT_EQ(schema_text<bool>(), R"({"type":"boolean"})");
    EXPECT_EQ(schema_text<Bytes>(), R"({"type":"string","format":"binary"})");
    EXPECT_EQ(schema_text<TimePoint>(), R"({"type":"string","format":"date-time"})");
    EXPECT_EQ(schema_text<Json>(), "{}");
    EXPECT_EQ(schema_text<cpp_int>(), R"({"type":"integer"})");
    EXPECT_EQ(schema_text<std::optional<std::string>>(),
              R"({"anyOf":[{"type":"string"},{"type":"null"}]})");
    EXPECT_EQ(schema_text<std::vector<double>>(), R"({"items":{"type":"number"},"type":"array"})");
    EXPECT_EQ((schema_text<std::array<double, 3>>()),
              R"({"items":{"type":"number"},"type":"array","maxItems":3,"minItems":3})");
    EXPECT_EQ((schema_text<std::map<std::string, bool>>()),
              R"({"additionalProperties":{"type":"boolean"},"type":"object"})");
    EXPECT_EQ(
        (schema_text<std::pair<bool, std::string>>()),
        R"({"prefixItems":[{"type":"boolean"},{"type":"string"}],"type":"array","maxItems":2,"minItems":2})");
}

TEST(JsonSchema, DefinesStructsAndEnumsByName) {
    SchemaDefinitions definitions;
    EXPECT_EQ(json_schema<Shape>(definitions), json(R"({"$ref": "#/components/schemas/Shape"})"));
    EXPECT_EQ(
        to_json_text(definitions.schemas().at("Shape"), JsonStyle::compact),
        R"({"properties":{"name":{"type":"string","title":"Name"},)"
        R"("points":{"items":{"$ref":"#/components/schemas/Point"},"type":"array","title":"Points"},)"
        R"("center":{"anyOf":[{"$ref":"#/components/schemas/Point"},{"type":"null"}]},)"
        R"("short_label":{"anyOf":[{"type":"string"},{"type":"null"}],"title":"Short Label"},)"
        R"("line_width":{"type":"integer","maximum":255,"minimum":0,"title":"Line Width","default":3},)"
        R"("color":{"$ref":"#/components/schemas/Color","default":"green"}},)"
        R"("type":"object","required":["name","points"],"title":"Shape"})");
    EXPECT_EQ(to_json_text(definitions.schemas().at("Color"), JsonStyle::compact),
              R"({"type":"string","enum":["red","green","dark_blue"],"title":"Color"})");
    EXPECT_EQ(definitions.schemas().size(), 3U);
}

TEST(JsonSchema, LetsATypeReferToItself) {
    SchemaDefinitions definitions;
    (void)json_schema<test::Node>(definitions);
    EXPECT_EQ(
        *definitions.schemas().at("Node").find("properties")->find("children"),
        json(
            R"({"items": {"$ref": "#/components/schemas/Node"}, "type": "array", "title": "Children"})"));
}

TEST(JsonSchema, TellsTypesOfTheSameNameApart) {
    SchemaDefinitions definitions;
    (void)json_schema<Point>(definitions);
    EXPECT_EQ(json_schema<test::other::Point>(definitions),
              json(R"({"$ref": "#/components/schemas/lovage__test__other__Point"})"));
    EXPECT_EQ(json_schema<Point>(definitions), json(R"({"$ref": "#/components/schemas/Point"})"));
    EXPECT_EQ(json_schema<test::Box<int>>(definitions),
              json(R"({"$ref": "#/components/schemas/Box_int_"})"));
}

TEST(JsonSchema, TitlesMembersAsPydantic) {
    EXPECT_EQ(schema_title("many_things"), "Many Things");
    EXPECT_EQ(schema_title("multiply_by"), "Multiply By");
    EXPECT_EQ(schema_title("taskId"), "Taskid");
    EXPECT_EQ(schema_title("u8_"), "U8");
    EXPECT_EQ(schema_title("x1y"), "X1Y");
}

TEST(TypeName, IsAShortWordForMessages) {
    EXPECT_EQ(JsonConverter<std::optional<std::vector<int>>>::type_name(), "list of int or None");
    EXPECT_EQ((JsonConverter<std::tuple<int, Point>>::type_name()), "list of (int, Point)");
    EXPECT_EQ((JsonConverter<std::array<Color, 2>>::type_name()), "list of 2 Color");
}

}  // namespace
}  // namespace lovage
