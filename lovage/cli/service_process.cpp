#include <lovage/cli/service_process.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/orphan_reaper.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <utility>

#include <unistd.h>

namespace lovage::cli {

namespace asio = boost::asio;

namespace {

Awaitable<Result<void>> check_ready(const Service* service) {
    co_return service->ready();
}

}  // namespace

Awaitable<WorkEnd> end_of(Awaitable<Result<void>> work) {
    WorkEnd end;
    try {
        end.result = co_await std::move(work);
    } catch (...) {
        end.thrown = std::current_exception();
    }
    co_return end;
}

ServiceProcess::ServiceProcess(App& app, std::string name)
    : app_{app},
      name_{std::move(name)},
      signals_{app.core()->loop().executor(), SIGTERM, SIGINT, SIGQUIT},
      report_{app.core()->loop().executor(), ServiceManager{process_environment(), ::getpid()},
              [this] { return service_.state(); }} {}

Result<void> ServiceProcess::open(Service service, const HealthAddress& health) {
    service_ = std::move(service);
    if (!health.port) return {};
    return open_health(health);
}

Result<void> ServiceProcess::open_health(const HealthAddress& address) {
    health_.emplace(http::ApiInfo{.title = app_.name() + ' ' + name_});
    health_->api.ready_check(name_, [this] { return check_ready(&service_); });
    health_->server.emplace(app_.core()->loop().executor(), health_->api);  // fixes the api
    auto listening = health_->server->listen(address.host, *address.port);
    if (!listening) {
        listening.error().detail += " (--health-port and --health-host choose another address)";
    }
    return listening;
}

Result<void> ServiceProcess::run() {
    if (health_) {
        log::info(name_, "health and metrics at {}", health_->server->urls().front());
    }
    return app_.core()->loop().run_blocking(serve());
}

Awaitable<void> ServiceProcess::watch_signals() {
    while (true) {
        const auto [error, signal] =
            co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
        service_.stop(signal);
        changed();
    }
}

Awaitable<Result<void>> ServiceProcess::serve() {
    TaskScope scope{co_await asio::this_coro::executor};
    scope.spawn("signals", watch_signals());
    scope.spawn("service", report_.run());
    if (is_first_process()) scope.spawn("orphans", reap_orphans());
    if (health_) scope.spawn("health", health_->server->run());
    const WorkEnd end = co_await end_of(service_.run());
    const Deadline closing = Deadline::in(std::chrono::seconds{5});
    if (health_) {
        health_->server->request_stop();
        co_await health_->server->join(closing);
    }
    scope.request_stop();
    co_await scope.join(Deadline::in(std::chrono::seconds{5}));
    co_return end.get();
}

}  // namespace lovage::cli
