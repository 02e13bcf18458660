#include <lovage/core/rate_limit.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using ::testing::HasSubstr;

double rate(std::string_view text) {
    const auto limit = parse_rate_limit(text);
    EXPECT_TRUE(limit) << text;
    return limit ? limit->per_second : -1;
}

TEST(RateLimit, IsReadAsCeleryReadsIt) {
    EXPECT_DOUBLE_EQ(rate("10/s"), 10);
    EXPECT_DOUBLE_EQ(rate("10"), 10);
    EXPECT_DOUBLE_EQ(rate("30/m"), 0.5);
    EXPECT_DOUBLE_EQ(rate("36/h"), 0.01);
    EXPECT_DOUBLE_EQ(rate("0.5/s"), 0.5);
    EXPECT_DOUBLE_EQ(rate("1e3/h"), 1e3 / 3600);
    EXPECT_DOUBLE_EQ(rate("0"), 0);
    EXPECT_DOUBLE_EQ(rate("0/m"), 0);
    EXPECT_DOUBLE_EQ(rate(""), 0);
}

TEST(RateLimit, IsRefusedWhenItIsNone) {
    for (const std::string_view bad : {"10/d", "10/", "/s", "ten/m", "10 /m", " 10/m", "-1/s",
                                       "nan", "inf/h", "1e9", "10/min"}) {
        const auto limit = parse_rate_limit(bad);
        ASSERT_FALSE(limit) << bad;
        EXPECT_EQ(limit.error().code, Errc::invalid_argument);
        EXPECT_THAT(limit.error().detail, HasSubstr(bad));
    }
}

TEST(RateLimit, IsWrittenInTheUnitThatMakesItWhole) {
    for (const std::string_view text : {"10/s", "7/m", "100/h", "1/h", "1000/h", "61/m"}) {
        EXPECT_EQ(to_string(*parse_rate_limit(text)), text);
    }
    EXPECT_EQ(to_string(*parse_rate_limit("60/m")), "1/s");
    EXPECT_EQ(to_string(RateLimit{}), "none");
}

}  // namespace
}  // namespace lovage
