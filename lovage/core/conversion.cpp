#include <lovage/core/conversion.hpp>

#include <algorithm>
#include <cctype>
#include <limits>

#include <fmt/format.h>

#include <lovage/core/issue_input.hpp>
#include <lovage/core/python_repr.hpp>

namespace lovage {

namespace {

constexpr std::size_t kReceivedCharactersMax = 64;

std::string received_text(const Json& value) {
    if (value.is_null()) return "None";
    return fmt::format("{} {}", value.python_type_name(),
                       python_repr(value, kReceivedCharactersMax));
}

/// Takes what `value` needs in memory off `budget`; false when that is more than there is.
bool fits(const Json& value, std::size_t& budget) {
    const auto take = [&](std::size_t bytes) {
        if (bytes > budget) return false;
        budget -= bytes;
        return true;
    };
    if (!take(sizeof(Json))) return false;
    switch (value.kind()) {
        case Json::Kind::integer:
            return value.as_int64() || take(value.integer_text().size());
        case Json::Kind::string:
            return take(value.as_string().size());
        case Json::Kind::raw:
            return take(value.raw_text().size());
        case Json::Kind::array:
            return std::ranges::all_of(value.as_array(),
                                       [&](const Json& item) { return fits(item, budget); });
        case Json::Kind::object:
            return std::ranges::all_of(value.as_object(), [&](const Json::Member& member) {
                return take(member.first.size()) && fits(member.second, budget);
            });
        default:
            return true;
    }
}

}  // namespace

Json issue_input(const Json& value) {
    std::size_t budget = kIssueInputBytesMax;
    if (fits(value, budget)) return value;
    return Json{fmt::format("({}, too large to repeat)", value.python_type_name())};
}

std::string describe_issue(const JsonIssue& issue) {
    std::string text;
    for (const JsonIssue::Step& step : issue.loc) {
        if (const auto* name = std::get_if<std::string>(&step)) {
            if (!text.empty()) text += '.';
            text += *name;
        } else {
            text += fmt::format("[{}]", std::get<std::int64_t>(step));
        }
    }
    if (!text.empty()) text += ": ";
    return text + fmt::format("expected {}, received {}", issue.expected, issue.received);
}

void ConversionContext::report(std::string_view type, std::string msg, std::string expected,
                               const Json& input, std::optional<Json> ctx) {
    if (full()) return;
    add({.loc = {},
         .type = std::string{type},
         .msg = std::move(msg),
         .expected = std::move(expected),
         .received = received_text(input),
         .input = issue_input(input),
         .ctx = std::move(ctx)});
}

void ConversionContext::report_missing(std::string expected, const Json& container) {
    if (full()) return;
    add({.loc = {},
         .type = "missing",
         .msg = "Field required",
         .expected = std::move(expected),
         .received = "nothing",
         .input = issue_input(container)});
}

void ConversionContext::add(JsonIssue issue) {
    for (const Step* step = place_; step != nullptr; step = step->parent_) {
        if (step->index_ == Step::kNamed) {
            issue.loc.emplace_back(std::string{step->name_});
        } else {
            issue.loc.emplace_back(static_cast<std::int64_t>(step->index_));
        }
    }
    std::ranges::reverse(issue.loc);
    issues_.push_back(std::move(issue));
}

std::optional<Json> ConversionContext::expand(const Json& value) {
    // The value is in memory already; only its depth needs a bound.
    Result<Json> full = value.fully_expanded(
        {.depth = kJsonDepthMax, .bytes = std::numeric_limits<std::size_t>::max()});
    if (full) return std::move(*full);
    const std::string& detail = full.error().detail;
    report("json_invalid", "Invalid JSON: " + detail, "JSON", Json{"(unreadable)"},
           Json::object({{"error", detail}}));
    return std::nullopt;
}

std::string SchemaDefinitions::claim(std::type_index type, std::string_view qualified_name) {
    const auto tidy = [](std::string_view name) {
        std::string out;
        for (const char c : name) {
            const auto byte = static_cast<unsigned char>(c);
            out += std::isalnum(byte) != 0 || c == '-' || c == '.' ? c : '_';
        }
        return out;
    };
    const std::size_t arguments = std::min(qualified_name.find('<'), qualified_name.size());
    const std::size_t scope = qualified_name.substr(0, arguments).rfind("::");
    std::string name =
        tidy(scope == std::string_view::npos ? qualified_name : qualified_name.substr(scope + 2));
    if (schemas_.contains(name)) name = tidy(qualified_name);
    const std::string base = name;
    for (int number = 2; schemas_.contains(name); ++number)
        name = fmt::format("{}_{}", base, number);
    names_.emplace(type, name);
    schemas_.emplace(name, Json{});
    return name;
}

Json SchemaDefinitions::reference_to(const std::string& name) {
    return Json::object({{"$ref", "#/components/schemas/" + name}});
}

std::string schema_title(std::string_view name) {
    std::string title;
    bool inside_word = false;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        const bool letter = std::isalpha(byte) != 0;
        title += c == '_'      ? ' '
                 : !letter     ? c
                 : inside_word ? static_cast<char>(std::tolower(byte))
                               : static_cast<char>(std::toupper(byte));
        inside_word = letter;
    }
    const std::size_t first = title.find_first_not_of(' ');
    if (first == std::string::npos) return {};
    return title.substr(first, title.find_last_not_of(' ') - first + 1);
}

void add_schema_title(Json& schema, std::string_view member_name) {
    if (schema.find("$ref") != nullptr) return;
    if (const Json* const choices = schema.find("anyOf")) {
        const Json::Array& list = choices->as_array();
        const bool nullable_reference = list.size() == 2 && list.front().find("$ref") != nullptr &&
                                        list.back() == Json::object({{"type", "null"}});
        if (nullable_reference) return;
    }
    schema.set("title", schema_title(member_name));
}

}  // namespace lovage
