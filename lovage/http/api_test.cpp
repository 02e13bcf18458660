#include <lovage/http/api.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <malloc.h>

#include <boost/describe.hpp>
#include <boost/multiprecision/cpp_int.hpp>

#include <lovage/core/convert_cpp_int.hpp>
#include <lovage/http/exchange.hpp>
#include <lovage/http/test_client.hpp>
#include <lovage/http/uuid_value.hpp>
#include <lovage/http/wire/request_reader.hpp>
#include <lovage/runtime/log.hpp>

namespace lovage::http {
namespace {

using boost::multiprecision::cpp_int;
using testing::HasSubstr;

struct Inner {
    double price{};
};
BOOST_DESCRIBE_STRUCT(Inner, (), (price))
struct Item {
    std::string name;
    int quantity = 1;
    std::optional<Inner> inner;
};
BOOST_DESCRIBE_STRUCT(Item, (), (name, quantity, inner))
LOVAGE_JSON_DEFAULTS(Item, quantity)

Awaitable<Json> doubled_later(cpp_int integer, std::optional<double> wait) {
    co_return to_json(std::vector<Json>{to_json(cpp_int{integer * 2}), to_json(wait)});
}

class ApiTest : public testing::Test {
protected:
    /// "200 body" of the reply.
    std::string get(const std::string& target) { return shown(client().get(target)); }
    std::string post(const std::string& target, std::string body = {}) {
        return shown(client().post(target, std::move(body)));
    }
    static std::string shown(const TestClient::Reply& reply) {
        return std::to_string(reply.status()) + " " + reply.body();
    }
    TestClient& client() {
        if (!client_) client_.emplace(api_);
        return *client_;
    }

    metrics::Registry registry_;
    Api api_{{.title = "Test", .version = "1"}, registry_};
    std::optional<TestClient> client_;
};

// The expected 422 bodies are FastAPI 0.165's with pydantic 2.14 for the same declarations.

TEST_F(ApiTest, IntegersOfAnySizePassThroughACoroutineHandler) {
    api_.post("/int/", doubled_later, query<cpp_int>("integer"),
              query<std::optional<double>>("wait").ge(0).le(360));
    EXPECT_EQ(post("/int/?integer=21"), "200 [42,null]");
    EXPECT_EQ(post("/int/?integer=1&integer=2&wait=1.5"), "200 [4,1.5]");
    const std::string nines(300, '9');
    EXPECT_EQ(post("/int/?integer=" + nines), "200 [1" + std::string(299, '9') + "8,null]");
    EXPECT_EQ(
        post("/int/"),
        R"(422 {"detail":[{"type":"missing","loc":["query","integer"],"msg":"Field required","input":null}]})");
    EXPECT_EQ(
        post("/int/?integer=1.5&wait=361"),
        R"(422 {"detail":[{"type":"int_parsing","loc":["query","integer"],"msg":"Input should be a valid integer, )"
        R"(unable to parse string as an integer","input":"1.5"},{"type":"less_than_equal","loc":["query","wait"],)"
        R"("msg":"Input should be less than or equal to 360","input":"361","ctx":{"le":360.0}}]})");
    EXPECT_THAT(post("/int/?integer=1&wait=nan"), HasSubstr("less_than_equal"));
}

TEST_F(ApiTest, ListsTakeANameGivenSeveralTimes) {
    api_.post(
        "/list/", [](const std::vector<int>& integers) { return integers.size(); },
        query<std::vector<int>>("integers").max_length(3));
    EXPECT_EQ(post("/list/?integers=1&integers=2"), "200 2");
    EXPECT_THAT(post("/list/"), HasSubstr("missing"));
    EXPECT_EQ(
        post("/list/?integers=1&integers=b&integers=c"),
        R"(422 {"detail":[{"type":"int_parsing","loc":["query","integers",1],"msg":"Input should be a valid integer, )"
        R"(unable to parse string as an integer","input":"b"},{"type":"int_parsing","loc":["query","integers",2],)"
        R"("msg":"Input should be a valid integer, unable to parse string as an integer","input":"c"}]})");
    EXPECT_EQ(
        post("/list/?integers=1&integers=2&integers=3&integers=4"),
        R"(422 {"detail":[{"type":"too_long","loc":["query","integers"],"msg":"List should have at most 3 items after )"
        R"(validation, not 4","input":["1","2","3","4"],"ctx":{"field_type":"List","max_length":3,"actual_length":4}}]})");
}

