#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/json.hpp>

namespace lovage::http {

/// A reply. The server adds Date, Content-Length, Connection, X-Request-ID and the security
/// headers.
class Response {
public:
    Response() = default;

    /// `value` as JSON, written as FastAPI does (compact, UTF-8).
    [[nodiscard]] static Response json(const Json& value, int status = 200);
    /// `{"detail": detail}`: FastAPI's shape of every error.
    [[nodiscard]] static Response error(int status, const Json& detail);
    [[nodiscard]] static Response text(std::string body, int status = 200);
    /// No body and no content type.
    [[nodiscard]] static Response empty(int status);

    [[nodiscard]] int status() const noexcept { return status_; }
    /// Throws std::invalid_argument for one that is not 200–599.
    Response& set_status(int status);

    [[nodiscard]] const std::string& body() const noexcept { return body_; }
    /// `content_type` without parameters or with them, e.g. "text/html; charset=utf-8"; empty for
    /// none.
    Response& set_body(std::string body, std::string_view content_type);
    [[nodiscard]] const std::string& content_type() const noexcept { return content_type_; }

    /// Sets a header, replacing one of that name.
    /// Throws std::invalid_argument for a name that is no token, a value with control characters
    /// (so nobody can smuggle lines into the head) and the headers only the server writes.
    Response& set_header(std::string_view name, std::string_view value);
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
    using Headers = std::vector<std::pair<std::string, std::string>>;
    [[nodiscard]] const Headers& headers() const noexcept { return headers_; }

    /// Back to an empty 200, keeping buffers for the next use.
    void reset() noexcept;

private:
    int status_ = 200;
    std::string content_type_;
    Headers headers_;
    std::string body_;
};

/// "OK", "Not Found", …; "Unknown" for a status without a name.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

/// An error a handler throws to answer with `{"detail": …}`, like FastAPI's HTTPException.
class HttpError : public std::runtime_error {
public:
    /// Throws std::invalid_argument for a status that is not 400–599.
    HttpError(int status, Json detail);
    [[nodiscard]] int status() const noexcept { return status_; }
    [[nodiscard]] const Json& detail() const noexcept { return detail_; }
    /// Adds a header to the reply, e.g. Retry-After.
    HttpError& header(std::string_view name, std::string_view value);
    /// What the log says of a thrown 5xx in place of the detail; the client never sees it.
    HttpError& cause(std::string text);
    [[nodiscard]] const std::string& cause() const noexcept { return cause_; }
    [[nodiscard]] Response response() const;

private:
    int status_;
    Json detail_;
    Response::Headers headers_;
    std::string cause_;
};

}  // namespace lovage::http
