#include <lovage/http/params.hpp>

#include <algorithm>

#include <lovage/core/issue_input.hpp>

namespace lovage::http::detail {

namespace {

/// A number as pydantic's messages show it: 360.0 as "360".
std::string number_text(const Json& number) {
    auto text = to_json_text(number, JsonStyle::compact);
    if (number.is_real() && text.ends_with(".0")) text.resize(text.size() - 2);
    return text;
}

}  // namespace

std::size_t characters(std::string_view utf8) noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(
        utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

JsonIssue bound_issue(const BoundWords& words, const Json& bound, const Json& input) {
    return {.type = std::string{words.type},
            .msg = fmt::format("Input should be {} {}", words.phrase, number_text(bound)),
            .input = issue_input(input),
            .ctx = Json::object({{std::string{words.context}, bound}})};
}

JsonIssue length_issue(bool list, bool too_short, std::size_t limit, std::size_t actual,
                       const Json& input) {
    const auto* const side = too_short ? "at least" : "at most";
    const auto* const plural = limit == 1 ? "" : "s";
    const auto* const key = too_short ? "min_length" : "max_length";
    if (!list) {
        return {.type = too_short ? "string_too_short" : "string_too_long",
                .msg = fmt::format("String should have {} {} character{}", side, limit, plural),
                .input = issue_input(input),
                .ctx = Json::object({{key, limit}})};
    }
    return {.type = too_short ? "too_short" : "too_long",
            .msg = fmt::format("List should have {} {} item{} after validation, not {}", side,
                               limit, plural, actual),
            .input = issue_input(input),
            .ctx = Json::object({{"field_type", "List"}, {key, limit}, {"actual_length", actual}})};
}

}  // namespace lovage::http::detail
