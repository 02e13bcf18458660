#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace lovage::metrics {

/// Label names of a family, and the values of one series in the same order.
using Labels = std::vector<std::string>;

/// A monotonic counter. Copies refer to the same series; one made by the default constructor counts
/// nothing. Lifetime: the registry must outlive it. Thread-safe, lock-free (a compare-and-swap
/// loop).
class Counter {
public:
    Counter() = default;
    /// Negative amounts are ignored.
    void increment(double by = 1.0) noexcept;

private:
    friend class CounterFamily;
    explicit Counter(prometheus::Counter* series) noexcept : series_{series} {}
    prometheus::Counter* series_ = nullptr;
};

/// A value that goes up and down; otherwise as Counter.
class Gauge {
public:
    Gauge() = default;
    void set(double value) noexcept;
    void add(double by) noexcept;

private:
    friend class GaugeFamily;
    explicit Gauge(prometheus::Gauge* series) noexcept : series_{series} {}
    prometheus::Gauge* series_ = nullptr;
};

/// A distribution. Thread-safe; observe() holds the series' own mutex for a few instructions.
/// Otherwise as Counter.
class Histogram {
public:
    Histogram() = default;
    void observe(double value) noexcept;

private:
    friend class HistogramFamily;
    explicit Histogram(prometheus::Histogram* series) noexcept : series_{series} {}
    prometheus::Histogram* series_ = nullptr;
};

// Families: `with(values)` finds or makes the series (takes a lock: keep the handle on hot paths)
// and asserts that there is one value for each label name. A family holds at most 1,000 series;
// beyond that `with` returns the one whose labels are all "other". Label values may be any bytes:
// they are cut at 256 and made valid UTF-8.
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

/// Seconds buckets for request and task durations: 15 of them from 1 ms to 5 min.
[[nodiscard]] std::vector<double> duration_buckets();

/// Metrics of one process in Prometheus' model, on prometheus-cpp. Thread-safe.
class Registry {
public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Asking again for a family of the same name returns the same one; another type or other labels
    // assert. A name that Prometheus does not allow throws std::invalid_argument.
    [[nodiscard]] CounterFamily counter(const std::string& name, const std::string& help,
                                        Labels label_names = {});
    [[nodiscard]] GaugeFamily gauge(const std::string& name, const std::string& help,
                                    Labels label_names = {});
    /// `buckets`: upper bounds, ascending; the first call for a name decides.
    [[nodiscard]] HistogramFamily histogram(const std::string& name, const std::string& help,
                                            Labels label_names = {},
                                            std::vector<double> buckets = duration_buckets());

    /// The text exposition format (version 0.0.4), series sorted by their labels. Adds the standard
    /// process_* metrics, read from /proc now, and lovage_log_lines_lost_total.
    [[nodiscard]] std::string scrape() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The registry everything in this process reports to unless told otherwise. Never destroyed.
[[nodiscard]] Registry& default_registry();

}  // namespace lovage::metrics
