// The API of the project stack: `project-api --port 5000`.
#include "api.hpp"
#include "options.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/http/server.hpp>
#include <lovage/lovage.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/service_report.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <exception>

#include <fmt/core.h>

#include <unistd.h>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// How long requests in flight may take to end after the first signal.
constexpr auto kStopTime = 25s;

/// Serves until SIGINT or SIGTERM, then lets requests in flight end; a second signal ends the
/// process at once. A service manager, if there is one, is told.
lovage::Awaitable<void> serve(lovage::http::Server* server) {
    using lovage::ServiceReport;
    const lovage::Executor executor = co_await asio::this_coro::executor;
    ServiceReport::State state{ServiceReport::Phase::serving,
                               "serving at " + server->urls().front()};
    ServiceReport service{executor,
                          lovage::ServiceManager{lovage::process_environment(), ::getpid()},
                          [&state] { return state; }};
    lovage::TaskScope scope{executor};
    scope.spawn("API", server->run());
    scope.spawn("service", service.run());
    {
        asio::signal_set signals{executor, SIGINT, SIGTERM};
        co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    lovage::log::info("api", "stopping; once more to stop at once");
    state = {ServiceReport::Phase::stopping, "stopping: finishing requests"};
    service.changed();
    server->request_stop();
    co_await server->join(lovage::Deadline::in(kStopTime));
    scope.request_stop();
    co_await scope.join(lovage::Deadline::in(kStopTime));
}

int run(const project::Options& options) {
    lovage::Settings settings = lovage::value_or_throw(lovage::load_settings());
    settings.task_track_sent = true;  // an unknown task id is 404, not PENDING
    lovage::log::configure({.level = settings.log_level,
                            .format = settings.log_format,
                            .service_name = "project-api"});
    lovage::App app{"project-api", std::move(settings)};
    project::ProjectApi api{
        app, lovage::value_or_throw(project::load_api_settings(lovage::process_environment()))};

    lovage::Loop& loop = app.core()->loop();
    lovage::http::Server server{loop.executor(), api.http()};
    project::listen(server, options);
    for (const auto& url : server.urls()) {
        lovage::log::info("api", "{} listens on {} (documentation: {}/docs)",
                          api.http().info().title, url, url);
    }
    loop.run_blocking(serve(&server));
    lovage::log::flush();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const project::Options options = project::parse_options(argc, argv);
        if (options.help) {
            fmt::print("{}",
                       project::help_text("project-api", "the HTTP API of the project stack"));
            return 0;
        }
        return run(options);
    } catch (const lovage::LovageError& problem) {
        fmt::print(stderr, "project-api: {}\n", problem.error().detail);
        return 2;
    } catch (const std::exception& problem) {
        fmt::print(stderr, "project-api: {}\n", problem.what());
        return 2;
    }
}
