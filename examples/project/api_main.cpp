// The API of the project stack: `project-api --port 5000`.
#include "api.hpp"

#include <lovage/http/server.hpp>
#include <lovage/lovage.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/settings.hpp>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace {

using std::chrono_literals::operator""s;

constexpr auto kStopTime = 25s;
constexpr const char* kHelp =
    "project-api: the HTTP API of the project stack\n\n"
    "  --host ADDRESS    where to listen (default: 127.0.0.1)\n"
    "  --port NUMBER     port, 0 for any free one (default: 5000)\n"
    "  --help            this text\n\n"
    "Broker and results: CELERY_BROKER_URL, CELERY_RESULT_BACKEND_URL (default: SQLite under "
    ".lovage/).\n"
    "Others: API_NAME, API_VERSION, API_V1_PATH, API_DESCRIPTION, CORS_ALLOW_ORIGINS, "
    "PROJECT_WORKER_QUEUE,\n"
    "CELERY_TASK_READY_TIME_OUT, CELERY_TASK_RESULT_TIME_OUT, LOVAGE_LOG_LEVEL, "
    "LOVAGE_LOG_FORMAT.\n";

struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 5000;
    bool help = false;
};

/// Throws std::invalid_argument for what is no option of ours.
Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        std::string_view name = argv[i];
        std::optional<std::string_view> value;
        if (const auto equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        if (name == "--help" || name == "-h") {
            options.help = true;
            continue;
        }
        if (name != "--host" && name != "--port") {
            throw std::invalid_argument{
                fmt::format("unknown option '{}'; --help lists the options", name)};
        }
        if (!value && i + 1 < argc) value = argv[++i];
        if (!value) throw std::invalid_argument{fmt::format("{} needs a value", name)};
        if (name == "--host") {
            options.host = *value;
            continue;
        }
        const auto* const end = value->data() + value->size();
        if (const auto read = std::from_chars(value->data(), end, options.port);
            read.ec != std::errc{} || read.ptr != end) {
            throw std::invalid_argument{
                fmt::format("--port {}: a number from 0 to 65535 is wanted", *value)};
        }
    }
    return options;
}

sigset_t stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

void listen(lovage::http::Server& server, const Options& options) {
    auto listening = server.listen(options.host, options.port);
    if (listening) return;
    auto error = std::move(listening.error());
    if (error.code == lovage::Errc::already_exists) error.detail += "; choose another with --port";
    throw lovage::LovageError{std::move(error)};
}

int serve(const Options& options) {
    // Blocked before any thread exists, so that only sigwait() below receives them.
    const auto signals = stop_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    auto settings = lovage::value_or_throw(lovage::load_settings());
    settings.task_track_sent = true;  // An unknown task id is 404, not PENDING.
    lovage::log::configure({.level = settings.log_level,
                            .format = settings.log_format,
                            .service_name = "project-api"});
    lovage::App app{"project-api", std::move(settings)};
    project::ProjectApi api{
        app, lovage::value_or_throw(project::load_api_settings(lovage::process_environment()))};

    auto& loop = app.core()->loop();
    lovage::http::Server server{loop.executor(), api.http()};
    listen(server, options);
    auto running = std::async(std::launch::async, [&] { loop.run_blocking(server.run()); });
    for (const auto& url : server.urls()) {
        lovage::log::info("api", "{} listens on {} (documentation: {}/docs)",
                          api.http().info().title, url, url);
    }

    int received = 0;
    sigwait(&signals, &received);
    lovage::log::info("api", "stopping; once more to stop at once");
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    server.request_stop();
    loop.run_blocking(server.join(lovage::Deadline::in(kStopTime)));
    running.get();
    lovage::log::flush();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto options = parse(argc, argv);
        if (options.help) {
            fmt::print("{}", kHelp);
            return 0;
        }
        return serve(options);
    } catch (const std::exception& problem) {
        fmt::print(stderr, "project-api: {}\n", problem.what());
        return 2;
    }
}
