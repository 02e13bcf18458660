#include <lovage/http/wire/response_writer.hpp>

#include <gtest/gtest.h>

#include <stdexcept>

namespace lovage::http::wire {
namespace {

TEST(ResponseWriter, WritesTheHead) {
    auto response = Response::json(Json::object({{"a", 1}}), 202);
    response.set_header("Location", "/v1/tasks/1");
    std::string out;
    append_head(out, response, {.date = "Sun, 06 Nov 1994 08:49:37 GMT", .request_id = "r-1"});
    EXPECT_EQ(out,
              "HTTP/1.1 202 Accepted\r\n"
              "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "content-type: application/json\r\n"
              "x-content-type-options: nosniff\r\n"
              "content-length: 7\r\n"
              "x-request-id: r-1\r\n"
              "Location: /v1/tasks/1\r\n\r\n");
}

TEST(ResponseWriter, AnnouncesNoLengthWhereThereCanBeNoBody) {
    std::string out;
    append_head(out, Response::empty(204), {.keep_alive = false});
    EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\ndate: \r\nconnection: close\r\n\r\n");
}

TEST(ResponseWriter, RendersDates) {
    DateText date;
    EXPECT_EQ(date.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(Response, LetsNobodySmuggleLinesIntoTheHead) {
    Response response;
    EXPECT_THROW(response.set_header("X", "a\r\nSet-Cookie: b"), std::invalid_argument);
    EXPECT_THROW(response.set_header("X\r\n", "a"), std::invalid_argument);
    EXPECT_THROW(response.set_header("", "a"), std::invalid_argument);
    EXPECT_THROW(response.set_header("content-length", "1"), std::invalid_argument);
    EXPECT_THROW(response.set_body("", "text/html\r\nX: y"), std::invalid_argument);
    EXPECT_THROW(HttpError(400, "x").header("X", "\n"), std::invalid_argument);
    EXPECT_THROW(HttpError(200, "x"), std::invalid_argument);
    EXPECT_THROW(response.set_status(600), std::invalid_argument);
}

TEST(Response, ReplacesAHeaderOfTheSameName) {
    Response response;
    response.set_header("Retry-After", "1").set_header("retry-after", "2");
    EXPECT_EQ(response.header("RETRY-AFTER"), "2");
    EXPECT_EQ(response.headers().size(), 1U);
}

}  // namespace
}  // namespace lovage::http::wire