TEST_F(ApiTest, PathsAndDefaults) {
    api_.get(
        "/tasks/{taskId}/result/",
        [](const Uuid& id, bool forget) {
            return std::pair{id.text, forget}.first + (forget ? "!" : "?");
        },
        path<Uuid>("taskId"), query<bool>("forget") = true);
    const std::string id = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
    EXPECT_EQ(get("/tasks/3FA85F6457174562B3FC2C963F66AFA6/result/"), "200 \"" + id + "!\"");
    EXPECT_EQ(get("/tasks/" + id + "/result/?forget=oFF"), "200 \"" + id + "?\"");
    EXPECT_EQ(
        get("/tasks/x/result/?forget=z"),
        R"(422 {"detail":[{"type":"uuid_parsing","loc":["path","taskId"],"msg":"Input should be a valid UUID, )"
        R"(invalid character: found `x` at 0","input":"x","ctx":{"error":"invalid character: found `x` at 0"}},)"
        R"({"type":"bool_parsing","loc":["query","forget"],"msg":"Input should be a valid boolean, unable to )"
        R"(interpret input","input":"z"}]})");
    const auto reply = client().get("/tasks/x/result?forget=z");
    EXPECT_EQ(reply.status(), 307);
    EXPECT_EQ(reply.response.header("location"), "/tasks/x/result/?forget=z");
}

TEST_F(ApiTest, AStatusThatMayHaveNoBodyHasNone) {
    api_.delete_("/none", [] {}).status(204);
    api_.get("/same", [] { return Response::text("as before", 304); });
    const auto none = client().request("DELETE", "/none", {});
    EXPECT_EQ(shown(none), "204 ");
    EXPECT_EQ(none.response.content_type(), "");
    EXPECT_EQ(get("/same"), "304 ");
}

TEST_F(ApiTest, ARedirectNeverLeavesTheServer) {
    api_.get("/{x}", [](const std::string& x) { return x; }, path<std::string>("x"));
    EXPECT_EQ(client().get("/evil.example/").status(), 307);
    EXPECT_EQ(client().get("/\\evil.example/").status(), 404);
}

TEST_F(ApiTest, AnAnsweredRequestsBodyIsNotKept) {
    api_.post("/", [](const Json&) {}, body<Json>());
    api_.freeze();
    std::string sent = "[1";
    while (sent.size() < 1'000'000) sent += ",1";
    sent += ']';
    wire::RequestReader reader;
    reader.append(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(sent.size()) + "\r\n\r\n" + sent);
    RequestIds ids;
    Exchange exchange{api_, ids};
    ASSERT_EQ(reader.next(), wire::RequestReader::Status::head);
    exchange.open(reader.request(), "test");
    ASSERT_EQ(reader.next(), wire::RequestReader::Status::request);
    exchange.run();
    EXPECT_EQ(exchange.response().status(), 200);
    const auto in_use = [] {
        const auto info = ::mallinfo2();
        return info.uordblks + info.hblkhd;
    };
    const std::size_t before = in_use();
    exchange.close();
    if (before == 0) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
    EXPECT_LT(in_use() + 5'000'000, before) << "the connection may idle for a minute";
}

