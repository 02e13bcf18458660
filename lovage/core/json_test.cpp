#include <lovage/core/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace lovage {
namespace {

using testing::HasSubstr;

Json parsed(std::string_view text, const JsonLimits& limits = {}) {
    Result<Json> value = parse_json(text, limits);
    if (!value) {
        ADD_FAILURE() << text << ": " << value.error().message();
        return {};
    }
    return std::move(*value);
}

std::string rewritten(std::string_view text, JsonStyle style = JsonStyle::python) {
    return to_json_text(parsed(text), style);
}

Error refused(std::string_view text, const JsonLimits& limits = {}) {
    Result<Json> value = parse_json(text, limits);
    if (value) {
        ADD_FAILURE() << "accepted: " << text;
        return {};
    }
    return value.error();
}

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

TEST(Json, ReadsEveryKindOfValue) {
    EXPECT_EQ(parsed("null").kind(), Json::Kind::null);
    EXPECT_TRUE(parsed("true").as_bool());
    EXPECT_FALSE(parsed("false").as_bool());
    EXPECT_EQ(parsed("-12").as_int64(), -12);
    EXPECT_EQ(parsed("1.5").as_real(), 1.5);
    EXPECT_EQ(parsed(R"("x")").as_string(), "x");
    EXPECT_EQ(parsed(" [ 1 , 2 ] ").as_array().size(), 2U);
    EXPECT_EQ(parsed("{\"a\":\t1,\r\n\"b\":2}").find("b")->as_int64(), 2);
}

TEST(Json, LaysTextOutAsPythonDumps) {
    EXPECT_EQ(rewritten(R"({"a":[1,2.0,null,true],"b":{}})"),
              R"({"a": [1, 2.0, null, true], "b": {}})");
    EXPECT_EQ(rewritten("[ ]"), "[]");
    EXPECT_EQ(rewritten(R"({"a": [1, "é"]})", JsonStyle::compact), R"({"a":[1,"é"]})");
}

TEST(Json, KeepsIntegersOfAnySizeExact) {
    EXPECT_EQ(parsed("9223372036854775807").as_int64(), std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(parsed("-9223372036854775808").as_int64(), std::numeric_limits<std::int64_t>::min());
    const Json past = parsed("9223372036854775808");
    EXPECT_FALSE(past.as_int64());
    EXPECT_EQ(past.as_uint64(), 9223372036854775808U);
    EXPECT_FALSE(parsed("18446744073709551616").as_uint64());
    EXPECT_FALSE(parsed("-1").as_uint64());

    const std::string digits = "-" + std::string(5000, '7');
    EXPECT_EQ(rewritten(digits), digits);
    EXPECT_EQ(parsed(digits).integer_text(), digits);
}

TEST(Json, ReadsMinusZeroAsTheIntegerZero) {
    EXPECT_EQ(rewritten("-0"), "0");
    EXPECT_EQ(rewritten("-0.0"), "-0.0");
    EXPECT_EQ(Json::integer("-000").integer_text(), "0");
    EXPECT_EQ(Json::integer("-007"), Json{-7});
    EXPECT_EQ(Json::integer("00000000000000000000012345678901234567890").integer_text(),
              "12345678901234567890");
}

TEST(Json, ReadsFloatsOutOfRangeAsPythonDoes) {
    EXPECT_EQ(rewritten("1e400"), "Infinity");
    EXPECT_EQ(rewritten("-1.5e999999999999999999999"), "-Infinity");
    EXPECT_EQ(rewritten("1e-400"), "0.0");
    EXPECT_EQ(rewritten("-1e-99999999999999999999"), "-0.0");
    EXPECT_EQ(rewritten("0e999999999999999999999"), "0.0");
    EXPECT_EQ(rewritten(std::string(400, '9') + ".0"), "Infinity");
    EXPECT_EQ(rewritten("0." + std::string(400, '0') + "1"), "0.0");
    EXPECT_EQ(rewritten("0." + std::string(400, '0') + "1e401"), "1.0");
    EXPECT_EQ(rewritten("4.9406564584124654e-324"), "5e-324");
}

TEST(Json, WritesFloatsAsPythonsRepr) {
    const std::pair<double, const char*> cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {0.1, "0.1"},
        {100.0, "100.0"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1e-4, "0.0001"},
        {1e-5, "1e-05"},
        {1.5e300, "1.5e+300"},
        {12345.678, "12345.678"},
        {1e22, "1e+22"},
        {5e-324, "5e-324"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {std::numeric_limits<double>::infinity(), "inf"},
        {-std::numeric_limits<double>::infinity(), "-inf"},
        {std::numeric_limits<double>::quiet_NaN(), "nan"},
    };
    for (const auto& [value, repr] : cases) EXPECT_EQ(python_float_repr(value), repr);
}

TEST(Json, ReadsAndWritesWhatIsNotFinite) {
    EXPECT_EQ(rewritten("[NaN,Infinity,-Infinity]"), "[NaN, Infinity, -Infinity]");
    EXPECT_TRUE(std::isnan(parsed("NaN").as_real()));
}

TEST(Json, EscapesAsPythonDoes) {
    EXPECT_EQ(rewritten(R"("\u0000\u001f\b\f\n\r\t\"\\\/")"), R"("\u0000\u001f\b\f\n\r\t\"\\/")");
    EXPECT_EQ(rewritten("\"é\x7F\xF0\x9F\x98\x80\""), R"("\u00e9\u007f\ud83d\ude00")");
    EXPECT_EQ(rewritten("\"é\x7F\xF0\x9F\x98\x80\"", JsonStyle::compact),
              "\"é\x7F\xF0\x9F\x98\x80\"");
}

TEST(Json, CombinesSurrogatePairsAndKeepsLoneOnes) {
    EXPECT_EQ(parsed(R"("\uD83D\uDE00")").as_string(), "\xF0\x9F\x98\x80");
    EXPECT_EQ(parsed(R"("\ud83d")").as_string(), "\xED\xA0\xBD");
    EXPECT_EQ(rewritten(R"("\uD83D")"), R"("\ud83d")");
    EXPECT_EQ(rewritten(R"("\uDE00\uD83D")", JsonStyle::compact), R"("\ude00\ud83d")");
    EXPECT_EQ(rewritten(R"("\ud83d\ud83d\ude00")"), R"("\ud83d\ud83d\ude00")");
    EXPECT_EQ(rewritten(R"("\ud83d\u0041")"), R"("\ud83dA")");
}

TEST(Json, WritesBytesThatAreNoUtf8AsReplacementCharacters) {
    EXPECT_EQ(to_json_text(Json{"a\xFFz"}), R"("a\ufffdz")");
    EXPECT_EQ(to_json_text(Json{"\xC3"}, JsonStyle::compact), "\"\xEF\xBF\xBD\"");
}

TEST(Json, LetsTheLastOfDoubledNamesWinAtTheFirstOnesPlace) {
    EXPECT_EQ(rewritten(R"({"a":1,"b":2,"a":3,"c":4,"b":5,"a":6})"), R"({"a": 6, "b": 5, "c": 4})");

    std::string many = "{";
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 50; ++i) {
            many += '"' + std::to_string(i) + "\":" + std::to_string(i + 100 * round) + ",";
        }
    }
    const Json value = parsed(many + "\"end\":0}");
    ASSERT_EQ(value.as_object().size(), 51U);
    EXPECT_EQ(value.as_object()[7], (Json::Member{"7", 107}));
    EXPECT_EQ(value.as_object()[50].first, "end");
}

TEST(Json, ReadsALargeObjectOfDoubledNamesInReasonableTime) {
    std::string many = "{";
    for (int i = 0; i < 20'000; ++i) many += "\"same\":0,\"k" + std::to_string(i) + "\":0,";
    EXPECT_EQ(parsed(many + "\"same\":1}").as_object().size(), 20'001U);
}

TEST(Json, RefusesWhatPythonRefuses) {
    for (const char* text :
         {"",           " ",        "nul",       "tru",         "True",
          "-",          "+1",       "01",        "1.",          ".5",
          "1e",         "1e+",      "-.5",       "0x10",        "[",
          "[1",         "[1,",      "[1,]",      "[,]",         "]",
          "{",          "{\"a\"",   "{\"a\":",   "{\"a\":1",    "{\"a\":1,",
          "{\"a\":1,}", "{a:1}",    "{1:1}",     "\"",          "\"a",
          "\"\\\"",     "\"\\x\"",  "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\\u12\"",
          "\"\n\"",     "\"\x01\"", "1 2",       "[1 2]",       "'a'",
          "-NaN",       "Infinit",  "nullx",     "\f1",         "\xC2\xA0 1"}) {
        EXPECT_EQ(refused(text).code, Errc::malformed) << text;
    }
    EXPECT_EQ(refused(std::string_view{"1\0", 2}).code, Errc::malformed);
}

TEST(Json, RefusesBytesThatAreNoUtf8) {
    for (const char* text :
         {"\"\xFF\"", "\"\xC3\"", "\"\xC0\x80\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"",
          "\"\xF4\x90\x80\x80\"", "\"\xF0\x9F\x98\"", "\"\x80\"",
          "\xEF\xBB\xBF"
          "1"}) {
        EXPECT_EQ(refused(text).code, Errc::malformed) << text;
    }
}

TEST(Json, NamesPlaceExpectationAndFindingInErrors) {
    EXPECT_EQ(refused("[1 2]").detail, "JSON at byte 3: expected ',' or ']', found '2'");
    EXPECT_EQ(refused("{\"a\" 1}").detail, "JSON at byte 5: expected ':', found '1'");
    EXPECT_EQ(refused("[1,").detail, "JSON at byte 3: expected a value, found the end of the text");
    EXPECT_EQ(refused("\"\x01\"").detail,
              "JSON at byte 1: expected a control character to be escaped, found byte 0x01");
    EXPECT_EQ(refused("\"a\xFF\"").detail, "JSON at byte 2: expected UTF-8, found byte 0xff");
    EXPECT_THAT(refused("é").detail, HasSubstr("found 'é'"));
}

TEST(Json, StopsAtTheDepthLimit) {
    EXPECT_TRUE(parse_json(nested(512)));
    EXPECT_EQ(refused(nested(513)).code, Errc::too_large);
    EXPECT_EQ(refused("[[]]", {.depth = 1}).detail,
              "JSON at byte 1: nested deeper than 1 containers");
    EXPECT_TRUE(parse_json("1", {.depth = 0}));
    EXPECT_EQ(refused(nested(1'000'000), {.depth = 2'000'000}).code, Errc::too_large);
    EXPECT_FALSE(parse_json_shallow(nested(513), 1));
}

TEST(Json, CopiesComparesAndWritesTheDeepestValue) {
    const std::string text = nested(kJsonDepthMax);
    const Json value = parsed(text, {.depth = kJsonDepthMax});
    const Json copy = value;
    EXPECT_EQ(copy, value);
    EXPECT_EQ(to_json_text(copy), text);
}

TEST(Json, StopsAtTheByteLimit) {
    EXPECT_TRUE(parse_json("[1]", {.bytes = 3}));
    EXPECT_EQ(refused("[1 ]", {.bytes = 3}).code, Errc::too_large);
}

TEST(JsonShallow, KeepsDeeperContainersByteForByte) {
    const std::string_view text = R"(  [ {"a" : 1e5} , [ 1,2 ],"\u0041", 7 ]  )";
    const Result<Json> value = parse_json_shallow(text, 1);
    ASSERT_TRUE(value);
    const Json::Array& items = value->as_array();
    EXPECT_EQ(items[0].raw_text(), R"({"a" : 1e5})");
    EXPECT_EQ(items[1].raw_text(), "[ 1,2 ]");
    EXPECT_EQ(items[2].as_string(), "A");
    EXPECT_EQ(items[3].as_int64(), 7);
    EXPECT_EQ(to_json_text(*value), R"([{"a" : 1e5}, [ 1,2 ], "A", 7])");
}

TEST(JsonShallow, OpensAsManyLevelsAsAskedFor) {
    const Result<Json> whole = parse_json_shallow(" 1.50 ", 0);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->raw_text(), "1.50");

    const Result<Json> two = parse_json_shallow(R"({"a":{"b":[1]}})", 2);
    ASSERT_TRUE(two);
    EXPECT_EQ(two->find("a")->find("b")->raw_text(), "[1]");
}

TEST(JsonShallow, ValidatesWhatItDoesNotOpen) {
    const Result<Json> value = parse_json_shallow(R"([{"a":[1,}]])", 1);
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error().detail, "JSON at byte 9: expected a value, found '}'");
}

TEST(JsonRaw, ExpandsOneLevelOrAll) {
    const Json raw = Json::raw(R"({"a": [[1]]})");
    const Result<Json> one = raw.expanded();
    ASSERT_TRUE(one);
    EXPECT_TRUE(one->find("a")->is_raw());
    const Result<Json> all = Json::array({raw}).fully_expanded();
    ASSERT_TRUE(all);
    EXPECT_EQ(all->as_array()[0].find("a")->as_array()[0].as_array()[0].as_int64(), 1);
    EXPECT_EQ(Json::raw(" 5 ").expanded()->as_int64(), 5);
    EXPECT_EQ(Json::array({raw}).fully_expanded({.depth = 3}).error().code, Errc::too_large);
}

TEST(JsonRaw, EqualsTheValueItStandsFor) {
    EXPECT_EQ(Json::raw(R"({"a": [1, {"b": NaN}]})"), parsed(R"({"a":[1,{"b":NaN}]})"));
    EXPECT_EQ(Json::raw("[1]"), Json::raw("[ 1 ]"));
    EXPECT_FALSE(Json::raw("[1]") == Json::raw("[2]"));
    EXPECT_FALSE(Json::raw("oops") == Json{nullptr});
}

TEST(Json, ComparesByKindAndContent) {
    EXPECT_EQ(parsed(R"({"a":1,"b":2})"), parsed(R"({"b":2,"a":1})"));
    EXPECT_FALSE(parsed(R"({"a":1})") == parsed(R"({"b":1})"));
    EXPECT_FALSE(parsed(R"({"a":1})") == parsed(R"({"a":1,"b":2})"));
    EXPECT_FALSE(Json{1} == Json{1.0});
    EXPECT_FALSE(Json{1} == Json{true});
    EXPECT_EQ(parsed("12345678901234567890"), Json{12345678901234567890U});
    EXPECT_FALSE(parsed("12345678901234567890") == parsed("12345678901234567891"));
}

TEST(Json, NamesTypesAsPython) {
    for (const auto& [text, name] : {std::pair{"null", "None"},
                                     {"true", "bool"},
                                     {"-1", "int"},
                                     {"1e5", "float"},
                                     {"NaN", "float"},
                                     {"-Infinity", "float"},
                                     {"\"1.0\"", "str"},
                                     {"[1.0]", "list"},
                                     {"{}", "dict"},
                                     {"99999999999999999999", "int"}}) {
        EXPECT_EQ(parsed(text).python_type_name(), name);
        EXPECT_EQ(Json::raw(text).python_type_name(), name);
    }
}

TEST(Json, FindsSetsAndErasesMembers) {
    Json value;
    value.set("a", 1);
    value.set("b", 2);
    value.set("a", 3);
    EXPECT_EQ(to_json_text(value), R"({"a": 3, "b": 2})");
    EXPECT_TRUE(value.erase("a"));
    EXPECT_FALSE(value.erase("a"));
    EXPECT_EQ(value.find("a"), nullptr);
    EXPECT_EQ(Json{5}.find("a"), nullptr);

    Json list;
    list.push_back("x");
    EXPECT_EQ(to_json_text(list), R"(["x"])");
}

TEST(JsonDeathTest, AssertsOnTheWrongKind) {
    EXPECT_DEATH((void)Json{1}.as_string(), "broken invariant `is_string\\(\\)`");
    EXPECT_DEATH((void)Json::integer("1e5"), "broken invariant");
    EXPECT_DEATH(Json{1}.set("a", 1), "broken invariant");
}

}  // namespace
}  // namespace lovage
