#include <lovage/worker/control/worker_facts.hpp>

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>
#include <vector>

#include <lovage/core/python_repr.hpp>
#include <lovage/runtime/url.hpp>

#include <boost/version.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lovage::control {
namespace {

Json text_or_nothing(const std::string& text) {
    return text.empty() ? Json{} : Json{text};
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

/// Of this process, as Python's resource.getrusage().
Json resource_usage() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return Json::object({{"utime", seconds_of(usage.ru_utime)},
                         {"stime", seconds_of(usage.ru_stime)},
                         {"maxrss", usage.ru_maxrss},
                         {"ixrss", usage.ru_ixrss},
                         {"idrss", usage.ru_idrss},
                         {"isrss", usage.ru_isrss},
                         {"minflt", usage.ru_minflt},
                         {"majflt", usage.ru_majflt},
                         {"nswap", usage.ru_nswap},
                         {"inblock", usage.ru_inblock},
                         {"oublock", usage.ru_oublock},
                         {"msgsnd", usage.ru_msgsnd},
                         {"msgrcv", usage.ru_msgrcv},
                         {"nsignals", usage.ru_nsignals},
                         {"nvcsw", usage.ru_nvcsw},
                         {"nivcsw", usage.ru_nivcsw}});
}

/// How the tasks were shared out among the processes.
Json shares(const std::vector<PoolProcess>& processes, std::size_t busy) {
    std::uint64_t total = 0;
    for (const PoolProcess& process : processes) total += process.tasks;
    std::vector<std::uint64_t> raw;
    std::vector<std::string> parts;
    for (const PoolProcess& process : processes) {
        raw.push_back(process.tasks);
        const double part = total == 0 ? 0 : static_cast<double>(process.tasks) / total;
        parts.push_back(fmt::format("{:.2f}", part));
    }
    const double average = total == 0 ? 0 : 1 / static_cast<double>(processes.size());
    return Json::object(
        {{"total", total},
         {"avg", fmt::format("{:.2f}", average)},
         {"all", fmt::format("{}", fmt::join(parts, ", "))},
         {"raw", fmt::format("{}", fmt::join(raw, ", "))},
         {"strategy", "fair"},
         {"inqueues", Json::object({{"total", processes.size()}, {"active", busy}})}});
}

/// A number of seconds as Celery shows it: whole ones without a point, 0 for none.
Json limit_seconds(const std::optional<std::chrono::milliseconds>& limit) {
    if (!limit) return 0;
    if (limit->count() % 1000 == 0) return limit->count() / 1000;
    return std::chrono::duration<double>{*limit}.count();
}

Json pool_info(const ControlledWorker& worker, std::uint64_t total) {
    const Settings& settings = worker.settings();
    const Pool& pool = worker.pool();
    std::vector<PoolProcess> processes = pool.processes();
    // Elsewhere the worker itself runs the tasks.
    if (processes.empty() && pool.name() != "prefork") processes.push_back({::getpid(), total});
    Json ids = Json::array();
    for (const PoolProcess& process : processes) ids.push_back(process.id);
    const bool counted = settings.worker_max_tasks_per_child != 0;
    return Json::object(
        {{"implementation", fmt::format("lovage.worker.{}:Pool", pool.name())},
         {"max-concurrency", pool.slots()},
         {"processes", std::move(ids)},
         {"max-tasks-per-child", counted ? Json{settings.worker_max_tasks_per_child} : Json{"N/A"}},
         {"put-guarded-by-semaphore", false},
         {"timeouts", Json::array({limit_seconds(settings.task_soft_time_limit),
                                   limit_seconds(settings.task_time_limit)})},
         {"writes", shares(processes, pool.busy())}});
}

std::vector<std::string> split_urls(const std::string& urls) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    while (from <= urls.size()) {
        const std::size_t end = std::min(urls.find(';', from), urls.size());
        if (end > from) parts.push_back(urls.substr(from, end - from));
        from = end + 1;
    }
    return parts;
}

/// Python's words for the drivers' schemes.
std::string transport_of(const Url& url) {
    if (url.scheme == "pyamqp") return "amqp";
    return url.scheme;
}

Json port_of(const Url& url) {
    if (url.port) return *url.port;
    if (url.scheme == "amqp" || url.scheme == "pyamqp") return 5672;
    if (url.scheme == "amqps") return 5671;
    return {};
}

}  // namespace

Json broker_info(const std::string& broker_url) {
    const std::vector<std::string> urls = split_urls(broker_url);
    const Url url = urls.empty() ? Url{} : parse_url(urls.front()).value_or(Url{});
    Json alternates = Json::array();
    for (std::size_t i = 1; i < urls.size(); ++i) alternates.push_back(display_urls(urls[i]));
    const bool amqp = transport_of(url).starts_with("amqp");
    std::string place = url.path.empty() ? "" : url.path.substr(1);
    if (place.empty() && amqp) place = "/";
    return Json::object({{"hostname", text_or_nothing(url.host)},
                         {"userid", text_or_nothing(url.user.empty() && amqp ? "guest" : url.user)},
                         {"virtual_host", place},
                         {"port", port_of(url)},
                         {"insist", false},
                         {"ssl", url.scheme == "amqps"},
                         {"transport", transport_of(url)},
                         {"connect_timeout", 10},
                         {"transport_options", Json::object()},
                         {"login_method", amqp ? Json{"PLAIN"} : Json{}},
                         {"uri_prefix", Json{}},
                         {"heartbeat", amqp ? Json{60.0} : Json{0}},
                         {"failover_strategy", "round-robin"},
                         {"alternates", std::move(alternates)},
                         {"credential_provider", Json{}}});
}

Json worker_stats(ControlledWorker& worker) {
    Json total = Json::object();
    std::uint64_t all = 0;
    for (const auto& [name, count] : worker.totals()) {
        total.set(name, count);
        all += count;
    }
    const auto up = ControlledWorker::Clock::now() - worker.started();
    Json stats =
        Json::object({{"total", std::move(total)},
                      {"pid", ::getpid()},
                      // Wire: a text.
                      {"clock", std::to_string(worker.clock().now())},
                      {"uptime", std::chrono::duration_cast<std::chrono::seconds>(up).count()},
                      {"pool", pool_info(worker, all)},
                      {"broker", broker_info(worker.settings().broker_url)},
                      {"prefetch_count", worker.prefetch()}});
    if (const auto range = worker.autoscale()) {
        stats.set("autoscaler",
                  Json::object({{"max", range->max},
                                {"min", range->min},
                                {"current", worker.pool().slots()},
                                {"qty", worker.running().size() + worker.reserved().size()}}));
    }
    stats.set("rusage", resource_usage());
    return stats;
}

std::string worker_report(const Settings& settings) {
    utsname system{};
    ::uname(&system);
    std::string text = fmt::format(
        "\nsoftware -> lovage:{} boost:{}.{}.{} c++:clang {}\n"
        "platform -> system:{} arch:{}bit, ELF\n"
        "            kernel version:{} imp:C++\n"
        "loader   -> lovage::main\n"
        "settings -> transport:{} results:{}\n\n",
        LOVAGE_VERSION, BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100,
        __clang_version__, system.sysname, sizeof(void*) * 8, system.release,
        broker_info(settings.broker_url).find("transport")->as_string(),
        display_urls(settings.result_backend));
    for (const auto& [name, value] : settings_as_json(settings, false).as_object()) {
        text += fmt::format("{}: {}\n", name, python_repr(value));
    }
    return text;
}

}  // namespace lovage::control
