#include <lovage/core/rate_limit.hpp>

#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <lovage/core/json.hpp>

namespace lovage {

namespace {

struct Unit {
    std::string_view suffix;
    double seconds;
};
constexpr std::array<Unit, 3> kUnits{{{"/s", 1}, {"/m", 60}, {"/h", 3600}}};

/// Beyond that a limit limits nothing, and below that one task would begin in eleven days.
constexpr double kFastest = 1e6;
constexpr double kSlowest = 1e-6;

}  // namespace

Result<RateLimit> parse_rate_limit(std::string_view text) {
    if (text.empty()) return RateLimit{};
    std::string_view number = text;
    double seconds = 1;
    for (const Unit& unit : kUnits) {
        if (!text.ends_with(unit.suffix)) continue;
        number.remove_suffix(unit.suffix.size());
        seconds = unit.seconds;
    }
    double count = 0;
    const char* const last = number.data() + number.size();
    const auto [end, error] = std::from_chars(number.data(), last, count);
    const double rate = count / seconds;
    const bool fits = rate == 0 || (rate >= kSlowest && rate <= kFastest);
    if (error != std::errc{} || end != last || !fits) {
        return fail(Errc::invalid_argument,
                    fmt::format("'{}' is no rate limit: give a number of tasks with /s, /m or /h "
                                "after it, such as 10/m (0: no limit)",
                                text));
    }
    return RateLimit{rate};
}

std::string to_string(const RateLimit& limit) {
    if (limit.per_second == 0) return "none";
    for (const Unit& unit : kUnits) {
        const double count = limit.per_second * unit.seconds;
        const double whole = std::round(count);
        // Divided and multiplied again, whole numbers may have lost a bit.
        if (whole >= 1 && std::abs(count - whole) < 1e-9 * count) {
            return fmt::format("{}{}", static_cast<std::int64_t>(whole), unit.suffix);
        }
    }
    return python_float_repr(limit.per_second) + "/s";
}

}  // namespace lovage
