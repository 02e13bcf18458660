#include <lovage/core/time.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <optional>

#include <fmt/format.h>

namespace lovage {
namespace {

using std::chrono::microseconds;

constexpr TimePoint kEarliest = std::chrono::sys_days{std::chrono::year{1} / 1 / 1};
constexpr TimePoint kLatest =
    TimePoint{std::chrono::sys_days{std::chrono::year{9999} / 12 / 31} + std::chrono::days{1}} -
    microseconds{1};

/// Reads fixed-width pieces off the front of a text. The first thing that does not fit is
/// remembered as `problem` and every later read fails.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_{text} {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] bool failed() const { return problem_ != nullptr; }
    [[nodiscard]] const char* problem() const { return problem_; }
    void fail(const char* problem) {
        if (!problem_) problem_ = problem;
        rest_ = {};
    }

    [[nodiscard]] char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
    bool accept(char wanted) {
        if (peek() != wanted || rest_.empty()) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void expect(char wanted, const char* otherwise) {
        if (!accept(wanted)) fail(otherwise);
    }
    /// `width` decimal digits, at most `max`.
    unsigned number(std::size_t width, unsigned max, const char* otherwise) {
        unsigned value = 0;
        for (std::size_t i = 0; i < width; ++i) {
            if (peek() < '0' || peek() > '9') {
                fail(otherwise);
                return 0;
            }
            value = value * 10 + static_cast<unsigned>(peek() - '0');
            rest_.remove_prefix(1);
        }
        if (value > max) fail(otherwise);
        return value;
    }
    /// 1 to 9 digits after the point; what is finer than a microsecond is dropped.
    microseconds fraction() {
        unsigned value = 0;
        int digits = 0;
        for (; peek() >= '0' && peek() <= '9'; ++digits) {
            if (digits < 6) value = value * 10 + static_cast<unsigned>(peek() - '0');
            rest_.remove_prefix(1);
        }
        if (digits < 1 || digits > 9) fail("the fraction of a second needs 1 to 9 digits");
        for (; digits < 6; ++digits) value *= 10;
        return microseconds{value};
    }

private:
    std::string_view rest_;
    const char* problem_ = nullptr;
};

std::chrono::sys_days read_date(Reader& reader) {
    const unsigned year = reader.number(4, 9999, "a date starts with a year of four digits");
    reader.expect('-', "a '-' must follow the year");
    const unsigned month = reader.number(2, 12, "the month must be 01 to 12");
    reader.expect('-', "a '-' must follow the month");
    const unsigned day = reader.number(2, 31, "the day must be 01 to 31");
    const auto date =
        std::chrono::year{static_cast<int>(year)} / static_cast<int>(month) / static_cast<int>(day);
    if (year == 0 || !date.ok()) {
        reader.fail("there is no such day");
        return {};
    }
    return date;
}

microseconds read_time_of_day(Reader& reader) {
    microseconds time = std::chrono::hours{reader.number(2, 23, "the hour must be 00 to 23")};
    reader.expect(':', "a ':' must follow the hour");
    time += std::chrono::minutes{reader.number(2, 59, "the minute must be 00 to 59")};
    if (!reader.accept(':')) return time;
    time += std::chrono::seconds{reader.number(2, 59, "the second must be 00 to 59")};
    if (reader.accept('.')) time += reader.fraction();
    return time;
}

std::chrono::minutes read_offset(Reader& reader) {
    if (reader.at_end() || reader.accept('Z')) return {};
    const bool west = reader.peek() == '-';
    if (!west && reader.peek() != '+') {
        reader.fail("only 'Z' or an offset may follow the time");
        return {};
    }
    reader.accept(west ? '-' : '+');
    std::chrono::minutes offset =
        std::chrono::hours{reader.number(2, 23, "the offset's hours must be 00 to 23")};
    if (!reader.at_end()) {
        reader.accept(':');
        offset +=
            std::chrono::minutes{reader.number(2, 59, "the offset's minutes must be 00 to 59")};
    }
    return west ? -offset : offset;
}

/// `text` in quotes, cut and without control characters, for an error message.
std::string quoted(std::string_view text) {
    constexpr std::size_t kShown = 64;
    std::string shown{"'"};
    for (const char c : text.substr(0, kShown)) {
        shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    shown += text.size() > kShown ? "...'" : "'";
    return shown;
}

/// What a test has set the clock to; the smallest value when it is not set.
std::atomic<microseconds::rep> set_time{std::numeric_limits<microseconds::rep>::min()};

}  // namespace

void detail::set_wall_clock(std::optional<TimePoint> now) noexcept {
    set_time =
        now ? now->time_since_epoch().count() : std::numeric_limits<microseconds::rep>::min();
}

TimePoint wall_clock_now() {
    const microseconds::rep set = set_time.load(std::memory_order_relaxed);
    if (set != std::numeric_limits<microseconds::rep>::min()) return TimePoint{microseconds{set}};
    return std::chrono::floor<microseconds>(std::chrono::system_clock::now());
}

double unix_seconds(TimePoint when) noexcept {
    return std::chrono::duration<double>{when.time_since_epoch()}.count();
}

std::string to_iso8601(TimePoint when) {
    when = std::clamp(when, kEarliest, kLatest);
    const auto midnight = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date{midnight};
    const std::chrono::hh_mm_ss time{when - midnight};
    const auto year = static_cast<int>(date.year());
    const auto month = static_cast<unsigned>(date.month());
    const auto day = static_cast<unsigned>(date.day());
    const auto hours = time.hours().count();
    const auto minutes = time.minutes().count();
    const auto seconds = time.seconds().count();
    const auto micros = time.subseconds().count();
    if (micros == 0) {
        return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}+00:00", year, month, day, hours,
                           minutes, seconds);
    }
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00", year, month, day, hours,
                       minutes, seconds, micros);
}

Result<TimePoint> parse_iso8601(std::string_view text) {
    Reader reader{text};
    TimePoint when = read_date(reader);
    if (!reader.at_end()) {
        if (!reader.accept('T') && !reader.accept(' ')) {
            reader.fail("'T' or a blank must follow the date");
        }
        when += read_time_of_day(reader);
        when -= read_offset(reader);
        if (!reader.at_end()) reader.fail("nothing may follow the offset");
    }
    if (!reader.failed() && (when < kEarliest || when > kLatest)) {
        reader.fail("it lies outside the years 0001 to 9999 in UTC");
    }
    if (reader.failed()) {
        return fail(Errc::malformed,
                    fmt::format("{} is not an ISO 8601 time: {}", quoted(text), reader.problem()));
    }
    return when;
}

}  // namespace lovage
