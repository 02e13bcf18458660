#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/convert.hpp>
#include <lovage/core/json.hpp>
#include <lovage/http/request.hpp>
#include <lovage/http/response.hpp>
#include <lovage/http/wire/percent.hpp>

namespace lovage::http {

/// Where a parameter comes from.
enum class Source : std::uint8_t {
    path,
    query,
    header,
    body,           ///< The whole body, as JSON.
    query_or_body,  ///< The query or, when it is not there, a member of the body.
};
/// The first element of a validation error's `loc`: "path", "query", "header" or "body".
[[nodiscard]] std::string_view to_string(Source source) noexcept;

/// What the parameters of one request are read from, decoded once, and everything that was wrong
/// with them.
///
/// Errors are kept in FastAPI's shape (pydantic v2's types and messages) and answered all at once.
class Input {
public:
    /// Lifetime: `request` and `path_values` must outlive the Input.
    Input(const Request& request, std::span<const std::string> path_values)
        : request_{request}, path_values_{path_values} {}

    [[nodiscard]] const Request& request() const noexcept { return request_; }

    /// Lifetime: until the Input's, which keeps the body.
    class Found {
    public:
        Found(Json value, Source where) : source{where}, made_{std::move(value)} {}
        Found(const Json* in_body, Source where) : source{where}, in_body_{in_body} {}
        [[nodiscard]] const Json& value() const noexcept {
            return in_body_ != nullptr ? *in_body_ : made_;
        }
        Source source;  ///< Where it was: never query_or_body.

    private:
        Json made_;
        const Json* in_body_ = nullptr;
    };
    /// A parameter's value as JSON: text for everything but bodies, an array of text when `list`. A
    /// name given several times counts with its last value, as in FastAPI.
    [[nodiscard]] std::optional<Found> find(Source source, std::string_view name, int path_index,
                                            bool list);

    /// Reports that a required parameter is not there.
    void report_missing(Source source, std::string_view name);
    /// Reports issues of a value found at `source`/`name`.
    void report(Source source, std::string_view name, std::vector<JsonIssue> issues);

    /// A 4xx answers the request: its parameters are of no use.
    [[nodiscard]] bool failed() const noexcept { return !issues_.empty() || bad_request_; }
    /// 422 `{"detail": [{"type", "loc", "msg", "input", "ctx"?}, …]}`, or 400 for a body that is no
    /// text.
    [[nodiscard]] Response error_response() const;

private:
    [[nodiscard]] const Json* body();
    [[nodiscard]] const wire::QueryPairs& query();
    [[nodiscard]] std::optional<Json> find_in_query(std::string_view name, bool list);
    [[nodiscard]] const Json* find_in_body(std::string_view name);
    void parse_body();
    void report_invalid_json(const Error& error);

    const Request& request_;
    std::span<const std::string> path_values_;
    std::optional<wire::QueryPairs> query_;
    bool body_parsed_ = false;
    bool body_reported_ = false;
    bool bad_request_ = false;
    std::optional<Json> body_;
    std::vector<JsonIssue> issues_;  ///< `loc` from the source down
};

/// `{"type", "loc", "msg", "input", "ctx"?}`
[[nodiscard]] Json validation_error(const JsonIssue& issue);

}  // namespace lovage::http
