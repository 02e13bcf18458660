#include <lovage/core/detail/number_text.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <system_error>

#include <lovage/core/detail/ascii.hpp>

namespace lovage::detail {

namespace {

[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view kBlanks = " \t\n\r\f\v";
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// `text` without the underscores that stand between two digits; nothing when one stands elsewhere.
[[nodiscard]] std::optional<std::string> without_underscores(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '_') {
            out += text[i];
        } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) ||
                   !is_digit(text[i + 1])) {
            return std::nullopt;
        }
    }
    return out;
}

[[nodiscard]] bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept {
    return std::ranges::equal(text, lower, [](char c, char l) {
        return (c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) == l;
    });
}

/// `digits[.digits][e[+-]digits]` with at least one digit before the exponent.
[[nodiscard]] bool is_decimal(std::string_view text) noexcept {
    const auto skip_digits = [&] {
        const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
        text.remove_prefix(count);
        return count;
    };
    std::size_t digits = skip_digits();
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        digits += skip_digits();
    }
    if (digits == 0) return false;
    if (text.starts_with('e') || text.starts_with('E')) {
        text.remove_prefix(1);
        if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
        if (skip_digits() == 0) return false;
    }
    return text.empty();
}

}  // namespace

double real_from_decimal(std::string_view text) {
    double value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{})
        return value;

    // Out of range, and from_chars does not say on which side: the decimal exponent of the first
    // digit that is not zero does.
    const bool negative = text.front() == '-';
    const std::size_t exponent_at = std::min(text.find_first_of("eE"), text.size());
    const std::string_view digits = text.substr(0, exponent_at);
    const auto point = static_cast<std::int64_t>(std::min(digits.find('.'), digits.size()));
    const auto first = static_cast<std::int64_t>(digits.find_first_of("123456789"));
    bool huge = first < point;
    if (exponent_at < text.size()) {
        std::string_view exponent = text.substr(exponent_at + 1);
        if (exponent.front() == '+') exponent.remove_prefix(1);
        std::int64_t shift = 0;
        const auto read =
            std::from_chars(exponent.data(), exponent.data() + exponent.size(), shift);
        if (read.ec == std::errc::result_out_of_range) {
            huge = exponent.front() != '-';
        } else {
            huge = shift > first - point;
        }
    }
    const double magnitude = huge ? std::numeric_limits<double>::infinity() : 0.0;
    return negative ? -magnitude : magnitude;
}

std::optional<std::string> lax_integer_text(std::string_view text) {
    text = trimmed(text);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (const std::size_t point = text.find('.'); point != std::string_view::npos) {
        const std::string_view fraction = text.substr(point + 1);
        if (fraction.empty() || fraction.find_first_not_of('0') != std::string_view::npos) {
            return std::nullopt;
        }
        text = text.substr(0, point);
    }
    std::optional<std::string> digits = without_underscores(text);
    if (!digits || digits->empty() || !std::ranges::all_of(*digits, is_digit)) return std::nullopt;
    digits->erase(0, std::min(digits->find_first_not_of('0'), digits->size() - 1));
    if (negative && *digits != "0") digits->insert(0, 1, '-');
    return digits;
}

std::optional<double> lax_real(std::string_view text) {
    text = trimmed(text);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    const double sign = negative ? -1.0 : 1.0;
    if (equals_ignoring_case(text, "inf") || equals_ignoring_case(text, "infinity")) {
        return sign * std::numeric_limits<double>::infinity();
    }
    if (equals_ignoring_case(text, "nan")) return std::numeric_limits<double>::quiet_NaN();
    const std::optional<std::string> decimal = without_underscores(text);
    if (!decimal || !is_decimal(*decimal)) return std::nullopt;
    return sign * real_from_decimal(*decimal);
}

}  // namespace lovage::detail
