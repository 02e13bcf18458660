#include <lovage/beat/cron_field.hpp>

#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/core.h>

namespace lovage {

namespace {

constexpr std::size_t kSpecLengthMax = 1000;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
/// Python's `\w`, within ASCII.
bool is_word(char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_';
}
bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

std::size_t word_length(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::find_if_not(text, is_word) - text.begin());
}

/// Python's `int(text)`, without a minus; what is larger than an int is the largest int.
std::optional<int> python_int(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.empty() || !is_digit(text.front()) || !is_digit(text.back())) return std::nullopt;
    if (text.contains("__")) return std::nullopt;
    std::int64_t value = 0;
    for (const char c : text) {
        if (c == '_') continue;
        if (!is_digit(c)) return std::nullopt;
        value = std::min<std::int64_t>(value * 10 + (c - '0'), std::numeric_limits<int>::max());
    }
    return static_cast<int>(value);
}

std::optional<int> number_of_name(std::string_view text) {
    constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
    constexpr std::array<std::string_view, 7> kDays{"sun", "mon", "tue", "wed",
                                                    "thu", "fri", "sat"};
    std::string key{text.substr(0, 3)};
    std::ranges::transform(key, key.begin(), lower);
    if (const auto month = std::ranges::find(kMonths, key); month != kMonths.end()) {
        return static_cast<int>(month - kMonths.begin()) + 1;
    }
    if (const auto day = std::ranges::find(kDays, key); day != kDays.end()) {
        return static_cast<int>(day - kDays.begin());
    }
    return std::nullopt;
}

/// Reads the parts of one field's text.
class FieldParser {
public:
    explicit FieldParser(const CronRange& range) : range_{range} {}

    Result<CronSet> parse(std::string_view text) {
        text_ = text.substr(0, 100);
        if (text.size() > kSpecLengthMax) return wrong("it is too long");
        CronSet all;
        for (std::size_t begin = 0; begin <= text.size();) {
            const std::size_t end = std::min(text.find(',', begin), text.size());
            auto values = part(text.substr(begin, end - begin));
            if (!values) return std::unexpected{std::move(values.error())};
            for (const int value : *values) all.add(value);
            begin = end + 1;
        }
        return all;
    }

    Result<int> in_range(int value) const {
        if (value >= range_.min && value <= range_.max) return value;
        return wrong(fmt::format("{} is not within {} to {}", value, range_.min, range_.max));
    }

    [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const {
        return fail(Errc::invalid_argument, detail::printable_line(fmt::format(
                                                "crontab: {} '{}': {}", range_.name, text_, what)));
    }

private:
    using Values = std::vector<int>;

    Result<Values> part(std::string_view text) {
        if (text.empty()) return wrong("an empty part");
        // A trailing line end is what Python's `$` overlooks.
        if (text == "*" || text == "*\n") return span(range_.min, range_.max);
        if (text.starts_with("*/")) return stepped(span(range_.min, range_.max), text.substr(2));
        const std::size_t first = word_length(text);
        if (first > 0 && first < text.size() && text[first] == '-') {
            const std::string_view rest = text.substr(first + 1);
            const std::size_t second = word_length(rest);
            if (second > 0) {
                auto values = wrapped(text.substr(0, first), rest.substr(0, second));
                if (!values || second == rest.size() || rest[second] != '/') return values;
                return stepped(std::move(*values), rest.substr(second + 1));
            }
        }
        auto value = number(text);
        if (!value) return std::unexpected{std::move(value.error())};
        return Values{*value};
    }

    static Values span(int from, int to) {
        Values values(static_cast<std::size_t>(to - from + 1));
        std::iota(values.begin(), values.end(), from);
        return values;
    }

    Result<Values> wrapped(std::string_view from_text, std::string_view to_text) {
        const auto from = number(from_text);
        if (!from) return std::unexpected{from.error()};
        const auto to = number(to_text);
        if (!to) return std::unexpected{to.error()};
        if (*to >= *from) return span(*from, *to);
        Values values = span(*from, range_.max);
        const Values rest = span(range_.min, *to);
        values.insert(values.end(), rest.begin(), rest.end());
        return values;
    }

    Result<Values> stepped(Values values, std::string_view text) {
        const std::string_view word = text.substr(0, word_length(text));
        if (word.empty()) return wrong("a '/' without a step");
        const std::optional<int> step = python_int(word);
        if (!step) return wrong(fmt::format("the step '{}' is no number", word.substr(0, 100)));
        if (*step == 0) return wrong("a step of zero");
        Values kept;
        for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(*step)) {
            kept.push_back(values[i]);
        }
        return kept;
    }

    Result<int> number(std::string_view text) {
        if (text.starts_with('-')) return wrong("a negative number");
        if (const auto value = python_int(text)) return in_range(*value);
        if (const auto value = number_of_name(text)) return in_range(*value);
        return wrong(fmt::format("'{}' is neither a number nor the name of a day or month",
                                 text.substr(0, 100)));
    }

    CronRange range_;
    std::string_view text_;
};

}  // namespace

void CronSet::add(int value) {
    LOVAGE_ASSERT(value >= 0 && value < 64);
    bits_ |= std::uint64_t{1} << static_cast<unsigned>(value);
}

int CronSet::at_least(int value) const noexcept {
    if (value >= 64) return -1;
    const std::uint64_t rest = bits_ >> static_cast<unsigned>(std::max(value, 0));
    return rest == 0 ? -1 : std::max(value, 0) + std::countr_zero(rest);
}

std::vector<int> CronSet::values() const {
    std::vector<int> all;
    for (int value = at_least(0); value >= 0; value = at_least(value + 1)) all.push_back(value);
    return all;
}

bool CronSet::covers(const CronRange& range) const noexcept {
    for (int value = range.min; value <= range.max; ++value) {
        if (!contains(value)) return false;
    }
    return true;
}

Result<CronSet> expand_cron_field(const CronRange& range, const CronSpec& spec) {
    FieldParser parser{range};
    if (const auto* text = std::get_if<std::string>(&spec)) return parser.parse(*text);
    const auto& values = std::get<std::vector<int>>(spec);
    if (values.empty()) return parser.wrong("an empty list would never come");
    CronSet set;
    for (const int value : values) {
        if (auto fits = parser.in_range(value); !fits) return std::unexpected{fits.error()};
        set.add(value);
    }
    return set;
}

}  // namespace lovage
