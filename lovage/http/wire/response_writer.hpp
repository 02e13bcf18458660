#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include <lovage/http/response.hpp>

namespace lovage::http::wire {

/// What the server adds to a reply.
struct Framing {
    bool head_only = false;  ///< The request was HEAD: Content-Length of the body, but no body.
    bool keep_alive = true;  ///< else "Connection: close"
    int minor_version = 1;   ///< of the request; a 1.0 client needs "keep-alive" spelled out
    std::string_view date;   ///< IMF-fixdate
    std::string_view request_id;
};

/// Replies of 204 and 304 have no body and announce none (RFC 9110, 8.6 and 15.4.5). A byte of one
/// would be read as the beginning of the next reply.
[[nodiscard]] bool may_have_body(int status) noexcept;

/// Appends status line, headers and the empty line of `response` to `out`.
void append_head(std::string& out, const Response& response, const Framing& framing);

/// The Date header's text (RFC 9110, 5.6.7: IMF-fixdate), rendered once a second. Not thread-safe.
class DateText {
public:
    [[nodiscard]] std::string_view at(std::time_t now);

private:
    std::time_t rendered_ = -1;
    std::string text_;
};

}  // namespace lovage::http::wire
