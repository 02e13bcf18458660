#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Registry;
}

namespace lovage::metrics {

/// Label names of a family, and the values of one series in the same order.
using Labels = std::vector<std::string>;

/// A monotonic counter. Copies refer to the same series. Thread-safe, wait-free.
class Counter {
public:
    void increment(double by = 1.0) noexcept;

private:
    friend class CounterFamily;
    void* series_ = nullptr;
};

class Gauge {
public:
    void set(double value) noexcept;
    void add(double by) noexcept;

private:
    friend class GaugeFamily;
    void* series_ = nullptr;
};

class Histogram {
public:
    void observe(double value) noexcept;

private:
    friend class HistogramFamily;
    void* series_ = nullptr;
};

// Families: `with(values)` finds or makes the series (takes a lock: keep the handle on hot paths).
// A family holds at most 1,000 series; beyond that `with` returns the series whose labels are all "other".
class CounterFamily {
public:
    [[nodiscard]] Counter with(const Labels& values) const;

private:
    friend class Registry;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};
class GaugeFamily {
public:
    [[nodiscard]] Gauge with(const Labels& values) const;

private:
    friend class Registry;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};
class HistogramFamily {
public:
    [[nodiscard]] Histogram with(const Labels& values) const;

private:
    friend class Registry;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// Seconds buckets for request and task durations: 1 ms to 5 min, roughly 2.5 apart.
[[nodiscard]] std::vector<double> duration_buckets();

/// Metrics of one process in Prometheus' model, on prometheus-cpp. Thread-safe.
class Registry {
public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Asking again for a family of the same name returns the same one; another label set asserts.
    [[nodiscard]] CounterFamily counter(const std::string& name, const std::string& help,
                                        Labels label_names = {});
    [[nodiscard]] GaugeFamily gauge(const std::string& name, const std::string& help,
                                    Labels label_names = {});
    [[nodiscard]] HistogramFamily histogram(const std::string& name, const std::string& help,
                                            Labels label_names = {},
                                            std::vector<double> buckets = duration_buckets());

    /// The text exposition format (version 0.0.4), process_* metrics included.
    [[nodiscard]] std::string scrape() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The registry everything in this process reports to unless told otherwise.
[[nodiscard]] Registry& default_registry();

}  // namespace lovage::metrics
