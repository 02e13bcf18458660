#pragma once

#include <lovage/app/app.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/cli/arguments.hpp>
#include <lovage/core/error.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/server.hpp>
#include <lovage/runtime/service_report.hpp>

#include <boost/asio/signal_set.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace lovage::cli {

/// What a command serves until it is told to stop. Everything is called on the app's loop.
struct Service {
    std::function<Awaitable<Result<void>>()> run;
    /// SIGTERM, SIGINT or SIGQUIT came, perhaps not for the first time.
    std::function<void(int signal)> stop;
    /// For a service manager: the phase and a line for people.
    std::function<ServiceReport::State()> state;
    /// Whether it does what it is there for; the error says what it waits for.
    std::function<Result<void>()> ready;
};

/// What commands that serve have around their work: the signals that stop them, the port for health
/// and metrics, reports to a service manager, orphans to wait for.
///
/// Belongs to the thread that runs the command; what a Service is asked happens on the app's loop.
class ServiceProcess {
public:
    /// Takes the signals over, so that whoever has seen the command's first words may send one.
    /// `name` is what logs and health checks call the service. Lifetime: `app` must outlive this.
    ServiceProcess(App& app, std::string name);

    /// What is served, and where it tells of its health. Once, before run(). Lifetime: what the
    /// service's functions use must outlive run(). Errors: those of listening.
    [[nodiscard]] Result<void> open(Service service, const HealthAddress& health);
    /// The state has changed: it is told soon. On the loop, from open() on.
    void changed() { report_.changed(); }
    /// Serves until the service's run() has ended, and health to the last; blocks. What run()
    /// throws passes through.
    [[nodiscard]] Result<void> run();

private:
    /// /health/live, /health/ready and /metrics.
    struct Health {
        explicit Health(http::ApiInfo info) : api{std::move(info)} {}
        http::Api api;
        std::optional<http::Server> server;
    };

    Result<void> open_health(const HealthAddress& address);
    Awaitable<Result<void>> serve();
    Awaitable<void> watch_signals();

    App& app_;
    std::string name_;
    boost::asio::signal_set signals_;
    Service service_;
    ServiceReport report_;
    std::optional<Health> health_;
};

/// How work ended that may throw, for those who have to wait for something afterwards.
struct WorkEnd {
    Result<void> result;
    std::exception_ptr thrown;

    /// The result, or the exception.
    [[nodiscard]] Result<void> get() const {
        if (thrown) std::rethrow_exception(thrown);
        return result;
    }
};
[[nodiscard]] Awaitable<WorkEnd> end_of(Awaitable<Result<void>> work);

}  // namespace lovage::cli
