#include <lovage/app/app_core.hpp>
#include <lovage/beat/beat.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/health_server.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/orphan_reaper.hpp>
#include <lovage/runtime/service_report.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/runtime/url.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <unistd.h>

#include <fmt/core.h>

namespace lovage::cli {

namespace asio = boost::asio;

namespace {

/// What is being sent is finished, whatever signal comes and however often.
Awaitable<void> stop_at_signal(asio::signal_set* signals, Beat* beat) {
    while (true) {
        const auto [error, signal] =
            co_await signals->async_wait(asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
        beat->request_stop();
    }
}

/// One that follows is ready, too: it takes over when it has to.
Awaitable<Result<void>> check_connected(const Beat* beat) {
    if (beat->status().connected) co_return Result<void>{};
    co_return fail(Errc::unavailable, "waiting for broker and state store");
}

ServiceReport::State beat_state(const Beat& beat) {
    const BeatStatus now = beat.status();
    if (!now.connected) {
        return {ServiceReport::Phase::starting, "waiting for broker and state store"};
    }
    return {ServiceReport::Phase::serving,
            now.leads ? fmt::format("leads schedule '{}': {} entries", beat.schedule(), now.entries)
                      : fmt::format("follows schedule '{}'", beat.schedule())};
}

/// Runs the beat until it is stopped, and beside it what belongs to its process. `health` may be
/// null.
Awaitable<Result<void>> serve_beat(asio::signal_set* signals, Beat* beat, HealthServer* health,
                                   ServiceReport* service) {
    TaskScope scope{co_await asio::this_coro::executor};
    scope.spawn("signals", stop_at_signal(signals, beat));
    scope.spawn("service", service->run());
    if (is_first_process()) scope.spawn("orphans", reap_orphans());
    if (health != nullptr) scope.spawn("health", health->server().run());
    Result<void> outcome;
    std::exception_ptr failure;
    try {
        outcome = co_await beat->run();
    } catch (...) {
        failure = std::current_exception();
    }
    const Deadline closing = Deadline::in(std::chrono::seconds{5});
    if (health != nullptr) {
        health->server().request_stop();
        co_await health->server().join(closing);
    }
    scope.request_stop();
    co_await scope.join(closing);
    if (failure) std::rethrow_exception(failure);
    co_return outcome;
}

void print_start(App& app, const Beat& beat, Console& console) {
    const Settings& settings = app.settings();
    console.out << fmt::format(
        "beat: {} is starting.\n  schedule    {}\n  broker      {}\n  state       {}\n"
        "  time zone   {}\n",
        version_text(), beat.schedule(), display_urls(settings.broker_url),
        display_urls(settings.result_backend), settings.timezone);
    console.out << std::flush;
}

}  // namespace

int run_beat(App& app, const BeatArguments& arguments, Console& console) {
    const Executor loop = app.core()->loop().executor();
    // Taken over before anything is said: whoever has seen it may send a signal.
    asio::signal_set signals{loop, SIGTERM, SIGINT, SIGQUIT};
    std::optional<ServiceReport> service;
    Beat beat{app, {.schedule = arguments.schedule, .on_change = [&] { service->changed(); }}};
    service.emplace(loop, ServiceManager{process_environment(), ::getpid()},
                    [&] { return beat_state(beat); });
    std::unique_ptr<HealthServer> health;
    if (arguments.health_port) {
        health = std::make_unique<HealthServer>(loop, app.name() + " beat", "beat",
                                                [&beat] { return check_connected(&beat); });
        auto listening = health->listen(arguments.health_host, *arguments.health_port);
        if (!listening) {
            report(console, listening.error());
            return kFailure;
        }
    }
    print_start(app, beat, console);
    if (health) log::info("beat", "health and metrics at {}", health->url());
    const Result<void> outcome =
        app.core()->loop().run_blocking(serve_beat(&signals, &beat, health.get(), &*service));
    return outcome ? kSuccess : report(console, outcome.error());
}

}  // namespace lovage::cli
