#include <lovage/http/api.hpp>

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include <lovage/http/api_impl.hpp>
#include <lovage/http/docs_page.hpp>

namespace lovage::http {

namespace detail {

void set_json(Response& response, const Json& value) {
    response.set_body(to_json_text(value, JsonStyle::compact), "application/json");
}

}  // namespace detail

namespace {

/// All paths without a route count under one label: a client must not be able to make up series.
constexpr const char* kUnmatched = "(unmatched)";

/// A handler that answers from memory.
Handler page_handler(std::function<void(Response&)> answer) {
    return {.kind = Handler::Kind::immediate,
            .call = [answer = std::move(answer)](Input&, Response& out) { answer(out); }};
}

}  // namespace

Response error_response(const Error& error) {
    const auto status = [&] {
        switch (error.code) {
            case Errc::not_found:
                return 404;
            case Errc::conflict:
            case Errc::already_exists:
                return 409;
            case Errc::too_large:
                return 413;
            case Errc::disconnected:
            case Errc::unavailable:
                return 503;
            case Errc::deadline_exceeded:
                return 504;
            default:
                return 500;
        }
    }();
    auto response = Response::error(status, error.detail);
    if (status == 503) response.set_header("Retry-After", "1");
    return response;
}

Route& Route::summary(std::string text) {
    summary_ = std::move(text);
    return *this;
}
Route& Route::description(std::string text) {
    description_ = std::move(text);
    return *this;
}
Route& Route::tag(std::string text) {
    tags_.push_back(std::move(text));
    return *this;
}
Route& Route::name(std::string text) {
    name_ = std::move(text);
    return *this;
}
Route& Route::deprecated() {
    deprecated_ = true;
    return *this;
}
Route& Route::hidden() {
    hidden_ = true;
    return *this;
}
Route& Route::status(int code) {
    LOVAGE_ASSERT(code >= 200 && code <= 299);
    status_ = code;
    return *this;
}
Route& Route::responds(int code, std::string text) {
    responses_[code] = std::move(text);
    return *this;
}
Route& Route::body_limit(std::size_t bytes) {
    body_limit_ = bytes;
    return *this;
}
Route& Route::on_loop() {
    if (handler_.kind == Handler::Kind::blocking) handler_.kind = Handler::Kind::immediate;
    return *this;
}

Api::Api(ApiInfo info, metrics::Registry& registry)
    : impl_{std::make_unique<Impl>(std::move(info), registry)} {}
Api::~Api() = default;

const ApiInfo& Api::info() const noexcept {
    return impl_->info;
}
bool Api::frozen() const noexcept {
    return impl_->frozen;
}
const std::string& Api::openapi_text() const noexcept {
    return impl_->openapi;
}
void Api::set_stopping() noexcept {
    impl_->stopping = true;
}

Route& Api::new_route(Method method, std::string path) {
    LOVAGE_ASSERT(!impl_->frozen);
    PathTemplate path_template{std::move(path)};
    impl_->router.add(method, path_template, static_cast<int>(impl_->routes.size()));
    impl_->routes.push_back(std::unique_ptr<Route>{new Route{method, std::move(path_template)}});
    return *impl_->routes.back();
}

void Api::check_path(const Route& route, const std::vector<std::string>& declared) {
    for (const auto& name : declared) {
        if (name.empty() || route.path_.parameter_index(name) >= 0) continue;
        throw std::invalid_argument{
            fmt::format("{} has no parameter '{{{}}}'", route.path_.text(), name)};
    }
    for (const auto& segment : route.path_.segments()) {
        if (!segment.parameter || std::ranges::find(declared, segment.text) != declared.end())
            continue;
        throw std::invalid_argument{
            fmt::format("nobody takes '{{{}}}' of {}: declare path<T>(\"{}\")", segment.text,
                        route.path_.text(), segment.text)};
    }
}

Route& Api::add_raw(Method method, std::string path, Handler handler) {
    auto& route = new_route(method, std::move(path));
    route.handler_ = std::move(handler);
    route.reply_schema_ = [](SchemaDefinitions&) { return Json::object(); };
    return route.hidden();
}

void Api::ready_check(std::string name, ReadyCheck check) {
    LOVAGE_ASSERT(!impl_->frozen);
    impl_->checks.push_back({std::move(name), std::move(check)});
}

void Api::cors(CorsOptions options) {
    for (const auto& origin : options.allow_origins) {
        const auto host = origin.find("://");
        const bool plain = origin == "*" || (host != std::string::npos && host > 0 &&
                                             origin.find('/', host + 3) == std::string::npos);
        if (plain) continue;
        throw std::invalid_argument{
            fmt::format("'{}' is no origin: write scheme://host[:port], or *", origin)};
    }
    if (!options.allow_origins.empty()) impl_->cors = std::move(options);
}

void Api::freeze() {
    if (impl_->frozen) return;
    add_builtin_routes();
    impl_->openapi = to_json_text(make_openapi(*this), JsonStyle::compact);
    for (const auto& route : impl_->routes) {
        Impl::Series series{impl_->metrics.route(route->method_, route->path_.text()), {}};
        if (route->method_ == Method::get) {
            series.head = impl_->metrics.route(Method::head, route->path_.text());
        }
        impl_->series.push_back(std::move(series));
    }
    for (std::size_t method = 0; method < impl_->unmatched.size(); ++method) {
        impl_->unmatched[method] = impl_->metrics.route(static_cast<Method>(method), kUnmatched);
    }
    impl_->frozen = true;
}

void Api::add_builtin_routes() {
    auto* impl = impl_.get();
    const auto add_unless_taken = [this, impl](const char* path, Handler handler) {
        if (impl->router.allowed_methods(path).empty())
            add_raw(Method::get, path, std::move(handler));
    };
    add_unless_taken("/health/live", page_handler([](Response& out) {
                         out.set_body(R"({"status":"ok"})", "application/json");
                     }));
    add_unless_taken("/health/ready",
                     {.kind = Handler::Kind::coroutine,
                      .start = [impl](Input*, Response* out) { return impl->answer_ready(out); }});
    // Reads /proc and takes locks: not on the loop.
    add_unless_taken("/metrics",
                     {.kind = Handler::Kind::blocking, .call = [impl](Input&, Response& out) {
                          out.set_body(impl->registry.scrape(),
                                       "text/plain; version=0.0.4; charset=utf-8");
                      }});
    add_unless_taken("/openapi.json", page_handler([impl](Response& out) {
                         out.set_body(impl->openapi, "application/json");
                     }));
    add_unless_taken("/docs", page_handler(set_docs_page));
    add_unless_taken("/docs/docs.css", page_handler(set_docs_style));
    add_unless_taken("/docs/docs.js", page_handler(set_docs_script));
}

Awaitable<void> Api::Impl::answer_ready(Response* out) {
    if (stopping) {
        *out = Response::json(Json::object({{"status", "stopping"}}), 503);
        co_return;
    }
    bool ready = true;
    Json::Object results;
    for (const auto& [name, check] : checks) {
        const auto outcome = co_await check();
        if (!outcome) ready = false;
        results.emplace_back(name, outcome ? Json{"ok"} : Json{outcome.error().message()});
    }
    *out = Response::json(Json::object({{"status", ready ? "ok" : "unavailable"},
                                        {"checks", Json{std::move(results)}}}),
                          ready ? 200 : 503);
}

}  // namespace lovage::http
