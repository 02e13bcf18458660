#include <lovage/http/exchange.hpp>

#include <algorithm>
#include <exception>
#include <typeinfo>

#include <fmt/format.h>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/core/demangle.hpp>

#include <lovage/http/api_impl.hpp>
#include <lovage/http/wire/characters.hpp>
#include <lovage/http/wire/response_writer.hpp>
#include <lovage/runtime/log.hpp>

namespace lovage::http {

namespace asio = boost::asio;

namespace {

/// Paths that monitoring asks for all the time: their access log is for debugging only.
bool is_probe(std::string_view path) {
    return path.starts_with("/health/") || path == "/metrics";
}

std::string exception_name(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& problem) {
        return boost::core::demangle(typeid(problem).name());
    } catch (...) {
        return "unknown";
    }
}

std::string exception_text(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& problem) {
        return problem.what();
    } catch (...) {
        return "not derived from std::exception";
    }
}

/// Why a reply says it failed: the detail of `{"detail": …}`, else all of the body.
std::string detail_of(const Response& response) {
    const auto body = parse_json(response.body());
    const Json* detail = body && body->is_object() ? body->find("detail") : nullptr;
    if (detail == nullptr) return response.body();
    return detail->is_string() ? detail->as_string() : to_json_text(*detail);
}

}  // namespace

Exchange::~Exchange() {
    if (open_) metrics_->abandoned();
}

void Exchange::open(Request& request, std::string_view client) {
    started_ = Clock::now();
    request_ = &request;
    client_ = client;
    route_ = nullptr;
    kind_ = Handler::Kind::immediate;
    response_.reset();
    failure_logged_ = false;

    const auto id = request.header("x-request-id");
    request.set_id(id && RequestIds::usable(*id) ? *id : ids_.next());

    auto& api = *api_.impl_;
    auto match = api.router.find(request.method(), request.path(), path_values_);
    if (match.outcome == Router::Outcome::found) {
        const auto index = static_cast<std::size_t>(match.route);
        route_ = api.routes[index].get();
        kind_ = route_->handler_.kind;
        auto& series = api.series[index];
        metrics_ = request.method() == Method::head ? &series.head : &series.own;
        response_.set_status(route_->status_);
        input_.emplace(request, path_values_);
    } else {
        metrics_ = &api.unmatched[static_cast<std::size_t>(request.method())];
        if (request.method() == Method::options) {
            answer_options();
        } else if (match.outcome == Router::Outcome::other_slash) {
            const auto path = request.path();
            auto other = path.ends_with('/') ? std::string{path.substr(0, path.size() - 1)}
                                             : std::string{path} + '/';
            if (!request.query().empty()) other.append("?").append(request.query());
            response_ = Response::empty(307);
            // FastAPI differs: it sends an absolute URL made from the Host field, which any client
            // can set.
            response_.set_header("Location", other);
        } else {
            answer_without_route(std::move(match.allow));
        }
    }
    metrics_->started();
    open_ = true;
}

void Exchange::answer_without_route(std::string allow) {
    if (allow.empty()) {
        response_ = Response::error(404, "Not Found");
        return;
    }
    response_ = Response::error(405, "Method Not Allowed");
    response_.set_header("Allow", allow);
}

void Exchange::answer_options() {
    const auto& router = api_.impl_->router;
    auto allow = request_->path() == "*" ? std::string{"GET, HEAD, POST, PUT, PATCH, DELETE"}
                                         : router.allowed_methods(request_->path());
    if (allow.empty()) return answer_without_route({});
    if (answer_preflight()) return;
    response_ = Response::empty(204);
    response_.set_header("Allow", allow + ", OPTIONS");
}

