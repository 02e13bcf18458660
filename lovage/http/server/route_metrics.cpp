#include <lovage/http/server/route_metrics.hpp>

#include <utility>

namespace lovage::http {

// Wire: names, labels and help texts are starlette-prometheus' (middleware.py, version 0.9).
HttpMetrics::HttpMetrics(metrics::Registry& registry)
    : requests_{registry.counter("starlette_requests_total",
                                 "Total count of requests by method and path.",
                                 {"method", "path_template"})},
      responses_{registry.counter("starlette_responses_total",
                                  "Total count of responses by method, path and status codes.",
                                  {"method", "path_template", "status_code"})},
      seconds_{registry.histogram("starlette_requests_processing_time_seconds",
                                  "Histogram of requests processing time by path (in seconds)",
                                  {"method", "path_template"})},
      exceptions_{registry.counter("starlette_exceptions_total",
                                   "Total count of exceptions raised by path and exception type",
                                   {"method", "path_template", "exception_type"})},
      in_progress_{registry.gauge("starlette_requests_in_progress",
                                  "Gauge of requests by method and path currently being processed",
                                  {"method", "path_template"})} {}

HttpMetrics::Route HttpMetrics::route(Method method, const std::string& path_template) const {
    Route route;
    route.families_ = this;
    route.method_ = to_string(method);
    route.path_template_ = path_template;
    return route;
}

void HttpMetrics::exception(Method method, const std::string& path_template,
                            const std::string& exception_type) const {
    exceptions_.with({std::string{to_string(method)}, path_template, exception_type}).increment();
}

void HttpMetrics::Route::started() {
    if (!std::exchange(made_, true)) {
        const metrics::Labels labels{method_, path_template_};
        requests_ = families_->requests_.with(labels);
        in_progress_ = families_->in_progress_.with(labels);
        seconds_ = families_->seconds_.with(labels);
    }
    requests_.increment();
    in_progress_.add(1);
}

void HttpMetrics::Route::abandoned() noexcept {
    in_progress_.add(-1);
}

void HttpMetrics::Route::finished(int status, double seconds) {
    in_progress_.add(-1);
    seconds_.observe(seconds);
    for (auto& [known, counter] : responses_) {
        if (known == status) return counter.increment();
    }
    auto counter = families_->responses_.with({method_, path_template_, std::to_string(status)});
    counter.increment();
    responses_.emplace_back(status, counter);
}

}  // namespace lovage::http
