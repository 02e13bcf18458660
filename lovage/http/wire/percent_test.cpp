#include <lovage/http/wire/percent.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::http::wire {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

// Expected values: Python 3.11's urllib.parse.unquote and parse_qsl(…, keep_blank_values=True).
TEST(Percent, DecodesAsPython) {
    EXPECT_EQ(percent_decode("a%20b+c%2B", false), "a b+c+");
    EXPECT_EQ(percent_decode("a%20b+c%2B", true), "a b c+");
    EXPECT_EQ(percent_decode("%zz%4%", false), "%zz%4%");
    EXPECT_EQ(percent_decode("%C3%A9", false), "\u00e9");
    EXPECT_EQ(percent_decode("%FF", false), "\ufffd");
    EXPECT_EQ(percent_decode("%E2%82x", false), "\ufffdx");
    EXPECT_EQ(percent_decode("%ED%A0%80", false), "\ufffd\ufffd\ufffd") << "a surrogate";
    EXPECT_EQ(percent_decode("%F0%9F%98%80%F0%9F", false), "\U0001f600\ufffd");
    EXPECT_EQ(percent_decode("a%00b", false), std::string("a\0b", 3));
}

TEST(Percent, SplitsQueriesAsPython) {
    EXPECT_THAT(parse_query("a=1&b=&c&&a=2%26=3"),
                ElementsAre(Pair("a", "1"), Pair("b", ""), Pair("c", ""), Pair("a", "2&=3")));
    EXPECT_THAT(parse_query("=x;y=z"), ElementsAre(Pair("", "x;y=z")));
    EXPECT_THAT(parse_query(""), IsEmpty());
}

}  // namespace
}  // namespace lovage::http::wire
