#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/input.hpp>
#include <lovage/http/request.hpp>
#include <lovage/http/response.hpp>
#include <lovage/http/server/request_ids.hpp>
#include <lovage/http/server/route_metrics.hpp>

namespace lovage::http {

/// One request on its way through an Api: request id, CORS, route, handler, metrics and access log.
/// It is used for one request after another. Not thread-safe.
///
///     exchange.open(request);                        // at its head: the route is known
///     if (exchange.suspends()) co_await exchange.run_async(); else exchange.run();
///     exchange.close();                              // response() is final
class Exchange {
public:
    using Clock = std::chrono::steady_clock;

    /// Lifetime: `api` (frozen) and `ids` must outlive the Exchange.
    Exchange(Api& api, RequestIds& ids) : api_{api}, ids_{ids} {}
    /// A request that was opened and not closed (its client went away, its handler was cancelled)
    /// counts as abandoned.
    ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// Finds the route of `request`, whose body may still be on its way, and gives the request its
    /// id. Lifetime: `request` until close(). `client` is the peer's address, for the log.
    void open(Request& request, std::string_view client);
    /// The route's own limit of the body, if it has one.
    [[nodiscard]] std::optional<std::size_t> body_limit() const noexcept;

    /// Must run_async() be used?
    [[nodiscard]] Handler::Kind kind() const noexcept { return kind_; }
    /// Runs an immediate or blocking handler here. Exceptions become replies.
    void run() noexcept;
    /// Runs a coroutine handler. Cancellation passes through as an exception.
    [[nodiscard]] Awaitable<void> run_async();

    /// Counts and logs the reply.
    void close();
    /// Is a request open()ed and not yet close()d?
    [[nodiscard]] bool is_open() const noexcept { return open_; }
    /// Answers with an error instead of running the handler: the body did not arrive as it should.
    void fail(int status, std::string_view detail);
    [[nodiscard]] const Response& response() const noexcept { return response_; }
    [[nodiscard]] bool head_only() const noexcept { return request_->method() == Method::head; }

private:
    void answer_without_route(std::string allow);
    void answer_options();
    [[nodiscard]] bool answer_preflight();
    void add_cors_headers();
    void answer_exception(const std::exception_ptr& error);
    void log_failure(std::string_view reason, std::string_view type);
    void write_access_log(std::chrono::nanoseconds duration) const;

    Api& api_;
    RequestIds& ids_;
    Request* request_ = nullptr;
    std::string_view client_;
    const Route* route_ = nullptr;  ///< nullptr: answered without a handler
    HttpMetrics::Route* metrics_ = nullptr;
    Handler::Kind kind_ = Handler::Kind::immediate;
    bool open_ = false;
    bool failure_logged_ = false;
    Clock::time_point started_;
    std::vector<std::string> path_values_;
    std::optional<Input> input_;
    Response response_;
};

}  // namespace lovage::http
