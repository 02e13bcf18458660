#include <lovage/core/convert_containers.hpp>

#include <fmt/format.h>

namespace lovage::detail {

const Json::Array* read_list(const Json& value, std::string expected, ConversionContext& context) {
    if (value.is_array()) return &value.as_array();
    context.report("list_type", "Input should be a valid list", std::move(expected), value);
    return nullptr;
}

const Json::Array* read_tuple(const Json& value, std::string expected, ConversionContext& context) {
    if (value.is_array()) return &value.as_array();
    context.report("tuple_type", "Input should be a valid tuple", std::move(expected), value);
    return nullptr;
}

const Json::Object* read_map(const Json& value, std::string expected, ConversionContext& context) {
    if (value.is_object()) return &value.as_object();
    context.report("dict_type", "Input should be a valid dictionary", std::move(expected), value);
    return nullptr;
}

bool has_length(const Json& value, std::size_t wanted, std::string expected,
                ConversionContext& context) {
    const std::size_t length = value.as_array().size();
    if (length == wanted) return true;
    const bool few = length < wanted;
    context.report(few ? "too_short" : "too_long",
                   fmt::format("List should have at {} {} item{} after validation, not {}",
                               few ? "least" : "most", wanted, wanted == 1 ? "" : "s", length),
                   std::move(expected), value,
                   Json::object({{"field_type", "List"},
                                 {few ? "min_length" : "max_length", wanted},
                                 {"actual_length", length}}));
    return false;
}

bool fits_tuple(const Json& value, std::size_t wanted, std::string expected,
                ConversionContext& context) {
    const std::size_t length = value.as_array().size();
    if (length <= wanted) return true;
    context.report(
        "too_long",
        fmt::format("Tuple should have at most {} item{} after validation, not {}", wanted,
                    wanted == 1 ? "" : "s", length),
        std::move(expected), value,
        Json::object({{"field_type", "Tuple"}, {"max_length", wanted}, {"actual_length", length}}));
    return false;
}

Json nullable_schema(Json schema) {
    return Json::object(
        {{"anyOf", Json::array({std::move(schema), Json::object({{"type", "null"}})})}});
}

Json list_schema(Json items) {
    return Json::object({{"items", std::move(items)}, {"type", "array"}});
}

Json array_schema(Json items, std::size_t length) {
    Json schema = list_schema(std::move(items));
    schema.set("maxItems", length);
    schema.set("minItems", length);
    return schema;
}

Json tuple_schema(Json::Array items) {
    const std::size_t length = items.size();
    return Json::object({{"prefixItems", Json{std::move(items)}},
                         {"type", "array"},
                         {"maxItems", length},
                         {"minItems", length}});
}

Json map_schema(Json values) {
    return Json::object({{"additionalProperties", std::move(values)}, {"type", "object"}});
}

std::string tuple_type_name(const std::vector<std::string>& items) {
    return fmt::format("list of ({})", fmt::join(items, ", "));
}

}  // namespace lovage::detail
