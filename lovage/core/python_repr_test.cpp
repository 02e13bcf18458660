#include <lovage/core/python_repr.hpp>

#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lovage/core/task_message.hpp>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing_support::load_fixture;

Json of_json(std::string_view text) {
    return value_or_throw(parse_json(text));
}

TEST(CeleryRepr, EqualsEveryTextCeleryMade) {
    const Json fixture = load_fixture("celery_reprs.json");
    int compared = 0;
    const auto compare = [&](const Json& vector, const char* key, bool as_tuple) {
        const Json* expected = vector.find(key);
        if (!expected || expected->is_null()) return;
        const Json& value = *vector.find("json");
        EXPECT_EQ(celery_repr(value, as_tuple), expected->as_string());
        EXPECT_EQ(celery_repr(Json::raw(to_json_text(value)), as_tuple), expected->as_string());
        ++compared;
    };
    for (const Json& vector : fixture.find("vectors")->as_array()) {
        compare(vector, "argsrepr_as_tuple", true);
        compare(vector, "argsrepr_as_list", false);
        compare(vector, "kwargsrepr", false);
    }
    EXPECT_EQ(compared, 36);
}

// Results of tasks arrive as text and go on into the arguments of what follows.
TEST(CeleryRepr, ShowsValuesThatAreStillText) {
    const Json args = Json::array({Json::raw("7"), Json::raw("\"seven\""), Json::raw(" null"),
                                   Json::array({Json::raw("7.5"), Json::raw("true")})});
    EXPECT_EQ(celery_repr(args, true), "(7, 'seven', None, [7.5, True])");
    EXPECT_EQ(celery_repr(Json::array({Json::raw("no JSON")}), true), "(...,)");
}

// The expected texts below were made by celery.utils.saferepr of Celery 5.6.3.

TEST(CeleryRepr, CutsTextBackToItsLastBlank) {
    const std::string words = std::string(1000, 'x') + " " + std::string(100, 'y');
    EXPECT_EQ(celery_repr(Json::array({words, 1}), false),
              "['" + std::string(1000, 'x') + "...', 1]");
}

TEST(CeleryRepr, LosesTheTokenThatFindsNothingLeft) {
    const std::string rest(1021, 'x');
    EXPECT_EQ(celery_repr(Json::array({rest, 1}), false), "['" + rest + "', ...]");
    EXPECT_EQ(celery_repr(Json::array({Json::array({rest + "x"})}), true),
              "(['" + rest + "x...', ...,)");
}

TEST(CeleryRepr, OpensNothingOnceItIsCutOff) {
    const std::string quotes(1020, '\'');
    EXPECT_THAT(celery_repr(Json::array({quotes, Json::array()}), true),
                testing::EndsWith(R"(\'', ...))"));
}

TEST(CeleryRepr, CountsCharactersNotBytes) {
    std::string snowmen;
    for (int i = 0; i < 1000; ++i) snowmen += "☃";
    EXPECT_EQ(celery_repr(Json::array({snowmen}), false), "['" + snowmen + "']");
}

TEST(PythonRepr, ShowsValuesAsPythonDoes) {
    EXPECT_EQ(python_repr(of_json(R"({"a": [1, null, true, false], "b": {}, "c": []})")),
              "{'a': [1, None, True, False], 'b': {}, 'c': []}");
    EXPECT_EQ(python_repr(of_json("[0.1, 1e16, 1.0, -0.0, NaN, -Infinity]")),
              "[0.1, 1e+16, 1.0, -0.0, nan, -inf]");
    EXPECT_EQ(python_repr(of_json("123456789012345678901234567890")),
              "123456789012345678901234567890");
    EXPECT_EQ(python_repr(Json::raw(R"({"k": [ {"x":1} ]})")), "{'k': [{'x': 1}]}");
}

TEST(PythonRepr, ChoosesQuotesAsPythonDoes) {
    EXPECT_EQ(python_repr("it's"), R"("it's")");
    EXPECT_EQ(python_repr("say \"hi\""), R"('say "hi"')");
    EXPECT_EQ(python_repr("it's \"it\""), R"('it\'s "it"')");
    EXPECT_EQ(python_repr(""), "''");
}

TEST(PythonRepr, EscapesWhatCouldBreakALine) {
    EXPECT_EQ(python_repr("a\nb\tc\rd\\e"), R"('a\nb\tc\rd\\e')");
    EXPECT_EQ(python_repr(std::string("\0\x1b\x7f", 3)), R"('\x00\x1b\x7f')");
    EXPECT_EQ(python_repr(of_json(R"("\u0085\u00a0\u00ad\u2028\u202e\ud800\ue000\uffff")")),
              R"('\x85\xa0\xad\u2028\u202e\ud800\ue000\uffff')");
    EXPECT_EQ(python_repr(of_json(R"("\udb80\udc00\udb40\udc20")")), R"('\U000f0000\U000e0020')");
    EXPECT_EQ(python_repr("é☃😀"), "'é☃😀'");
    EXPECT_EQ(python_repr("\xff"), R"('\xff')");
}

TEST(PythonRepr, CutsWhatIsTooLong) {
    EXPECT_EQ(python_repr("abcdef", 5), "'abcd...");
    EXPECT_EQ(python_repr("abcdef", 8), "'abcdef'");
    EXPECT_EQ(python_repr("☃☃☃☃", 3), "'☃☃...");
    EXPECT_EQ(python_repr(of_json("[1, 2, 3]"), 4), "[1, ...");
    EXPECT_EQ(python_repr(std::string(5'000'000, 'x')).size(), 1027U);
}

}  // namespace
}  // namespace lovage
