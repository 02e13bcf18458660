#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/http/request.hpp>
#include <lovage/runtime/metrics.hpp>

namespace lovage::http {

/// The metric families of HTTP, under the names and labels of starlette-prometheus 0.9, so that
/// dashboards made for a FastAPI service keep working.
class HttpMetrics {
public:
    explicit HttpMetrics(metrics::Registry& registry);

    /// The series of one method on one path template, made at its first request: counting further
    /// ones takes no lock but the histogram's. Not thread-safe.
    class Route {
    public:
        Route() = default;
        void started();
        void finished(int status, double seconds);
        /// Started, and no reply could be given.
        void abandoned() noexcept;

    private:
        friend class HttpMetrics;
        const HttpMetrics* families_ = nullptr;
        bool made_ = false;
        std::string method_;
        std::string path_template_;
        metrics::Counter requests_;
        metrics::Gauge in_progress_;
        metrics::Histogram seconds_;
        std::vector<std::pair<int, metrics::Counter>> responses_;  ///< by status, as they occur
    };
    /// Lifetime: `*this` must outlive the Route.
    [[nodiscard]] Route route(Method method, const std::string& path_template) const;

    /// Counts an exception no handler is meant to throw.
    void exception(Method method, const std::string& path_template,
                   const std::string& exception_type) const;

private:
    metrics::CounterFamily requests_;
    metrics::CounterFamily responses_;
    metrics::HistogramFamily seconds_;
    metrics::CounterFamily exceptions_;
    metrics::GaugeFamily in_progress_;
};

}  // namespace lovage::http
