#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/server.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace lovage::cli {

/// A service's own small HTTP server: /health/live, /health/ready and /metrics.
class HealthServer {
public:
    /// `check` says on the loop whether the service is ready. Lifetime: what it uses must outlive
    /// the server.
    HealthServer(const Executor& executor, const std::string& title, const std::string& what,
                 std::function<Awaitable<Result<void>>()> check)
        : api_{{.title = title}} {
        api_.ready_check(what, std::move(check));
        server_.emplace(executor, api_);  // from here on the api is fixed
    }

    Result<void> listen(const std::string& host, std::uint16_t port) {
        auto listening = server_->listen(host, port);
        if (!listening) {
            listening.error().detail += " (--health-port and --health-host choose another address)";
        }
        return listening;
    }
    [[nodiscard]] std::string url() const { return server_->urls().front(); }
    http::Server& server() { return *server_; }

private:
    http::Api api_;
    std::optional<http::Server> server_;
};

}  // namespace lovage::cli
