#pragma once
// Private to api.cpp and exchange.cpp.

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <lovage/http/api.hpp>
#include <lovage/http/routing/router.hpp>
#include <lovage/http/server/route_metrics.hpp>

namespace lovage::http {

struct Api::Impl {
    Impl(ApiInfo api_info, metrics::Registry& metrics_registry)
        : info{std::move(api_info)}, registry{metrics_registry}, metrics{metrics_registry} {}

    struct NamedCheck {
        std::string name;
        ReadyCheck check;
    };
    /// The series of a route: its own method's, and HEAD's for a route of GET.
    struct Series {
        HttpMetrics::Route own;
        HttpMetrics::Route head;
    };

    /// GET /health/ready. Lifetime: `*this` and `out` must outlive the Awaitable.
    Awaitable<void> answer_ready(Response* out);

    ApiInfo info;
    metrics::Registry& registry;
    HttpMetrics metrics;
    Router router;
    std::vector<std::unique_ptr<Route>> routes;
    std::vector<Series> series;                   ///< by route; filled by freeze()
    std::array<HttpMetrics::Route, 8> unmatched;  ///< by method
    std::vector<NamedCheck> checks;
    std::optional<CorsOptions> cors;
    std::string openapi;
    bool frozen = false;
    std::atomic<bool> stopping = false;
};

}  // namespace lovage::http
