// The whole project stack in one process: API, worker, broker and results in SQLite files under
// .lovage/, or wherever CELERY_BROKER_URL and CELERY_RESULT_BACKEND_URL say.
//
//     ./dev demo        or: project-demo --port 5001
//     ./dev demo --full the same on RabbitMQ and Redis
//
// The same parts run as separate processes that share the folder: project-api and project-worker.
#include "api.hpp"
#include "options.hpp"
#include "tasks.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/cli/arguments.hpp>
#include <lovage/http/server.hpp>
#include <lovage/lovage.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/process_stats.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/worker.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

#include <fmt/core.h>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kStopTime = 25s;

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void print_banner(const lovage::App& app, const std::string& url, Clock::time_point begin) {
    const auto megabytes =
        static_cast<double>(lovage::read_process_stats().resident_bytes) / 1048576.0;
    fmt::print(
        "\n"
        "  {} — project demo: API and worker in one process\n"
        "  ready in {:.0f} ms, {:.1f} MiB of memory\n"
        "\n"
        "    broker          {}\n"
        "    results         {}\n"
        "    API             {}\n"
        "    documentation   {}/docs\n"
        "    OpenAPI         {}/openapi.json\n"
        "    metrics         {}/metrics\n"
        "    health          {}/health/ready\n"
        "\n"
        "  Try:  curl -X POST '{}/v1/celery-worker/integer-multiplication/?integer=21'\n"
        "  Stop: Ctrl-C\n\n",
        lovage::cli::version_text(), milliseconds_since(begin), megabytes,
        app.core()->broker().display_url(), app.core()->results().display_url(), url, url, url, url,
        url, url);
    std::fflush(stdout);
}

/// One call, with what came of it, on one line.
void show_call(const lovage::App& app, const std::string& task, lovage::Json args) {
    const auto begin = Clock::now();
    const std::string shown = lovage::to_json_text(args);
    std::string outcome;
    try {
        const auto result = app.send_task(task, std::move(args), lovage::Json::object(),
                                          {.queue = project::kQueue});
        const lovage::TaskMeta meta = result.wait(10s);
        const auto failure = meta.failure();
        outcome = failure ? failure->exc_type + ": " + failure->exc_message
                          : lovage::to_json_text(meta.result);
    } catch (const lovage::LovageError& error) {
        outcome = error.error().detail;
    }
    fmt::print("  {:<24} {:<28} → {}  ({:.1f} ms)\n", task, shown, outcome,
               milliseconds_since(begin));
    std::fflush(stdout);
}

/// A little of everything, so that there is something to see in /metrics and in the log.
void show_traffic(const lovage::App& app) {
    using lovage::Json;
    show_call(app, "integer-multiplication", Json::Array{21});
    show_call(app, "integer-multiplication",
              Json::Array{Json::integer("123456789012345678901234567890"), 3});
    show_call(app, "integers-sum", Json::Array{Json{Json::Array{1, 2, 3, 4}}});
    show_call(app, "ping", Json::array());
    show_call(app, "always-fails", Json::array());
    fmt::print("\n");
    std::fflush(stdout);
}

/// The first Ctrl-C finishes what runs, the second does not wait for it.
lovage::Awaitable<void> watch_signals(lovage::http::Server* server, lovage::Worker* worker) {
    asio::signal_set signals{co_await asio::this_coro::executor, SIGINT, SIGTERM};
    for (bool first = true;; first = false) {
        const auto [error, signal] =
            co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
        fmt::print("\n  stopping: {}\n", first ? "finishing what runs (Ctrl-C again: do not wait)"
                                               : "not waiting any longer");
        std::fflush(stdout);
        server->request_stop();
        worker->request_stop();
    }
}

/// API and worker side by side on one loop, until a signal comes or the worker cannot go on.
lovage::Awaitable<lovage::Result<void>> serve(lovage::http::Server* server,
                                              lovage::Worker* worker) {
    lovage::TaskScope scope{co_await asio::this_coro::executor};
    scope.spawn("API", server->run());
    scope.spawn("signals", watch_signals(server, worker));
    auto outcome = co_await worker->run();
    server->request_stop();
    co_await server->join(lovage::Deadline::in(kStopTime));
    scope.request_stop();
    co_await scope.join(lovage::Deadline::in(kStopTime));
    co_return outcome;
}

int run(const project::Options& options, Clock::time_point begin) {
    lovage::Settings settings = lovage::value_or_throw(lovage::load_settings());
    settings.task_track_sent = true;  // an unknown task id is 404, not PENDING
    lovage::log::configure({.level = settings.log_level,
                            .format = settings.log_format,
                            .service_name = "project-demo"});
    lovage::App app{"project-demo", std::move(settings)};
    project::register_tasks(app);
    project::ProjectApi api{
        app, lovage::value_or_throw(project::load_api_settings(lovage::process_environment()))};

    lovage::Loop& loop = app.core()->loop();
    lovage::http::Server server{loop.executor(), api.http()};
    project::listen(server, options);

    std::thread traffic;
    lovage::WorkerOptions worker_options;
    worker_options.queues = {project::kQueue};
    worker_options.hostname = "project-worker@%h";
    worker_options.on_ready = [&] {
        print_banner(app, server.urls().front(), begin);
        if (options.traffic) traffic = std::thread{[&app] { show_traffic(app); }};
    };
    lovage::Worker worker{app, worker_options};
    const lovage::Result<void> outcome = loop.run_blocking(serve(&server, &worker));
    if (traffic.joinable()) traffic.join();
    lovage::log::flush();
    if (!outcome) fmt::print(stderr, "project-demo: {}\n", outcome.error().detail);
    const int status = outcome ? 0 : 1;
    // A task that does not return keeps its thread: only the end of the process ends it.
    if (worker.left_behind() != 0) std::_Exit(status);
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    const auto begin = Clock::now();
    try {
        const project::Options options = project::parse_options(argc, argv);
        if (options.help) {
            fmt::print("{}",
                       project::help_text("project-demo", "the project stack in one process"));
            return 0;
        }
        return run(options, begin);
    } catch (const lovage::LovageError& problem) {
        fmt::print(stderr, "project-demo: {}\n", problem.error().detail);
        return 2;
    } catch (const std::exception& problem) {
        fmt::print(stderr, "project-demo: {}\n", problem.what());
        return 2;
    }
}
