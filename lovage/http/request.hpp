#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/trace_context.hpp>

namespace lovage::http {

namespace wire {
class RequestReader;
}

/// The methods routes can be registered for. `other` is any method we have no use for.
enum class Method : std::uint8_t { get, head, post, put, patch, delete_, options, other };

/// "GET", "POST", …; "OTHER" for Method::other, so that it may be a metrics label.
[[nodiscard]] std::string_view to_string(Method method) noexcept;
/// The method of that name (methods are case-sensitive), else Method::other.
[[nodiscard]] Method parse_method(std::string_view text) noexcept;

/// One header field; views into the request.
struct Field {
    std::string_view name;
    std::string_view value;  ///< Without white space around it.
};

/// A request as it was read. Views and references into it are valid until its response is written.
///
/// Only a RequestReader makes one, from bytes: tests included, so that no request exists that could
/// not have come over a connection.
class Request {
public:
    Request() = default;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    [[nodiscard]] Method method() const noexcept { return method_; }
    /// The path as sent, still percent-encoded; begins with '/' (or is "*" for OPTIONS).
    [[nodiscard]] std::string_view path() const noexcept { return path_; }
    /// What follows the first '?', still percent-encoded; empty when there is none.
    [[nodiscard]] std::string_view query() const noexcept { return query_; }
    /// Path and query as sent.
    [[nodiscard]] std::string_view target() const noexcept { return target_; }
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    [[nodiscard]] int minor_version() const noexcept { return minor_version_; }
    [[nodiscard]] std::span<const Field> fields() const noexcept { return fields_; }
    /// The first field of that name, in any case.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
    [[nodiscard]] std::string_view body() const noexcept { return body_; }
    /// The trace the request belongs to, to be passed on: traceparent and tracestate. Empty when it
    /// has no traceparent, one that is not valid, or two.
    [[nodiscard]] TraceContext trace() const;
    /// May the connection carry another request after this one, as far as the client is concerned?
    [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
    /// The client waits for "100 Continue" before it sends the body.
    [[nodiscard]] bool expects_continue() const noexcept { return expects_continue_; }

    /// The id of this request: the client's X-Request-ID when it sent a usable one, else a new one.
    /// Set by the server before the handler runs.
    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    void set_id(std::string_view id) { id_ = id; }

private:
    friend class wire::RequestReader;

    Method method_ = Method::other;
    int minor_version_ = 1;
    bool keep_alive_ = false;
    bool expects_continue_ = false;
    std::string head_;  ///< The bytes the views below point into.
    std::string_view target_;
    std::string_view path_;
    std::string_view query_;
    std::vector<Field> fields_;
    std::string body_;
    std::string id_;
};

/// Equal but for the case of ASCII letters, as field names and most field values are compared.
[[nodiscard]] bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept;

}  // namespace lovage::http
