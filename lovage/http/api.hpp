#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/http/handler.hpp>
#include <lovage/http/params.hpp>
#include <lovage/http/request.hpp>
#include <lovage/http/response.hpp>
#include <lovage/http/routing/path_template.hpp>
#include <lovage/runtime/metrics.hpp>

namespace lovage::http {

class Api;
class Exchange;

/// What the OpenAPI document says about the whole API.
struct ApiInfo {
    std::string title = "Lovage API";
    std::string version = "0.1.0";
    std::string description;  ///< Markdown.
};

/// Which other sites' pages may call the API from a browser.
struct CorsOptions {
    std::vector<std::string> allow_origins;  ///< Exact origins ("https://example.com"), or "*".
    bool allow_credentials = true;
};

/// Options of one route; each returns the route, for chaining. Valid as long as its Api.
class Route {
public:
    /// One line for the docs; made from the path when it is not given.
    Route& summary(std::string text);
    /// Markdown.
    Route& description(std::string text);
    Route& tag(std::string name);
    /// The name operationId begins with, as FastAPI takes it from the Python function; default:
    /// none.
    Route& name(std::string text);
    Route& deprecated();
    /// Leaves the route out of the OpenAPI document.
    Route& hidden();
    /// Status of a reply made from a returned value; 200 unless said otherwise.
    Route& status(int code);
    /// Documents another reply. `schema_of` e.g. Route::detail_schema().
    Route& responds(int status, std::string description);
    /// Largest body taken, instead of the server's default; 413 beyond.
    Route& body_limit(std::size_t bytes);
    /// Runs a plain function on the loop instead of the blocking pool. It must not wait for
    /// anything.
    Route& on_loop();

private:
    friend class Api;
    friend class Exchange;
    friend Json make_openapi(const Api& api);
    Route(Method method, PathTemplate path) : method_{method}, path_{std::move(path)} {}

    Method method_;
    PathTemplate path_;
    Handler handler_;
    std::vector<std::function<ParamDoc(SchemaDefinitions&)>> params_;
    std::function<Json(SchemaDefinitions&)> reply_schema_;
    std::string name_;
    std::string summary_;
    std::string description_;
    std::vector<std::string> tags_;
    std::map<int, std::string> responses_;
    std::optional<std::size_t> body_limit_;
    int status_ = 200;
    bool deprecated_ = false;
    bool hidden_ = false;
};

/// An HTTP API: routes with typed parameters, and what is made from them (OpenAPI document, docs
/// page, validation, metrics). It has no sockets: a Server serves it, a TestClient calls it.
///
///     http::Api api{{.title = "Project API"}};
///     api.get("/v1/tasks/{taskId}", task_status, http::path<http::Uuid>("taskId")).tag("tasks");
///
/// A handler is a function or a coroutine that takes the declared parameters' values in order
/// (optionally after a RequestRef) and returns what has a JSON form, nothing, a Response, or a
/// std::expected of these with an Error or HttpError. Plain functions run on a pool of threads, as
/// in FastAPI, so they may block and must be thread-safe; coroutines run on the server's loop and
/// must not block.
///
/// Register everything first; freeze() (the Server calls it) ends that. Not thread-safe.
class Api {
public:
    explicit Api(ApiInfo info = {}, metrics::Registry& registry = metrics::default_registry());
    ~Api();
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    // Registration. Throws std::invalid_argument for a path that is no template, a path parameter
    // that is not in it or not declared, and a route that is ambiguous with another.
    template <class F, class... Params>
    Route& get(std::string path, F handler, Params... params) {
        return add(Method::get, std::move(path), std::move(handler), std::move(params)...);
    }
    template <class F, class... Params>
    Route& post(std::string path, F handler, Params... params) {
        return add(Method::post, std::move(path), std::move(handler), std::move(params)...);
    }
    template <class F, class... Params>
    Route& put(std::string path, F handler, Params... params) {
        return add(Method::put, std::move(path), std::move(handler), std::move(params)...);
    }
    template <class F, class... Params>
    Route& patch(std::string path, F handler, Params... params) {
        return add(Method::patch, std::move(path), std::move(handler), std::move(params)...);
    }
    template <class F, class... Params>
    Route& delete_(std::string path, F handler, Params... params) {
        return add(Method::delete_, std::move(path), std::move(handler), std::move(params)...);
    }

    /// A condition of GET /health/ready, which answers 200 when all hold and 503 naming those that
    /// do not. The check runs on the server's loop at every request; bound its waiting yourself.
    using ReadyCheck = std::function<Awaitable<Result<void>>()>;
    void ready_check(std::string name, ReadyCheck check);

    /// Off unless set. Throws std::invalid_argument for an origin that is none.
    void cors(CorsOptions options);

    [[nodiscard]] const ApiInfo& info() const noexcept;

    /// Adds /health/live, /health/ready, /metrics, /openapi.json and /docs where the program has
    /// none, and makes the OpenAPI document. Registering afterwards asserts. Any number of times.
    void freeze();
    [[nodiscard]] bool frozen() const noexcept;
    /// The OpenAPI 3.1 document. Call freeze() first.
    [[nodiscard]] const std::string& openapi_text() const noexcept;

    /// From now on GET /health/ready answers 503. Any thread.
    void set_stopping() noexcept;

private:
    friend class Exchange;
    friend Json make_openapi(const Api& api);
    struct Impl;

    template <class F, class... Params>
    Route& add(Method method, std::string path_text, F function, Params... params) {
        using Binding = detail::Binding<F, Params...>;
        Route& route = new_route(method, std::move(path_text));
        (bind_path(route, params), ...);
        check_path(route, {(params.source() == Source::path ? params.name() : std::string{})...});
        (route.params_.emplace_back(
             [params](SchemaDefinitions& definitions) { return params.document(definitions); }),
         ...);
        route.reply_schema_ = [](SchemaDefinitions& definitions) {
            using Type = typename Binding::Documented;
            if constexpr (std::is_void_v<Type>) {
                return Json::object({{"type", "null"}});
            } else if constexpr (std::is_same_v<Type, Response>) {
                return Json::object();
            } else {
                return json_schema<Type>(definitions);
            }
        };
        auto binding = std::make_shared<Binding>(std::move(function), std::move(params)...);
        if constexpr (Binding::kCoroutine) {
            route.handler_.kind = Handler::Kind::coroutine;
            route.handler_.start = [binding](Input* input, Response* out) {
                return Binding::start(binding.get(), input, out);
            };
        } else {
            route.handler_.kind = Handler::Kind::blocking;
            route.handler_.call = [binding](Input& input, Response& out) {
                binding->call(input, out);
            };
        }
        return route;
    }
    template <class T>
    static void bind_path(const Route& route, Param<T>& param) {
        if (param.source() != Source::path) return;
        param.set_path_index(route.path_.parameter_index(param.name()));
    }
    static void check_path(const Route& route, const std::vector<std::string>& declared);
    Route& new_route(Method method, std::string path);
    Route& add_raw(Method method, std::string path, Handler handler);
    void add_builtin_routes();

    std::unique_ptr<Impl> impl_;
};

/// The OpenAPI 3.1 document of an API's routes, in FastAPI's shape.
[[nodiscard]] Json make_openapi(const Api& api);

}  // namespace lovage::http
