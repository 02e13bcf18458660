// The OpenAPI 3.1 document, in the shape FastAPI 0.1xx gives it, so that client generators and docs
// pages made for FastAPI services take it.
#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

#include <lovage/http/api_impl.hpp>

namespace lovage::http {

namespace {

/// As FastAPI: everything but letters, digits and '_' becomes '_'.
std::string identifier(std::string_view text) {
    std::string result;
    for (const char c : text) {
        result += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    }
    return result;
}

std::string lower(std::string_view text) {
    std::string result;
    for (const char c : text)
        result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

/// "celery-worker" → "Celery Worker".
std::string words(std::string_view text) {
    std::string result;
    bool first = true;
    for (const char c : text) {
        const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
        if (!letter) {
            if (!result.empty() && result.back() != ' ') result += ' ';
        } else {
            result += first ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
        }
        first = !letter;
    }
    return result;
}

/// The last literal segment, for a route that was given no summary: "/v1/tasks/{id}/result/" →
/// "Result".
std::string summary_from(const PathTemplate& path) {
    for (auto segment = path.segments().rbegin(); segment != path.segments().rend(); ++segment) {
        if (!segment->parameter && !segment->text.empty()) return words(segment->text);
    }
    return "Root";
}

Json json_content(Json schema) {
    return Json::object({{"application/json", Json::object({{"schema", std::move(schema)}})}});
}

Json validation_schemas_reference() {
    return Json::object({{"$ref", "#/components/schemas/HTTPValidationError"}});
}

void add_validation_schemas(std::map<std::string, Json>& schemas) {
    const auto titled = [](std::string_view type, std::string_view title) {
        auto schema = Json::object();
        if (!type.empty()) schema.set("type", type);
        schema.set("title", title);
        return schema;
    };
    const auto type_only = [](std::string_view type) { return Json::object({{"type", type}}); };
    const auto location_items =
        Json::object({{"anyOf", Json::array({type_only("string"), type_only("integer")})}});
    schemas["HTTPValidationError"] = Json::object(
        {{"properties",
          Json::object(
              {{"detail",
                Json::object(
                    {{"items", Json::object({{"$ref", "#/components/schemas/ValidationError"}})},
                     {"type", "array"},
                     {"title", "Detail"}})}})},
         {"type", "object"},
         {"title", "HTTPValidationError"}});
    schemas["ValidationError"] =
        Json::object({{"properties", Json::object({{"loc", Json::object({{"items", location_items},
                                                                         {"type", "array"},
                                                                         {"title", "Location"}})},
                                                   {"msg", titled("string", "Message")},
                                                   {"type", titled("string", "Error Type")},
                                                   {"input", titled("", "Input")},
                                                   {"ctx", titled("object", "Context")}})},
                      {"type", "object"},
                      {"required", Json::array({"loc", "msg", "type"})},
                      {"title", "ValidationError"}});
}

Json parameter(const ParamDoc& doc, std::string_view in, bool required) {
    auto result = Json::object({{"name", doc.name}, {"in", in}, {"required", required}});
    if (!doc.description.empty()) result.set("description", doc.description);
    result.set("schema", doc.schema);
    return result;
}

/// Parameters and request body of one operation.
struct Inputs {
    Json parameters = Json::array();
    Json body_properties = Json::object();
    Json body_required = Json::array();
    std::optional<Json> whole_body;
    bool whole_body_required = false;

    void add(const ParamDoc& doc) {
        switch (doc.source) {
            case Source::path:
                parameters.push_back(parameter(doc, "path", true));
                return;
            case Source::header:
                parameters.push_back(parameter(doc, "header", doc.required));
                return;
            case Source::query:
                parameters.push_back(parameter(doc, "query", doc.required));
                return;
            case Source::body:
                whole_body = doc.schema;
                whole_body_required = doc.required;
                return;
            case Source::query_or_body:
                break;
        }
        // Required in one of two places cannot be said in OpenAPI, so neither is; the description
        // says it.
        auto in_query = doc;
        if (doc.required) {
            if (!in_query.description.empty()) in_query.description += ' ';
            in_query.description += "Required, here or as a member of the JSON body.";
        }
        parameters.push_back(parameter(in_query, "query", false));
        body_properties.set(doc.name, doc.schema);
        if (doc.required) body_required.push_back(doc.name);
    }

    [[nodiscard]] std::optional<Json> request_body(const std::string& title) const {
        if (whole_body) {
            auto body = Json::object({{"content", json_content(*whole_body)}});
            if (whole_body_required) body.set("required", true);
            return body;
        }
        if (body_properties.as_object().empty()) return std::nullopt;
        auto schema = Json::object({{"properties", body_properties}, {"type", "object"}});
        schema.set("title", title);
        return Json::object({{"content", json_content(std::move(schema))}});
    }
};

}  // namespace

Json make_openapi(const Api& api) {
    const auto& impl = *api.impl_;
    SchemaDefinitions definitions;
    bool validates = false;
    auto paths = Json::object();
    for (const auto& route : impl.routes) {
        if (route->hidden_) continue;
        auto operation = Json::object();
        if (!route->tags_.empty()) {
            auto tags = Json::array();
            for (const auto& tag : route->tags_) tags.push_back(tag);
            operation.set("tags", std::move(tags));
        }
        const auto& path = route->path_.text();
        std::string summary = route->summary_;
        if (summary.empty())
            summary = route->name_.empty() ? summary_from(route->path_) : words(route->name_);
        operation.set("summary", summary);
        if (!route->description_.empty()) operation.set("description", route->description_);
        // Wire: FastAPI's generate_unique_id(): name + path, then the method. Without a name the
        // path is enough.
        const auto id = identifier(route->name_.empty() ? path.substr(1) : route->name_ + path) +
                        "_" + lower(to_string(route->method_));
        operation.set("operationId", id);
        if (route->deprecated_) operation.set("deprecated", true);

        Inputs inputs;
        for (const auto& document : route->params_) inputs.add(document(definitions));
        if (!inputs.parameters.as_array().empty()) operation.set("parameters", inputs.parameters);
        if (auto body = inputs.request_body("Body_" + id))
            operation.set("requestBody", *std::move(body));

        auto responses = Json::object();
        auto success = Json::object({{"description", "Successful Response"}});
        if (route->status_ != 204) {
            auto schema = route->reply_schema_(definitions);
            if (!schema.as_object().empty() && schema.find("$ref") == nullptr) {
                schema.set("title", "Response " + words(id));
            }
            success.set("content", json_content(std::move(schema)));
        }
        responses.set(std::to_string(route->status_), std::move(success));
        for (const auto& [status, text] : route->responses_) {
            responses.set(std::to_string(status), Json::object({{"description", text}}));
        }
        if (!route->params_.empty()) {
            validates = true;
            responses.set(
                "422", Json::object({{"description", "Validation Error"},
                                     {"content", json_content(validation_schemas_reference())}}));
        }
        operation.set("responses", std::move(responses));

        if (paths.find(path) == nullptr) paths.set(path, Json::object());
        paths.find(path)->set(lower(to_string(route->method_)), std::move(operation));
    }

    auto info = Json::object({{"title", impl.info.title}});
    if (!impl.info.description.empty()) info.set("description", impl.info.description);
    info.set("version", impl.info.version);
    auto document = Json::object(
        {{"openapi", "3.1.0"}, {"info", std::move(info)}, {"paths", std::move(paths)}});
    auto schemas = definitions.schemas();
    if (validates) add_validation_schemas(schemas);
    if (!schemas.empty()) {
        auto all = Json::object();
        for (auto& [name, schema] : schemas) all.set(name, std::move(schema));
        document.set("components", Json::object({{"schemas", std::move(all)}}));
    }
    return document;
}

}  // namespace lovage::http
