#include <lovage/runtime/metrics.hpp>

#include <lovage/core/error.hpp>
#include <lovage/runtime/detail/utf8.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/process_stats.hpp>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

namespace lovage::metrics {

namespace {

constexpr std::size_t kSeriesMax = 1000;
constexpr std::size_t kLabelBytesMax = 256;

Labels presentable(const Labels& values) {
    Labels clean;
    clean.reserve(values.size());
    for (const std::string& value : values) {
        clean.push_back(
            lovage::detail::to_valid_utf8(lovage::detail::utf8_prefix(value, kLabelBytesMax)));
    }
    return clean;
}

/// One prometheus-cpp family with our limit on the number of its series.
template <class Series>
class BoundedFamily {
public:
    BoundedFamily(prometheus::Family<Series>& family, Labels label_names)
        : family_{family}, label_names_{std::move(label_names)} {}

    [[nodiscard]] const Labels& label_names() const noexcept { return label_names_; }

protected:
    /// `arguments` construct the series when it is new.
    template <class... Arguments>
    Series* find_or_add(const Labels& values, const Arguments&... arguments) {
        LOVAGE_ASSERT(values.size() == label_names_.size());
        const std::lock_guard lock{mutex_};
        // Values that need cleaning are rare and go into the map under their clean form.
        if (const auto found = series_.find(values); found != series_.end()) return found->second;
        Labels clean = presentable(values);
        // One place stays free for "other".
        if (!series_.contains(clean) && series_.size() + 1 >= kSeriesMax) {
            clean.assign(label_names_.size(), "other");
        }
        const auto [place, is_new] = series_.try_emplace(clean, nullptr);
        if (is_new) {
            prometheus::Labels named;
            for (std::size_t i = 0; i < clean.size(); ++i) named[label_names_[i]] = clean[i];
            place->second = &family_.Add(named, arguments...);
        }
        return place->second;
    }

private:
    prometheus::Family<Series>& family_;
    const Labels label_names_;
    std::mutex mutex_;
    std::map<Labels, Series*> series_;
};

prometheus::MetricFamily process_metric(const char* name, const char* help,
                                        prometheus::MetricType type, double value) {
    prometheus::MetricFamily family{name, help, type, {}};
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    return family;
}

void append_process_metrics(std::vector<prometheus::MetricFamily>& families) {
    using enum prometheus::MetricType;
    const ProcessStats stats = read_process_stats();
    families.push_back(process_metric("process_cpu_seconds_total",
                                      "User and system CPU time spent.", Counter,
                                      stats.cpu_seconds));
    families.push_back(process_metric("process_resident_memory_bytes", "Resident memory.", Gauge,
                                      static_cast<double>(stats.resident_bytes)));
    families.push_back(process_metric("process_virtual_memory_bytes", "Virtual memory.", Gauge,
                                      static_cast<double>(stats.virtual_bytes)));
    families.push_back(process_metric("process_open_fds", "Open file descriptors.", Gauge,
                                      static_cast<double>(stats.open_descriptors)));
    families.push_back(process_metric("process_max_fds", "Limit of open file descriptors.", Gauge,
                                      static_cast<double>(stats.descriptors_max)));
    families.push_back(
        process_metric("process_threads", "Threads.", Gauge, static_cast<double>(stats.threads)));
    families.push_back(process_metric("process_start_time_seconds",
                                      "When the process started, in seconds since the Unix epoch.",
                                      Gauge, stats.start_time_seconds));
    families.push_back(process_metric("lovage_log_lines_lost_total",
                                      "Log lines given up because standard error was too slow.",
                                      Counter, static_cast<double>(log::lost_lines())));
}

}  // namespace

struct CounterFamily::Impl : BoundedFamily<prometheus::Counter> {
    using BoundedFamily::BoundedFamily;
    using BoundedFamily::find_or_add;
};
struct GaugeFamily::Impl : BoundedFamily<prometheus::Gauge> {
    using BoundedFamily::BoundedFamily;
    using BoundedFamily::find_or_add;
};
struct HistogramFamily::Impl : BoundedFamily<prometheus::Histogram> {
    Impl(prometheus::Family<prometheus::Histogram>& family, Labels label_names,
         std::vector<double> bounds)
        : BoundedFamily{family, std::move(label_names)}, buckets{std::move(bounds)} {}
    using BoundedFamily::find_or_add;
    const std::vector<double> buckets;
};

void Counter::increment(double by) noexcept {
    if (series_ != nullptr) series_->Increment(by);
}

void Gauge::set(double value) noexcept {
    if (series_ != nullptr) series_->Set(value);
}

void Gauge::add(double by) noexcept {
    if (series_ != nullptr) series_->Increment(by);
}

void Histogram::observe(double value) noexcept {
    if (series_ != nullptr) series_->Observe(value);
}

Counter CounterFamily::with(const Labels& values) const {
    return Counter{impl_->find_or_add(values)};
}

Gauge GaugeFamily::with(const Labels& values) const {
    return Gauge{impl_->find_or_add(values)};
}

Histogram HistogramFamily::with(const Labels& values) const {
    return Histogram{impl_->find_or_add(values, impl_->buckets)};
}

std::vector<double> duration_buckets() {
    return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300};
}

