// The C++ side of http_validation_test.py: the same routes as its FastAPI application.
//
// Reads one request a line, {"method", "target", "body"?, "content_type"?}, and answers each with
// one line, {"status", "location", "body"}. No socket is involved.
#include <lovage/core/convert.hpp>
#include <lovage/core/convert_cpp_int.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/test_client.hpp>
#include <lovage/http/uuid_value.hpp>
#include <lovage/runtime/log.hpp>

#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe.hpp>
#include <boost/multiprecision/cpp_int.hpp>

namespace {

namespace http = lovage::http;
using boost::multiprecision::cpp_int;
using lovage::Json;

enum class Color { red, green };
BOOST_DESCRIBE_ENUM(Color, red, green)

struct Inner {
    double price{};
};
BOOST_DESCRIBE_STRUCT(Inner, (), (price))

struct Item {
    std::string name;
    cpp_int quantity = 1;
    std::optional<Inner> inner;
    std::vector<std::string> tags;
};
BOOST_DESCRIBE_STRUCT(Item, (), (name, quantity, inner, tags))
LOVAGE_JSON_DEFAULTS(Item, quantity, tags)

void add_routes(http::Api& api) {
    api.post(
        "/int/", [](const cpp_int& integer) { return integer; }, http::query<cpp_int>("integer"));
    api.post(
        "/list/",
        [](const std::vector<cpp_int>& integers) {
            cpp_int sum = 0;
            for (const auto& integer : integers) sum += integer;
            return sum;
        },
        http::query<std::vector<cpp_int>>("integers"));
    api.get(
        "/bounds",
        [](const cpp_int&, std::optional<double>, const std::string&, const std::vector<cpp_int>&) {
        },
        http::query<cpp_int>("n").ge(1).le(10),
        http::query<std::optional<double>>("f").gt(0).lt(360),
        http::query<std::string>("s").min_length(2).max_length(4) = "aa",
        http::query<std::vector<cpp_int>>("l").min_length(1).max_length(2) =
            std::vector<cpp_int>{1});
    api.get(
        "/tasks/{taskId}", [](const http::Uuid& id) { return id; },
        http::path<http::Uuid>("taskId"));
    api.get(
        "/tasks/{taskId}/result/", [](const http::Uuid&, bool forget) { return forget; },
        http::path<http::Uuid>("taskId"), http::query<bool>("forget") = true);
    api.get(
        "/scalars",
        [](bool, double f, Color c, const std::optional<std::string>& s) {
            return std::vector<Json>{Json{f}, lovage::to_json(c), lovage::to_json(s)};
        },
        http::query<bool>("b") = false, http::query<double>("f") = 1.5,
        http::query<Color>("c") = Color::red, http::query<std::optional<std::string>>("s"));
    api.post("/item", [](const Item& item) { return item; }, http::body<Item>());
    api.get("/p/{n}", [](const cpp_int& n) { return n; }, http::path<cpp_int>("n").ge(3));
    api.get("/void", [] {});
}

}  // namespace

int main() {
    lovage::log::configure({.level = lovage::log::Level::warning});
    lovage::metrics::Registry registry;
    http::Api api{{.title = "Interop"}, registry};
    add_routes(api);
    http::TestClient client{api};
    for (std::string line; std::getline(std::cin, line);) {
        const auto request = lovage::value_or_throw(
            lovage::value_or_throw(lovage::parse_json(line)).fully_expanded());
        http::TestClient::Options options{.content_type = ""};
        if (const auto* body = request.find("body")) options.body = body->as_string();
        if (const auto* type = request.find("content_type"))
            options.content_type = type->as_string();
        const auto reply = client.request(request.find("method")->as_string(),
                                          request.find("target")->as_string(), options);
        const auto location = reply.response.header("location");
        std::cout << lovage::to_json_text(
                         Json::object({{"status", reply.status()},
                                       {"location", location ? Json{*location} : Json{}},
                                       {"body", reply.body()}}))
                  << std::endl;
    }
}