TEST_F(ApiTest, WhatARefusalRepeatsIsBounded) {
    api_.post(
        "/list", [](const std::vector<int>& list) { return list.size(); },
        body<std::vector<int>>().max_length(3));
    api_.post(
        "/text", [](const std::string& text) { return text; }, body<std::string>().max_length(3));
    api_.post("/member", [](int a) { return a; }, query_or_body<int>("a"));
    std::string list = "[1";
    while (list.size() < 200'000) list += ",1";
    list += ']';
    const auto refused = [&](const std::string& target, const std::string& sent) {
        const auto reply = client().post(target, sent);
        EXPECT_EQ(reply.status(), 422) << target;
        EXPECT_LT(reply.body().size(), 20'000U) << target;
        EXPECT_THAT(reply.body(), HasSubstr("too large to repeat")) << target;
    };
    refused("/list", list);
    refused("/member", list);
    refused("/text", '"' + std::string(200'000, 'x') + '"');
}

TEST_F(ApiTest, BodiesAreReadIntoStructs) {
    api_.post("/item", [](const Item& item) { return item; }, body<Item>());
    EXPECT_EQ(post("/item", R"({"name":"a","quantity":"7","inner":{"price":2}})"),
              R"(200 {"name":"a","quantity":7,"inner":{"price":2.0}})");
    EXPECT_EQ(
        post("/item"),
        R"(422 {"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]})");
    EXPECT_EQ(
        post("/item", "{}"),
        R"(422 {"detail":[{"type":"missing","loc":["body","name"],"msg":"Field required","input":{}}]})");
    EXPECT_THAT(
        post("/item", R"({"name":1,"inner":{"price":"y"}})"),
        testing::AllOf(HasSubstr(R"(["body","name"])"), HasSubstr(R"(["body","inner","price"])")));
    EXPECT_THAT(
        post("/item", "nope"),
        HasSubstr(
            R"("type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{})"));
    EXPECT_EQ(post("/item", "{\"name\":\"\xff\"}"),
              R"(400 {"detail":"There was an error parsing the body"})");
    const auto text = client().request("POST", "/item",
                                       {.body = R"({"name":"a"})", .content_type = "text/plain"});
    EXPECT_THAT(shown(text), HasSubstr("model_attributes_type"));
}

TEST_F(ApiTest, AParameterMayBeInTheQueryOrInTheBody) {
    api_.post(
        "/int/", [](const cpp_int& integer) { return integer; }, query_or_body<cpp_int>("integer"));
    EXPECT_EQ(post("/int/?integer=1", R"({"integer":2})"), "200 1");
    EXPECT_EQ(post("/int/", R"({"integer":2})"), "200 2");
    EXPECT_THAT(post("/int/"), HasSubstr(R"("loc":["query","integer"],"msg":"Field required")"));
    EXPECT_THAT(post("/int/", "{}"),
                HasSubstr(R"("loc":["body","integer"],"msg":"Field required")"));
    EXPECT_THAT(post("/int/", R"({"integer":"x"})"), HasSubstr(R"("loc":["body","integer"])"));
    EXPECT_THAT(post("/int/", "[1]"),
                HasSubstr(R"("type":"model_attributes_type","loc":["body"])"));
}

TEST_F(ApiTest, HandlersFailAsTheyLike) {
    api_.get("/http", []() -> int { throw HttpError(418, "teapot").header("Retry-After", "3"); });
    api_.get("/expected", []() -> std::expected<int, HttpError> {
        return std::unexpected{HttpError(409, "taken")};
    });
    api_.get("/error", []() -> Result<int> { return fail(Errc::not_found, "no such thing"); });
    api_.get("/broker", []() -> int { throw LovageError{{Errc::unavailable, "broker away"}}; });
    api_.get("/bug", []() -> int { throw std::logic_error{"secret"}; });
    api_.get("/void", [] {});
    api_.get("/made", [] { return Response::text("hi", 201); });
    EXPECT_EQ(get("/http"), R"(418 {"detail":"teapot"})");
    EXPECT_EQ(client().get("/http").response.header("retry-after"), "3");
    EXPECT_EQ(get("/expected"), R"(409 {"detail":"taken"})");
    EXPECT_EQ(get("/error"), R"(404 {"detail":"no such thing"})");
    EXPECT_EQ(get("/broker"), R"(503 {"detail":"broker away"})");
    EXPECT_EQ(get("/bug"), R"(500 {"detail":"Internal Server Error"})");
    EXPECT_EQ(get("/void"), "200 null");
    EXPECT_EQ(get("/made"), "201 hi");
    EXPECT_THAT(
        registry_.scrape(),
        HasSubstr(
            R"(starlette_exceptions_total{exception_type="std::logic_error",method="GET",path_template="/bug"} 1)"));
}

TEST_F(ApiTest, AFailureIsLoggedOnceWithItsReason) {
    api_.get("/thrown",
             []() -> int { throw HttpError(503, "later").cause("/var/broker.sqlite3 is full"); });
    api_.get("/made", [] { return Response::error(500, "boom"); });
    api_.get("/fine", [] { return 1; });
    const auto logged = [this](const char* path) {
        log::flush();  // what earlier requests left
        testing::internal::CaptureStderr();
        log::configure({.level = log::Level::error, .format = log::Format::json});
        (void)client().get(path);
        log::flush();
        return testing::internal::GetCapturedStderr();
    };
    const std::string thrown = logged("/thrown");
    EXPECT_THAT(thrown, HasSubstr("GET /thrown failed with 503: /var/broker.sqlite3 is full\""));
    EXPECT_THAT(thrown, HasSubstr("\"http.response.status_code\":503,"));
    EXPECT_EQ(std::ranges::count(thrown, '\n'), 1);
    EXPECT_EQ(get("/thrown"), R"(503 {"detail":"later"})");
    const std::string made = logged("/made");
    EXPECT_THAT(made, HasSubstr("GET /made failed with 500: boom\""));
    EXPECT_EQ(std::ranges::count(made, '\n'), 1);
    EXPECT_EQ(logged("/fine"), "");
    log::configure({});
}

TEST_F(ApiTest, MethodsThatAreNotThere) {
    api_.get("/p/{n}", [](int n) { return n; }, path<int>("n"));
    EXPECT_EQ(get("/nope"), R"(404 {"detail":"Not Found"})");
    const auto refused = client().request("DELETE", "/p/1", {});
    EXPECT_EQ(shown(refused), R"(405 {"detail":"Method Not Allowed"})");
    EXPECT_EQ(refused.response.header("allow"), "GET, HEAD");
    EXPECT_EQ(client().request("HEAD", "/p/1", {}).status(), 200);
    const auto options = client().request("OPTIONS", "/p/1", {});
    EXPECT_EQ(options.status(), 204);
    EXPECT_EQ(options.response.header("allow"), "GET, HEAD, OPTIONS");
    EXPECT_EQ(client().request("BREW", "/p/1", {}).status(), 405);
}

TEST_F(ApiTest, BadRegistrationsAreRefused) {
    api_.get("/a/{x}", [](int x) { return x; }, path<int>("x"));
    EXPECT_THROW(
        api_.get("/a/{y}", [](int y) { return y; }, path<int>("y")), std::invalid_argument);
    EXPECT_THROW(api_.get("/b/{x}", [] {}), std::invalid_argument) << "nobody takes x";
    EXPECT_THROW(api_.get("/c", [](int y) { return y; }, path<int>("y")), std::invalid_argument);
    EXPECT_THROW(api_.cors({.allow_origins = {"https://a/b"}}), std::invalid_argument);
}

TEST_F(ApiTest, RequestIdsComeBackOrAreMade) {
    EXPECT_EQ(client()
                  .request("GET", "/health/live", {.headers = {{"X-Request-ID", "abc-1"}}})
                  .request_id,
              "abc-1");
    const auto made =
        client().request("GET", "/health/live", {.headers = {{"X-Request-ID", "a b"}}}).request_id;
    EXPECT_EQ(made.size(), 32U);
    EXPECT_NE(made, client().get("/health/live").request_id);
}

TEST_F(ApiTest, ReadinessNamesWhatIsMissing) {
    bool up = true;
    api_.ready_check("broker", [&up]() {
        return up
               ? []() -> Awaitable<Result<void>> { co_return Result<void>{}; }()
               : []() -> Awaitable<Result<void>> { co_return fail(Errc::disconnected, "gone"); }();
    });
    EXPECT_EQ(get("/health/live"), R"(200 {"status":"ok"})");
    EXPECT_EQ(get("/health/ready"), R"(200 {"status":"ok","checks":{"broker":"ok"}})");
    up = false;
    EXPECT_EQ(get("/health/ready"),
              R"(503 {"status":"unavailable","checks":{"broker":"disconnected: gone"}})");
    api_.set_stopping();
    EXPECT_EQ(get("/health/ready"), R"(503 {"status":"stopping"})");
}

TEST_F(ApiTest, RequestsAreCountedByTemplate) {
    api_.get("/p/{n}", [](int n) { return n; }, path<int>("n"));
    (void)get("/p/1");
    (void)get("/p/2");
    (void)get("/p/x");
    (void)get("/made/up/1");
    (void)get("/made/up/2");
    const auto text = registry_.scrape();
    EXPECT_THAT(text,
                HasSubstr(R"(starlette_requests_total{method="GET",path_template="/p/{n}"} 3)"));
    EXPECT_THAT(
        text,
        HasSubstr(
            R"(starlette_responses_total{method="GET",path_template="/p/{n}",status_code="200"} 2)"));
    EXPECT_THAT(
        text,
        HasSubstr(
            R"(starlette_responses_total{method="GET",path_template="/p/{n}",status_code="422"} 1)"));
    EXPECT_THAT(
        text,
        HasSubstr(
            R"x(starlette_responses_total{method="GET",path_template="(unmatched)",status_code="404"} 2)x"));
    EXPECT_THAT(
        text,
        HasSubstr(R"(starlette_requests_in_progress{method="GET",path_template="/p/{n}"} 0)"));
    EXPECT_THAT(
        text,
        HasSubstr(
            R"(starlette_requests_processing_time_seconds_count{method="GET",path_template="/p/{n}"} 3)"));
    EXPECT_THAT(text, testing::Not(HasSubstr("/made/up")));
}

TEST_F(ApiTest, OtherOriginsAreLetInByName) {
    api_.cors({.allow_origins = {"https://app.example"}});
    api_.get("/x", [] { return 1; });
    const auto from = [&](std::string_view method, const char* origin,
                          TestClient::Headers more = {}) {
        more.emplace_back("Origin", origin);
        return client().request(method, "/x", {.headers = std::move(more)}).response;
    };
    EXPECT_EQ(from("GET", "https://app.example").header("access-control-allow-origin"),
              "https://app.example");
    EXPECT_EQ(from("GET", "https://app.example").header("access-control-allow-credentials"),
              "true");
    EXPECT_EQ(from("GET", "https://evil.example").header("access-control-allow-origin"),
              std::nullopt);
    EXPECT_EQ(from("GET", "https://evil.example").header("vary"), "Origin");
    const auto preflight = from("OPTIONS", "https://app.example",
                                {{"Access-Control-Request-Method", "POST"},
                                 {"Access-Control-Request-Headers", "x-a, x-b"}});
    EXPECT_EQ(preflight.status(), 204);
    EXPECT_EQ(preflight.header("access-control-allow-headers"), "x-a, x-b");
    EXPECT_EQ(preflight.header("access-control-allow-origin"), "https://app.example");
}

TEST_F(ApiTest, ARequestMayBeTakenWhole) {
    api_.get(
        "/agent",
        [](RequestRef request, const std::string& name) {
            return name + std::string{request->header("x-agent").value_or("nobody")};
        },
        query<std::string>("name").min_length(2) = "me");
    EXPECT_EQ(get("/agent"), R"(200 "menobody")");
    EXPECT_THAT(get("/agent?name=%C3%A9"), HasSubstr(R"("type":"string_too_short")"));
}

}  // namespace
}  // namespace lovage::http