struct Registry::Impl {
    prometheus::Registry registry;
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<CounterFamily::Impl>, std::less<>> counters;
    std::map<std::string, std::shared_ptr<GaugeFamily::Impl>, std::less<>> gauges;
    std::map<std::string, std::shared_ptr<HistogramFamily::Impl>, std::less<>> histograms;

    /// The family of that name in `known`, made by `make` when there is none.
    template <class Family, class Make>
    std::shared_ptr<Family> find_or_make(
        std::map<std::string, std::shared_ptr<Family>, std::less<>>& known, const std::string& name,
        const Labels& label_names, Make make) {
        const std::lock_guard lock{mutex};
        if (const auto found = known.find(name); found != known.end()) {
            LOVAGE_ASSERT(found->second->label_names() == label_names);
            return found->second;
        }
        LOVAGE_ASSERT(!counters.contains(name) && !gauges.contains(name) &&
                      !histograms.contains(name));
        return known.emplace(name, make()).first->second;
    }
};

Registry::Registry() : impl_{std::make_unique<Impl>()} {}
Registry::~Registry() = default;

CounterFamily Registry::counter(const std::string& name, const std::string& help,
                                Labels label_names) {
    CounterFamily family;
    family.impl_ = impl_->find_or_make(impl_->counters, name, label_names, [&] {
        return std::make_shared<CounterFamily::Impl>(
            prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry),
            label_names);
    });
    return family;
}

GaugeFamily Registry::gauge(const std::string& name, const std::string& help, Labels label_names) {
    GaugeFamily family;
    family.impl_ = impl_->find_or_make(impl_->gauges, name, label_names, [&] {
        return std::make_shared<GaugeFamily::Impl>(
            prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry), label_names);
    });
    return family;
}

HistogramFamily Registry::histogram(const std::string& name, const std::string& help,
                                    Labels label_names, std::vector<double> buckets) {
    HistogramFamily family;
    family.impl_ = impl_->find_or_make(impl_->histograms, name, label_names, [&] {
        return std::make_shared<HistogramFamily::Impl>(
            prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry),
            label_names, std::move(buckets));
    });
    return family;
}

std::string Registry::scrape() const {
    std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
    for (prometheus::MetricFamily& family : families) {
        std::ranges::sort(family.metric, {}, &prometheus::ClientMetric::label);
    }
    append_process_metrics(families);
    std::ostringstream text;
    prometheus::TextSerializer{}.Serialize(text, families);
    return std::move(text).str();
}

Registry& default_registry() {
    static auto* const registry = new Registry;
    return *registry;
}

}  // namespace lovage::metrics
