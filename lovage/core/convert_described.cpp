#include <lovage/core/convert_described.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace lovage::detail {

namespace {

std::string quoted_choice(const std::vector<std::string_view>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i != 0) text += i + 1 == names.size() ? " or " : ", ";
        text += fmt::format("'{}'", names[i]);
    }
    return text;
}

}  // namespace

std::string qualified_type_name(std::string_view function_text) {
    // clang: "... [T = ns::Point]"; gcc: "... [with T = ns::Point; std::string_view = ...]".
    constexpr std::string_view kBefore = "T = ";
    const std::size_t start = function_text.find(kBefore) + kBefore.size();
    const std::size_t end = std::min(function_text.find(';', start), function_text.rfind(']'));
    std::string name{function_text.substr(start, end - start)};
    for (const std::string_view unnamed : {"(anonymous namespace)::", "{anonymous}::"}) {
        for (std::size_t at = name.find(unnamed); at != std::string::npos;
             at = name.find(unnamed)) {
            name.erase(at, unnamed.size());
        }
    }
    return name;
}

std::string short_type_name(std::string_view function_text) {
    const std::string name = qualified_type_name(function_text);
    const std::size_t scope = name.substr(0, name.find('<')).rfind("::");
    return scope == std::string::npos ? name : name.substr(scope + 2);
}

bool is_model(const Json& value, std::string expected, ConversionContext& context) {
    if (value.is_object()) return true;
    context.report("model_attributes_type",
                   "Input should be a valid dictionary or object to extract fields from",
                   std::move(expected), value);
    return false;
}

Json model_schema(const std::string& title, Json properties, Json::Array required) {
    Json schema = Json::object({{"properties", std::move(properties)}, {"type", "object"}});
    if (!required.empty()) schema.set("required", Json{std::move(required)});
    schema.set("title", title);
    return schema;
}

void report_enum(const std::vector<std::string_view>& names, const Json& value,
                 ConversionContext& context) {
    const std::string choice = quoted_choice(names);
    context.report("enum", "Input should be " + choice, choice, value,
                   Json::object({{"expected", choice}}));
}

Json enum_schema(const std::string& title, const std::vector<std::string_view>& names) {
    return Json::object({{"type", "string"},
                         {"enum", Json::array(Json::Array(names.begin(), names.end()))},
                         {"title", title}});
}

}  // namespace lovage::detail
