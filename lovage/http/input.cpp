#include <lovage/http/input.hpp>

#include <algorithm>
#include <charconv>

#include <lovage/core/issue_input.hpp>

namespace lovage::http {

namespace {

/// FastAPI reads a body as JSON when its content type says so: `application/json` or
/// `application/…+json`.
bool is_json(std::string_view content_type) {
    auto type = content_type.substr(0, content_type.find(';'));
    type = type.substr(0, type.find_last_not_of(" \t") + 1);
    const auto slash = type.find('/');
    if (slash == std::string_view::npos ||
        !equals_ignoring_case(type.substr(0, slash), "application")) {
        return false;
    }
    const auto subtype = type.substr(slash + 1);
    return equals_ignoring_case(subtype, "json") ||
           (subtype.size() > 5 &&
            equals_ignoring_case(subtype.substr(subtype.size() - 5), "+json"));
}

/// The offset in "JSON at byte 12: expected …".
std::int64_t offset_in(std::string_view detail) {
    const auto digit = detail.find_first_of("0123456789");
    if (digit == std::string_view::npos) return 0;
    std::int64_t offset = 0;
    std::from_chars(detail.data() + digit, detail.data() + detail.size(), offset);
    return offset;
}

JsonIssue::Step step(std::string_view name) {
    return std::string{name};
}

}  // namespace

std::string_view to_string(Source source) noexcept {
    switch (source) {
        case Source::path:
            return "path";
        case Source::header:
            return "header";
        case Source::body:
            return "body";
        case Source::query:
        case Source::query_or_body:
            break;
    }
    return "query";
}

std::optional<Input::Found> Input::find(Source source, std::string_view name, int path_index,
                                        bool list) {
    const auto in_query = [&]() -> std::optional<Found> {
        auto value = find_in_query(name, list);
        if (!value) return std::nullopt;
        return Found{*std::move(value), Source::query};
    };
    const auto in_body = [](const Json* value) {
        return value != nullptr ? std::optional{Found{value, Source::body}} : std::nullopt;
    };
    switch (source) {
        case Source::path:
            return Found{Json{path_values_[static_cast<std::size_t>(path_index)]}, source};
        case Source::header: {
            const auto value = request_.header(name);
            if (!value) return std::nullopt;
            return Found{Json{*value}, source};
        }
        case Source::query:
            return in_query();
        case Source::body:
            return in_body(body());
        case Source::query_or_body:
            break;
    }
    if (auto found = in_query()) return found;
    return in_body(find_in_body(name));
}

const wire::QueryPairs& Input::query() {
    if (!query_) query_ = wire::parse_query(request_.query());
    return *query_;
}

std::optional<Json> Input::find_in_query(std::string_view name, bool list) {
    Json::Array values;
    for (const auto& [key, value] : query()) {
        if (key == name) values.emplace_back(value);
    }
    if (values.empty()) return std::nullopt;
    if (list) return Json{std::move(values)};
    return std::move(values.back());
}

const Json* Input::find_in_body(std::string_view name) {
    const auto* value = body();
    if (value == nullptr) return nullptr;
    if (!value->is_object()) {
        if (!std::exchange(body_reported_, true)) {
            issues_.push_back({.loc = {step("body")},
                               .type = "model_attributes_type",
                               .msg = "Input should be a valid dictionary or object to extract "
                                      "fields from",
                               .input = issue_input(*value)});
        }
        return nullptr;
    }
    return value->find(name);
}

const Json* Input::body() {
    if (!std::exchange(body_parsed_, true)) parse_body();
    return body_ ? &*body_ : nullptr;
}

void Input::parse_body() {
    if (request_.body().empty()) return;
    const auto content_type = request_.header("content-type");
    if (!content_type || !is_json(*content_type)) {
        // Without the header a form on another site could send JSON unasked, so it is only text.
        body_ = Json{request_.body()};
        return;
    }
    auto parsed = parse_json(request_.body());
    if (parsed) {
        body_ = *std::move(parsed);
    } else {
        body_reported_ = true;
        report_invalid_json(parsed.error());
    }
}

void Input::report_invalid_json(const Error& error) {
    if (error.detail.contains("expected UTF-8")) {
        bad_request_ = true;
        return;
    }
    // FastAPI differs: the error is in this parser's words, not in those of Python's json module.
    issues_.push_back({.loc = {step("body"), offset_in(error.detail)},
                       .type = "json_invalid",
                       .msg = "JSON decode error",
                       .input = Json::object(),
                       .ctx = Json::object({{"error", error.detail}})});
}

void Input::report_missing(Source source, std::string_view name) {
    if (bad_request_) return;
    JsonIssue issue{.type = "missing", .msg = "Field required"};
    const bool in_body = source == Source::query_or_body && body_ && body_->is_object();
    if (source == Source::body || source == Source::query_or_body) {
        if (body_reported_) return;  // Missing only because the body could not be read.
    }
    issue.loc.push_back(step(in_body ? "body" : to_string(source)));
    if (source != Source::body) issue.loc.push_back(step(name));
    issues_.push_back(std::move(issue));
}

void Input::report(Source source, std::string_view name, std::vector<JsonIssue> issues) {
    const bool whole_body = source == Source::body && name.empty();
    for (auto& issue : issues) {
        std::vector<JsonIssue::Step> loc{step(to_string(source))};
        if (!whole_body) loc.push_back(step(name));
        std::ranges::move(issue.loc, std::back_inserter(loc));
        issue.loc = std::move(loc);
        issues_.push_back(std::move(issue));
    }
}

Json validation_error(const JsonIssue& issue) {
    Json::Array loc;
    for (const auto& part : issue.loc) {
        loc.push_back(std::visit([](const auto& value) { return Json{value}; }, part));
    }
    Json::Object error{{"type", issue.type},
                       {"loc", Json{std::move(loc)}},
                       {"msg", issue.msg},
                       {"input", issue.input}};
    if (issue.ctx) error.emplace_back("ctx", *issue.ctx);
    return Json{std::move(error)};
}

Response Input::error_response() const {
    if (bad_request_) return Response::error(400, "There was an error parsing the body");
    Json::Array errors;
    for (const auto& issue : issues_) errors.push_back(validation_error(issue));
    return Response::error(422, Json{std::move(errors)});
}

}  // namespace lovage::http
