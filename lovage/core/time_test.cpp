#include <lovage/core/time.hpp>

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr TimePoint kNoon = std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + 12h;

TEST(Iso8601, WritesAsPythonsIsoformat) {
    EXPECT_EQ(to_iso8601(kNoon + 4h + 27min + 818'150us), "2026-11-21T16:27:00.818150+00:00");
    EXPECT_EQ(to_iso8601(kNoon), "2026-11-21T12:00:00+00:00");
    EXPECT_EQ(to_iso8601(TimePoint{-1us}), "1969-12-31T23:59:59.999999+00:00");
    EXPECT_EQ(to_iso8601(TimePoint{1us}), "1970-01-01T00:00:00.000001+00:00");
}

TEST(Iso8601, WritesTheNearestMomentPythonKnows) {
    EXPECT_EQ(to_iso8601(TimePoint::max()), "9999-12-31T23:59:59.999999+00:00");
    EXPECT_EQ(to_iso8601(TimePoint::min()), "0001-01-01T00:00:00+00:00");
}

TEST(Iso8601, ReadsEveryFormCeleryAndKombuWrite) {
    for (const auto* text : {
             "2026-11-21T12:00:00+00:00",
             "2026-11-21T12:00:00Z",
             "2026-11-21T12:00:00",
             "2026-11-21 12:00:00",
             "2026-11-21T12:00",
             "2026-11-21T12:00:00.0",
             "2026-11-21T12:00:00.000000999Z",
             "2026-11-21T14:30:00+02:30",
             "2026-11-21T14:30:00+0230",
             "2026-11-21T05:00:00-07",
             "2026-11-22T00:00:00+12:00",
         }) {
        const auto when = parse_iso8601(text);
        ASSERT_TRUE(when) << when.error().message();
        EXPECT_EQ(*when, kNoon) << text;
    }
    EXPECT_EQ(parse_iso8601("2026-11-21"), kNoon - 12h);
    EXPECT_EQ(parse_iso8601("2024-02-29T00:00:00.5Z"),
              TimePoint{std::chrono::sys_days{std::chrono::year{2024} / 2 / 29} + 500ms});
    EXPECT_EQ(parse_iso8601("2026-11-21T12:00:00.123456789"), kNoon + 123'456us);
}

TEST(Iso8601, NamesTheTextItCannotReadAndWhy) {
    struct Case {
        std::string text;
        std::string reason;
    };
    for (const auto& [text, reason] : {
             Case{"yesterday", "year of four digits"},
             Case{"", "year of four digits"},
             Case{"10000-01-01T00:00:00+00:00", "'-' must follow the year"},
             Case{"0000-01-01", "no such day"},
             Case{"2026-02-29", "no such day"},
             Case{"2026-00-10", "no such day"},
             Case{"2026-13-01", "month"},
             Case{"2026-11-32", "day"},
             Case{"2026-11-21X12:00:00", "blank must follow"},
             Case{"2026-11-21T", "hour"},
             Case{"2026-11-21T24:00:00", "hour"},
             Case{"2026-11-21T12", "':' must follow"},
             Case{"2026-11-21T12:60:00", "minute"},
             Case{"2026-11-21T12:00:60", "second"},
             Case{"2026-11-21T12:00:00.", "fraction"},
             Case{"2026-11-21T12:00:00.1234567890", "fraction"},
             Case{"2026-11-21T12:00:00+", "offset"},
             Case{"2026-11-21T12:00:00+24:00", "offset"},
             Case{"2026-11-21T12:00:00+00:60", "offset"},
             Case{"2026-11-21T12:00:00 UTC", "offset"},
             Case{"2026-11-21T12:00:00Zulu", "nothing may follow"},
             Case{"9999-12-31T23:59:59-01:00", "outside the years"},
             Case{"0001-01-01T00:00:00+01:00", "outside the years"},
         }) {
        const auto when = parse_iso8601(text);
        ASSERT_FALSE(when) << text;
        EXPECT_EQ(when.error().code, Errc::malformed);
        EXPECT_THAT(when.error().detail, HasSubstr("'" + text + "'"));
        EXPECT_THAT(when.error().detail, HasSubstr(reason)) << text;
    }
}

TEST(Iso8601, ShowsHostileTextOnOneShortLine) {
    const auto when = parse_iso8601("a\nb" + std::string(100'000, 'x'));
    ASSERT_FALSE(when);
    EXPECT_LT(when.error().detail.size(), 200U);
    EXPECT_THAT(when.error().detail, HasSubstr("a?bxxx"));
}

TEST(Iso8601, ReadsBackWhateverItWrites) {
    std::mt19937_64 random{2026};
    const auto earliest = parse_iso8601("0001-01-01")->time_since_epoch().count();
    const auto latest = parse_iso8601("9999-12-31T23:59:59.999999")->time_since_epoch().count();
    std::uniform_int_distribution<std::int64_t> any{earliest, latest};
    for (int i = 0; i < 20'000; ++i) {
        TimePoint when{std::chrono::microseconds{any(random)}};
        if (i % 4 == 0) when = std::chrono::floor<std::chrono::seconds>(when);
        EXPECT_EQ(parse_iso8601(to_iso8601(when)), when) << to_iso8601(when);
    }
}

}  // namespace
}  // namespace lovage
