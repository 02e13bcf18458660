#include <lovage/http/uuid_value.hpp>

#include <array>
#include <string_view>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include <lovage/core/json.hpp>
#include <lovage/http/wire/characters.hpp>

namespace lovage::http {

namespace {

constexpr std::size_t kGroups = 5;
constexpr std::array<std::size_t, kGroups> kGroupLengths{8, 4, 4, 4, 12};
constexpr std::size_t kDigits = 32;

/// The UTF-8 character that begins at `at`.
std::string_view character_at(std::string_view text, std::size_t at) {
    std::size_t length = 1;
    while (at + length < text.size() &&
           (static_cast<unsigned char>(text[at + length]) & 0xc0U) == 0x80U) {
        ++length;
    }
    return text.substr(at, length);
}

/// Why `text` is no UUID, in the words of the library pydantic uses (the Rust crate uuid).
std::string problem_of(std::string_view text) {
    std::vector<std::size_t> groups{0};
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '-') {
            groups.push_back(0);
        } else if (wire::hex_digit(text[i]) < 0) {
            return fmt::format("invalid character: found `{}` at {}", character_at(text, i), i);
        } else {
            ++groups.back();
        }
    }
    if (groups.size() == 1) return fmt::format("invalid length: found {}", text.size());
    if (groups.size() != kGroups) {
        return fmt::format("invalid group count: expected {}, found {}", kGroups, groups.size());
    }
    for (std::size_t i = 0; i < kGroups; ++i) {
        if (groups[i] != kGroupLengths[i]) {
            return fmt::format("invalid group length in group {}: expected {}, found {}", i,
                               kGroupLengths[i], groups[i]);
        }
    }
    return {};
}

/// The digits in lower case with hyphens at their places.
std::string normalised(std::string_view text) {
    std::string uuid;
    for (const char c : text) {
        if (c == '-') continue;
        uuid += "0123456789abcdef"[wire::hex_digit(c)];
        const auto digits = uuid.size();
        if (digits == 8 || digits == 13 || digits == 18 || digits == 23) uuid += '-';
    }
    return uuid;
}

}  // namespace

}  // namespace lovage::http

namespace lovage {

void JsonConverter<http::Uuid>::read(const Json& value, http::Uuid& out,
                                     ConversionContext& context) {
    if (!value.is_string()) {
        context.report("uuid_type", "UUID input should be a string, bytes or UUID object",
                       type_name(), value);
        return;
    }
    std::string_view text = value.as_string();
    if (text.starts_with("urn:uuid:")) {
        text.remove_prefix(9);
    } else if (text.size() > 2 && text.front() == '{' && text.back() == '}') {
        text = text.substr(1, text.size() - 2);
    }
    auto problem = http::problem_of(text);
    if (text.size() == http::kDigits && problem.starts_with("invalid length")) problem.clear();
    if (problem.empty()) {
        out.text = http::normalised(text);
        return;
    }
    context.report("uuid_parsing", "Input should be a valid UUID, " + problem, type_name(), value,
                   Json::object({{"error", problem}}));
}

Json JsonConverter<http::Uuid>::schema(SchemaDefinitions& /*definitions*/) {
    return Json::object({{"type", "string"}, {"format", "uuid"}});
}

}  // namespace lovage
