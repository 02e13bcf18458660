#include <lovage/http/api.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include <boost/describe.hpp>

#include <lovage/http/uuid_value.hpp>

namespace lovage::http {
namespace {

struct Order {
    std::string name;
    int quantity = 1;
};
BOOST_DESCRIBE_STRUCT(Order, (), (name, quantity))
LOVAGE_JSON_DEFAULTS(Order, quantity)

/// The member of `json` at a path of names and indices.
Json at(const Json& json, std::initializer_list<std::string_view> path) {
    const Json* place = &json;
    for (const auto step : path) {
        if (place->is_array()) {
            place = &place->as_array().at(std::stoul(std::string{step}));
        } else {
            place = place->find(step);
        }
        if (place == nullptr) return Json{"absent: " + std::string{step}};
    }
    return *place;
}
std::string text_at(const Json& json, std::initializer_list<std::string_view> path) {
    return to_json_text(at(json, path), JsonStyle::compact);
}

class OpenApiTest : public testing::Test {
protected:
    metrics::Registry registry_;
    Api api_{{.title = "T", .version = "2"}, registry_};
};

TEST_F(OpenApiTest, DescribesParametersAsFastApi) {
    api_.post(
            "/int/", [](int, std::optional<double>, const std::vector<int>&) { return 1; },
            query<int>("max_integer"),
            query<std::optional<double>>("wait").ge(0).lt(360).description("Seconds."),
            query<std::vector<int>>("list").min_length(1) = std::vector{1})
        .tag("celery-worker")
        .summary("Multiply")
        .name("multiply")
        .responds(408, "Not ready in time");
    const auto document = make_openapi(api_);
    EXPECT_EQ(text_at(document, {"openapi"}), R"("3.1.0")");
    EXPECT_EQ(text_at(document, {"info"}), R"({"title":"T","version":"2"})");
    const auto operation = at(document, {"paths", "/int/", "post"});
    EXPECT_EQ(text_at(operation, {"operationId"}), R"("multiply_int__post")");
    EXPECT_EQ(text_at(operation, {"tags"}), R"(["celery-worker"])");
    EXPECT_EQ(text_at(operation, {"summary"}), R"("Multiply")");
    EXPECT_EQ(at(operation, {"parameters"}), *parse_json(R"([
        {"name": "max_integer", "in": "query", "required": true,
         "schema": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647, "title": "Max Integer"}},
        {"name": "wait", "in": "query", "required": false, "description": "Seconds.",
         "schema": {"anyOf": [{"type": "number", "minimum": 0.0, "exclusiveMaximum": 360.0}, {"type": "null"}], "title": "Wait"}},
        {"name": "list", "in": "query", "required": false,
         "schema": {"type": "array", "items": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647},
                    "minItems": 1, "default": [1], "title": "List"}}])"));
    EXPECT_EQ(text_at(operation, {"responses", "408"}), R"({"description":"Not ready in time"})");
    EXPECT_EQ(text_at(operation, {"responses", "422", "content", "application/json", "schema"}),
              R"({"$ref":"#/components/schemas/HTTPValidationError"})");
    EXPECT_EQ(text_at(document, {"components", "schemas", "ValidationError", "required"}),
              R"(["loc","msg","type"])");
}

TEST_F(OpenApiTest, DescribesBodiesAndReplies) {
    api_.put(
        "/orders/{id}", [](const Uuid&, const Order& order) { return order; }, path<Uuid>("id"),
        body<Order>());
    api_.post(
            "/send", [](const std::string&) { return Response::empty(202); },
            query_or_body<std::string>("name"))
        .status(202);
    api_.get("/inner", [] {}).hidden();
    const auto document = make_openapi(api_);
    const auto put = at(document, {"paths", "/orders/{id}", "put"});
    EXPECT_EQ(
        text_at(put, {"parameters", "0"}),
        R"({"name":"id","in":"path","required":true,"schema":{"type":"string","format":"uuid","title":"Id"}})");
    EXPECT_EQ(
        text_at(put, {"requestBody"}),
        R"({"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Order"}}},"required":true})");
    EXPECT_EQ(text_at(put, {"responses", "200", "content", "application/json", "schema"}),
              R"({"$ref":"#/components/schemas/Order"})");
    EXPECT_EQ(text_at(document, {"components", "schemas", "Order", "required"}), R"(["name"])");
    EXPECT_EQ(text_at(put, {"summary"}), R"("Orders")");

    const auto send = at(document, {"paths", "/send", "post"});
    EXPECT_EQ(text_at(send, {"parameters", "0", "required"}), "false");
    EXPECT_EQ(text_at(send, {"requestBody", "content", "application/json", "schema", "properties",
                             "name"}),
              R"({"type":"string","title":"Name"})");
    EXPECT_EQ(text_at(send, {"responses", "202", "description"}), R"("Successful Response")");
    EXPECT_EQ(document.find("paths")->find("/inner"), nullptr);
}

}  // namespace
}  // namespace lovage::http
