// The whole project stack in one process: API, worker, beat, broker and results in SQLite files
// under .lovage/, or wherever CELERY_BROKER_URL and CELERY_RESULT_BACKEND_URL say.
//
//     ./dev demo        or: project-demo --port 5001
//     ./dev demo --full the same on RabbitMQ and Redis
//
// The same parts run as separate processes that share the folder: project-api and project-worker.
#include "api.hpp"
#include "options.hpp"
#include "tasks.hpp"
#include "workflows.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/beat/beat.hpp>
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
        "  {} — project demo: API, worker and beat in one process\n"
        "  ready in {:.0f} ms, {:.1f} MiB of memory\n"
        "\n"
        "    broker          {}\n"
        "    results         {}\n"
        "    API             {}\n"
        "    documentation   {}/docs\n"
        "    OpenAPI         {}/openapi.json\n"
        "    metrics         {}/metrics\n"
        "    health          {}/health/ready\n"
        "    schedule        ping, every {} s\n"
        "\n"
        "  Try:  curl -X POST '{}/v1/celery-worker/integer-multiplication/?integer=21'\n"
        "        curl -X POST "
        "'{}/v1/celery-workflows/chain-integers-multiplication/?integer=1&nb_chains=99'\n"
        "  Stop: Ctrl-C\n\n",
        lovage::cli::version_text(), milliseconds_since(begin), megabytes,
        app.core()->broker().display_url(), app.core()->results().display_url(), url, url, url, url,
        url, project::kSignOfLife.count(), url, url);
    std::fflush(stdout);
}

/// One call, with what came of it, on one line. `send` returns its AsyncResult.
template <class Send>
void show_call(const std::string& what, const std::string& shown, const Send& send) {
    const auto begin = Clock::now();
    std::string outcome;
    try {
        const lovage::TaskMeta meta = send().wait(10s);
        const auto failure = meta.failure();
        outcome = failure ? failure->exc_type + ": " + failure->exc_message
                          : lovage::to_json_text(meta.result);
    } catch (const lovage::LovageError& error) {
        outcome = error.error().detail;
    }
    fmt::print("  {:<24} {:<28} → {}  ({:.1f} ms)\n", what, shown, outcome,
               milliseconds_since(begin));
    std::fflush(stdout);
}

void show_task(const lovage::App& app, const std::string& task, const lovage::Json& args) {
    show_call(task, lovage::to_json_text(args), [&] {
        return app.send_task(task, args, lovage::Json::object(), {.queue = project::kQueue});
    });
}

/// A little of everything, so that there is something to see in /metrics and in the log.
void show_traffic(const lovage::App& app) {
    using lovage::Json;
    show_task(app, "integer-multiplication", Json::Array{21});
    show_task(app, "integer-multiplication",
              Json::Array{Json::integer("123456789012345678901234567890"), 3});
    show_task(app, "integers-sum", Json::Array{Json{Json::Array{1, 2, 3, 4}}});
    show_task(app, "ping", Json::array());
    const project::Workflows workflows{app, project::kQueue};
    show_call("a chain", "1, doubled 100 times",
              [&] { return workflows.chain(1, 99).canvas.delay(); });
    show_call("a chord", "sum of 50 doubled 21s",
              [&] { return workflows.chord(21, 50).canvas.delay(); });
    show_task(app, "always-fails", Json::array());
    fmt::print("\n");
    std::fflush(stdout);
}

/// The first Ctrl-C finishes what runs, the second does not wait for it.
lovage::Awaitable<void> watch_signals(lovage::http::Server* server, lovage::Beat* beat,
                                      lovage::Worker* worker) {
    asio::signal_set signals{co_await asio::this_coro::executor, SIGINT, SIGTERM};
    for (bool first = true;; first = false) {
        const auto [error, signal] =
            co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
        fmt::print("\n  stopping: {}\n", first ? "finishing what runs (Ctrl-C again: do not wait)"
                                               : "not waiting any longer");
        std::fflush(stdout);
        server->request_stop();
        beat->request_stop();
        worker->request_stop();
    }
}

/// Sends the scheduled tasks; the rest goes on when it cannot.
lovage::Awaitable<void> run_schedule(lovage::Beat* beat) {
    const auto outcome = co_await beat->run();
    if (!outcome) lovage::log::error("demo", "the schedule ended: {}", outcome.error().message());
}

/// API, beat and worker side by side on one loop, until a signal comes or the worker cannot go on.
lovage::Awaitable<lovage::Result<void>> serve(lovage::http::Server* server, lovage::Beat* beat,
                                              lovage::Worker* worker) {
    const lovage::Executor executor = co_await asio::this_coro::executor;
    lovage::TaskScope scope{executor};
    lovage::TaskScope schedule{executor};
    scope.spawn("API", server->run());
    scope.spawn("signals", watch_signals(server, beat, worker));
    schedule.spawn("schedule", run_schedule(beat));
    auto outcome = co_await worker->run();
    server->request_stop();
    beat->request_stop();
    co_await schedule.join(lovage::Deadline::in(kStopTime));
    co_await server->join(lovage::Deadline::in(kStopTime));
    schedule.request_stop();
    co_await schedule.join(lovage::Deadline::in(kStopTime));
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
    // Under the name of project-worker: its `worker -B` and this one are beats of one schedule.
    lovage::Beat beat{app, {.schedule = "project-worker"}};
    const lovage::Result<void> outcome = loop.run_blocking(serve(&server, &beat, &worker));
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
