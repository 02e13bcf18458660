#include <lovage/http/response.hpp>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <lovage/http/request.hpp>
#include <lovage/http/wire/characters.hpp>

namespace lovage::http {

namespace {

constexpr std::string_view kJsonType = "application/json";

/// Written by the server from what it knows; a second one would make the reply ambiguous.
constexpr std::array<std::string_view, 6> kServerHeaders{
    "Content-Length", "Transfer-Encoding", "Connection", "Date", "Content-Type", "X-Request-ID"};

void check_header(std::string_view name, std::string_view value) {
    if (name.empty() || !std::ranges::all_of(name, wire::is_token_character)) {
        throw std::invalid_argument{fmt::format("'{}' is no header name", name)};
    }
    if (!std::ranges::all_of(value, wire::is_field_character)) {
        throw std::invalid_argument{
            fmt::format("the value of header {} contains a control character", name)};
    }
    for (const auto reserved : kServerHeaders) {
        if (equals_ignoring_case(name, reserved)) {
            throw std::invalid_argument{fmt::format("header {} is the server's to write", name)};
        }
    }
}

}  // namespace

Response Response::json(const Json& value, int status) {
    Response response;
    response.set_status(status).set_body(to_json_text(value, JsonStyle::compact), kJsonType);
    return response;
}

Response Response::error(int status, const Json& detail) {
    return json(Json::object({{"detail", detail}}), status);
}

Response Response::text(std::string body, int status) {
    Response response;
    response.set_status(status).set_body(std::move(body), "text/plain; charset=utf-8");
    return response;
}

Response Response::empty(int status) {
    Response response;
    response.set_status(status);
    return response;
}

Response& Response::set_status(int status) {
    if (status < 200 || status > 599) {
        throw std::invalid_argument{fmt::format("{} is no status of a reply", status)};
    }
    status_ = status;
    return *this;
}

Response& Response::set_body(std::string body, std::string_view content_type) {
    if (!std::ranges::all_of(content_type, wire::is_field_character)) {
        throw std::invalid_argument{"the content type contains a control character"};
    }
    body_ = std::move(body);
    content_type_ = content_type;
    return *this;
}

Response& Response::set_header(std::string_view name, std::string_view value) {
    check_header(name, value);
    for (auto& [known, text] : headers_) {
        if (equals_ignoring_case(known, name)) {
            text = value;
            return *this;
        }
    }
    headers_.emplace_back(name, value);
    return *this;
}

std::optional<std::string_view> Response::header(std::string_view name) const noexcept {
    for (const auto& [known, value] : headers_) {
        if (equals_ignoring_case(known, name)) return value;
    }
    return std::nullopt;
}

void Response::reset() noexcept {
    status_ = 200;
    content_type_.clear();
    headers_.clear();
    body_.clear();
}

HttpError::HttpError(int status, Json detail)
    : std::runtime_error{fmt::format("{} {}: {}", status, reason_phrase(status),
                                     to_json_text(detail, JsonStyle::compact))},
      status_{status},
      detail_{std::move(detail)} {
    if (status < 400 || status > 599) {
        throw std::invalid_argument{fmt::format("{} is no status of an error", status)};
    }
}

HttpError& HttpError::header(std::string_view name, std::string_view value) {
    check_header(name, value);
    headers_.emplace_back(name, value);
    return *this;
}

HttpError& HttpError::cause(std::string text) {
    cause_ = std::move(text);
    return *this;
}

Response HttpError::response() const {
    auto response = Response::error(status_, detail_);
    for (const auto& [name, value] : headers_) response.set_header(name, value);
    return response;
}

std::string_view reason_phrase(int status) noexcept {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 206:
            return "Partial Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 303:
            return "See Other";
        case 304:
            return "Not Modified";
        case 307:
            return "Temporary Redirect";
        case 308:
            return "Permanent Redirect";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 410:
            return "Gone";
        case 411:
            return "Length Required";
        case 412:
            return "Precondition Failed";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Unknown";
    }
}

}  // namespace lovage::http
