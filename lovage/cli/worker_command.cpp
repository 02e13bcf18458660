#include <lovage/app/app_core.hpp>
#include <lovage/beat/beat.hpp>
#include <lovage/cli/banner.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/service_process.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/service_report.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/runtime/url.hpp>
#include <lovage/worker/worker.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include <sys/utsname.h>

#include <fmt/chrono.h>
#include <fmt/core.h>
#include <fmt/format.h>

namespace lovage::cli {

namespace asio = boost::asio;

namespace {

/// Celery's REMAP_SIGTERM=SIGQUIT, for platforms that send nothing else: SIGTERM means a cold stop.
bool sigterm_is_cold() {
    const char* const remap = std::getenv("REMAP_SIGTERM");
    return remap != nullptr && std::string_view{remap} == "SIGQUIT";
}

/// Stops the worker at the first SIGTERM or SIGINT and hurries it at the next one; SIGQUIT stops it
/// cold. `beat` may be null.
void stop_at(int signal, Worker* worker, Beat* beat) {
    if (beat != nullptr) beat->request_stop();
    if (signal == SIGQUIT || (signal == SIGTERM && sigterm_is_cold())) {
        worker->request_cold_stop();
    } else {
        worker->request_stop();
    }
}

Result<void> check_consuming(const Worker& worker) {
    if (!worker.ready()) return fail(Errc::unavailable, "not consuming");
    if (!worker.status().can_run) {
        return fail(Errc::unavailable, "no slot can be started; the log says why");
    }
    return {};
}

/// What a service manager is told. Once the worker has consumed it counts as serving, also while it
/// makes a lost connection anew: only the status line says so.
ServiceReport::State service_state(const Worker& worker, bool served) {
    const WorkerStatus now = worker.status();
    if (now.stopping) {
        return {ServiceReport::Phase::stopping,
                fmt::format("stopping: waiting for {} tasks", now.running)};
    }
    if (!now.consuming) {
        return {served ? ServiceReport::Phase::serving : ServiceReport::Phase::starting,
                "waiting for the broker"};
    }
    if (!now.can_run) {
        return {ServiceReport::Phase::serving, "no slot can be started; the log says why"};
    }
    return {ServiceReport::Phase::serving,
            fmt::format("consuming {}: {} of {} slots busy", fmt::join(worker.queues(), ", "),
                        std::min(now.running, now.slots), now.slots)};
}

/// The beat of `worker -B`; a worker whose beat cannot run ends, too, and with a failure.
Awaitable<void> run_beside(Beat* beat, Worker* worker, Result<void>* outcome) {
    try {
        *outcome = co_await beat->run();
    } catch (const boost::system::system_error& problem) {
        // Its scope is stopped: nobody waits for it any longer.
        if (problem.code() == asio::error::operation_aborted) throw;
        *outcome = fail(Errc::internal, fmt::format("the beat ended: {}", problem.what()));
    } catch (const std::exception& problem) {
        *outcome = fail(Errc::internal, fmt::format("the beat ended: {}", problem.what()));
    } catch (...) {
        *outcome = fail(Errc::internal, "the beat ended by an unknown exception");
    }
    if (*outcome) co_return;
    log::error("beat", "{}; the worker ends, too", outcome->error().message());
    worker->request_stop();
}

/// Runs a worker with a beat beside it until the worker ends.
Awaitable<Result<void>> run_with_beat(Worker* worker, Beat* beat) {
    Result<void> beat_outcome;
    TaskScope scope{co_await asio::this_coro::executor};
    scope.spawn("beat", run_beside(beat, worker, &beat_outcome));
    const WorkEnd end = co_await end_of(worker->run());
    beat->request_stop();
    constexpr std::chrono::seconds kPatience{5};
    if (!co_await scope.join(Deadline::in(kPatience))) scope.request_stop();
    (void)co_await scope.join(Deadline::in(kPatience));
    const Result<void> outcome = end.get();
    co_return outcome ? beat_outcome : outcome;
}

std::string platform_name() {
    utsname name{};
    if (::uname(&name) != 0) return "unknown";
    return fmt::format("{}-{}-{}", name.sysname, name.release, name.machine);
}

BannerFacts facts_of(App& app, const Worker& worker) {
    const Settings& settings = app.settings();
    return {.hostname = worker.hostname(),
            .version = version_text(),
            .platform = platform_name(),
            .started = fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::time(nullptr))),
            .app = app.name(),
            .transport = display_urls(settings.broker_url),
            .results = display_urls(settings.result_backend),
            .concurrency = worker.concurrency(),
            .pool = std::string{worker.pool()},
            .queues = worker.queues(),
            .tasks = app.tasks().names()};
}

}  // namespace

int run_worker(App& app, const WorkerArguments& arguments, Console& console) {
    ServiceProcess process{app, "worker"};
    bool served = false;
    WorkerOptions options;
    options.queues = arguments.queues;
    options.hostname = arguments.hostname;
    options.heartbeat = arguments.heartbeat;
    options.on_ready = [&] {
        served = true;
        process.changed();
    };
    Worker worker{app, std::move(options)};
    std::optional<Beat> beat;
    if (arguments.beat) beat.emplace(app, BeatOptions{.schedule = arguments.schedule});
    Beat* const beside = beat ? &*beat : nullptr;
    const auto opened =
        process.open({.run = [&] { return beside ? run_with_beat(&worker, beside) : worker.run(); },
                      .stop = [&](int signal) { stop_at(signal, &worker, beside); },
                      .state = [&] { return service_state(worker, served); },
                      .ready = [&] { return check_consuming(worker); }},
                     arguments.health);
    if (!opened) {
        report(console, opened.error());
        return kFailure;
    }
    console.out << banner(facts_of(app, worker), console.color) << std::flush;
    if (app.tasks().names().empty()) {
        log::warning("worker", "this program registers no task: every message will be quarantined");
    }
    if (const std::string unserved = unserved_tasks(app, worker.queues()); !unserved.empty()) {
        // Who named the queues may have other workers for the rest.
        log::write(arguments.queues.empty() ? log::Level::warning : log::Level::info, "worker",
                   "this worker does not consume the queues of some of its tasks: " + unserved +
                       "; name all queues it shall consume with -Q");
    }

    const Result<void> outcome = process.run();
    if (const std::size_t left = worker.left_behind(); left != 0) {
        // Their threads cannot be ended one by one; their messages are back in the queue.
        log::warning("worker", "{} running tasks are left behind", left);
        console.out.flush();
        log::flush();
        std::_Exit(outcome ? kSuccess : kFailure);
    }
    return outcome ? kSuccess : report(console, outcome.error());
}

}  // namespace lovage::cli
