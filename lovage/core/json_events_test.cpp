#include <lovage/core/json_events.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lovage {
namespace {

/// Writes down what it is told, in a shorthand of its own.
class Notes final : public JsonEvents {
public:
    void on_null() override { add("null"); }
    void on_boolean(bool value) override { add(value ? "true" : "false"); }
    void on_integer(std::string_view decimal) override { add("i" + std::string{decimal}); }
    void on_real(double value) override { add("r" + python_float_repr(value)); }
    void on_string(std::string_view value) override { add("'" + std::string{value} + "'"); }
    void on_array_begin() override { add("["); }
    void on_array_end() override { add("]"); }
    void on_object_begin() override { add("{"); }
    void on_name(std::string_view name) override { add(std::string{name} + ":"); }
    void on_object_end() override { add("}"); }

    std::string text;

private:
    void add(const std::string& what) { text += (text.empty() ? "" : " ") + what; }
};

std::string events_of(std::string_view text) {
    Notes notes;
    const auto read = read_json_events(text, notes);
    return read ? notes.text : read.error().detail;
}

/// Makes a value of the events, as parse_json() would.
class Builder final : public JsonEvents {
public:
    void on_null() override { put(nullptr); }
    void on_boolean(bool value) override { put(value); }
    void on_integer(std::string_view decimal) override { put(Json::integer(decimal)); }
    void on_real(double value) override { put(value); }
    void on_string(std::string_view text) override { put(text); }
    void on_array_begin() override { open_.push_back({{}, Json::array()}); }
    void on_array_end() override { close(); }
    void on_object_begin() override { open_.push_back({{}, Json::object()}); }
    void on_name(std::string_view name) override { open_.back().name = name; }
    void on_object_end() override { close(); }

    Json built;

private:
    struct Open {
        std::string name;
        Json value;
    };
    void put(Json value) {
        if (open_.empty()) {
            built = std::move(value);
        } else if (open_.back().value.is_array()) {
            open_.back().value.push_back(std::move(value));
        } else {
            open_.back().value.set(open_.back().name, std::move(value));
        }
    }
    void close() {
        Json value = std::move(open_.back().value);
        open_.pop_back();
        put(std::move(value));
    }
    std::vector<Open> open_;
};

TEST(JsonEvents, AreToldInTheOrderOfTheText) {
    EXPECT_EQ(events_of(R"( {"a": [1, -2.5, true], "b": {"c": null, "d": "x\ty"}, "e": {}} )"),
              "{ a: [ i1 r-2.5 true ] b: { c: null d: 'x\ty' } e: { } }");
}

TEST(JsonEvents, KeepNumbersOfAnySizeAndKind) {
    EXPECT_EQ(events_of("[123456789012345678901234567890, -0, 1e400, NaN, -Infinity, Infinity]"),
              "[ i123456789012345678901234567890 i-0 rinf rnan r-inf rinf ]");
}

TEST(JsonEvents, UnescapeStringsAndNames) {
    EXPECT_EQ(events_of(R"({"\u00e9\n": "\ud83d\ude00", "plain": "\\"})"),
              "{ \u00e9\n: '\U0001F600' plain: '\\' }");
}

TEST(JsonEvents, ADoubledNameComesTwice) {
    EXPECT_EQ(events_of(R"({"a": 1, "a": 2})"), "{ a: i1 a: i2 }");
}

TEST(JsonEvents, BuildTheSameValueAsParsing) {
    for (const char* text :
         {"null", "true", "[]", "{}", "\"\"", "0", "[[[]], [{}], {\"a\": [{}]}]",
          R"({"a": {"b": [1, 2, {"c": "d"}]}, "e": -1.5e-7})", "\"\\ud800\"", " \n[1 , 2 ]\t"}) {
        SCOPED_TRACE(text);
        Builder builder;
        ASSERT_TRUE(read_json_events(text, builder));
        EXPECT_EQ(builder.built, *parse_json(text));
    }
}

TEST(JsonEvents, RefuseWhatParsingRefusesInTheSameWords) {
    for (const char* text :
         {"",       " ",        "[",       "{",         "[1",         "[1,",
          "[1,]",   "{\"a\"",   "{\"a\":", "{\"a\":1",  "{\"a\":1,}", "{a:1}",
          "tru",    "nul",      "-",       "01",        "1.",         "1e",
          "\"",     "\"\\",     "\"\\x\"", "\"\\u12\"", "[1]]",       "\xEF\xBB\xBF[]",
          "\"\n\"", "\"\xFF\"", "'a'",     "-Inf",      "NaNN"}) {
        SCOPED_TRACE(text);
        Notes notes;
        const auto read = read_json_events(text, notes);
        const auto parsed = parse_json(text);
        ASSERT_FALSE(read);
        ASSERT_FALSE(parsed);
        EXPECT_EQ(read.error().code, parsed.error().code);
        EXPECT_EQ(read.error().detail, parsed.error().detail);
    }
}

TEST(JsonEvents, StopAtTheLimits) {
    Notes notes;
    EXPECT_EQ(read_json_events("[[[]]]", notes, {.depth = 2}).error().code, Errc::too_large);
    EXPECT_EQ(read_json_events("[1, 2]", notes, {.bytes = 5}).error().code, Errc::too_large);
    EXPECT_TRUE(read_json_events("[[]]", notes, {.depth = 2}));
}

}  // namespace
}  // namespace lovage