/// A browser asks whether a page of another origin may send the request it has in mind.
bool Exchange::answer_preflight() {
    const auto method = request_->header("access-control-request-method");
    if (!api_.impl_->cors || !method || !request_->header("origin")) return false;
    response_ = Response::empty(204);
    response_.set_header("Access-Control-Allow-Methods",
                         "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response_.set_header("Access-Control-Max-Age", "600");
    if (const auto headers = request_->header("access-control-request-headers")) {
        const bool plain = std::ranges::all_of(
            *headers, [](char c) { return c == ',' || c == ' ' || wire::is_token_character(c); });
        if (plain) response_.set_header("Access-Control-Allow-Headers", *headers);
    }
    return true;
}

void Exchange::add_cors_headers() {
    const auto& cors = api_.impl_->cors;
    const auto origin = request_->header("origin");
    if (!cors || !origin) return;
    // FastAPI differs: it lets "*" go together with credentials, which hands every site the user's
    // session.
    const bool everybody = std::ranges::find(cors->allow_origins, "*") != cors->allow_origins.end();
    const bool listed =
        std::ranges::find(cors->allow_origins, *origin) != cors->allow_origins.end();
    response_.set_header("Vary", "Origin");
    if (!everybody && !listed) return;
    response_.set_header("Access-Control-Allow-Origin", listed ? *origin : std::string_view{"*"});
    response_.set_header("Access-Control-Expose-Headers", "Location, Retry-After, X-Request-ID");
    if (listed && cors->allow_credentials) {
        response_.set_header("Access-Control-Allow-Credentials", "true");
    }
}

std::optional<std::size_t> Exchange::body_limit() const noexcept {
    return route_ != nullptr ? route_->body_limit_ : std::nullopt;
}

void Exchange::run() noexcept {
    if (route_ == nullptr) return;
    try {
        route_->handler_.call(*input_, response_);
    } catch (...) {
        answer_exception(std::current_exception());
    }
}

Awaitable<void> Exchange::run_async() {
    std::exception_ptr error;
    try {
        co_await route_->handler_.start(&*input_, &response_);
    } catch (...) {
        error = std::current_exception();
    }
    if (!error) co_return;
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) std::rethrow_exception(error);
    answer_exception(error);
}

void Exchange::answer_exception(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const HttpError& problem) {
        response_ = problem.response();
        if (problem.status() >= 500 && !problem.cause().empty()) {
            log_failure(problem.cause(), exception_name(error));
        }
        return;
    } catch (const LovageError& problem) {
        response_ = error_response(problem.error());
    } catch (...) {
        response_ = Response::error(500, "Internal Server Error");
    }
    if (response_.status() < 500) return;
    api_.impl_->metrics.exception(request_->method(), route_->path_.text(), exception_name(error));
    log_failure(exception_text(error), exception_name(error));
}

/// `type`: of the exception, or the reply's reason phrase.
void Exchange::log_failure(std::string_view reason, std::string_view type) {
    failure_logged_ = true;
    const auto status = fmt::format_int{response_.status()};
    const std::string_view method = to_string(request_->method());
    log::write(
        log::Level::error, "http",
        fmt::format("{} {} failed with {}: {}", method, request_->path(), status.c_str(), reason),
        {{"http.request.method", method},
         {"url.path", request_->path()},
         {"http.response.status_code", {status.data(), status.size()}, true},
         {"http.request.id", request_->id()},
         {"error.type", type}});
}

void Exchange::fail(int status, std::string_view detail) {
    response_ = Response::error(status, detail);
}

void Exchange::close() {
    open_ = false;
    // The connection may idle for long; a parsed body is many times the size of its text.
    input_.reset();
    if (!wire::may_have_body(response_.status())) response_.set_body({}, {});
    add_cors_headers();
    const auto duration = Clock::now() - started_;
    metrics_->finished(response_.status(), std::chrono::duration<double>(duration).count());
    const bool probe = is_probe(request_->path());
    if (route_ != nullptr && response_.status() >= 500 && !failure_logged_ && !probe) {
        log_failure(detail_of(response_), reason_phrase(response_.status()));
    }
    const auto level = probe ? log::Level::debug : log::Level::info;
    if (log::enabled(level)) write_access_log(duration);
}

void Exchange::write_access_log(std::chrono::nanoseconds duration) const {
    const auto milliseconds = std::chrono::duration<double, std::milli>(duration).count();
    const auto status = fmt::format_int{response_.status()};
    const auto nanoseconds = fmt::format_int{duration.count()};
    const std::string_view method = to_string(request_->method());
    log::write(
        is_probe(request_->path()) ? log::Level::debug : log::Level::info, "http",
        fmt::format("{} {} {} {:.1f} ms", method, request_->target(), status.c_str(), milliseconds),
        {{"http.request.method", method},
         {"url.path", request_->path()},
         {"http.response.status_code", {status.data(), status.size()}, true},
         {"event.duration", {nanoseconds.data(), nanoseconds.size()}, true},
         {"http.request.id", request_->id()},
         {"client.address", client_}});
}

}  // namespace lovage::http
