#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <typeindex>
#include <typeinfo>

#include <lovage/app/client.hpp>
#include <lovage/app/revoke_options.hpp>
#include <lovage/app/router.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/control/lamport_clock.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_hooks.hpp>
#include <lovage/results/result_backend.hpp>
#include <lovage/results/state_store.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// What stands behind an App: its registry, settings, loop and connections. For the framework's own
/// modules (worker, http, cli); programs use App.
class AppCore {
public:
    explicit AppCore(std::string name);
    /// Closes the connections (at most 5 s) and ends the loop.
    ~AppCore();

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// UUID of this client: the `reply_to` of its messages.
    [[nodiscard]] const std::string& client_id() const noexcept { return client_id_; }
    /// "gen<pid>@<host>": the `origin` of its messages.
    [[nodiscard]] const std::string& origin() const noexcept { return origin_; }

    /// This process's, for events and remote control. Thread-safe.
    [[nodiscard]] LamportClock& clock() noexcept { return clock_; }

    [[nodiscard]] TaskRegistry& registry() noexcept { return registry_; }
    /// Filled before a worker starts, then only read.
    [[nodiscard]] TaskHooks& task_hooks() noexcept { return task_hooks_; }
    [[nodiscard]] WorkerHooks& worker_hooks() noexcept { return worker_hooks_; }
    /// What a module below this one keeps with each app, made when it is first asked for. Asking is
    /// thread-safe; what it returns lives as long as the app.
    template <class T>
    [[nodiscard]] T& part() {
        const std::lock_guard lock{mutex_};
        std::shared_ptr<void>& part = parts_[typeid(T)];
        if (!part) part = std::make_shared<T>();
        return *static_cast<T*>(part.get());
    }
    void configure(Settings settings);
    /// What configure() was given; nothing when nobody called it. Thread-safe.
    [[nodiscard]] std::optional<Settings> configured();
    /// Sends and reads go through `client` instead of connections of this process's own: broker(),
    /// results() and state() do not exist then. Before the first use.
    void use_client(std::unique_ptr<Client> client);
    /// Loads them on first use; from then on they are fixed. Thread-safe.
    [[nodiscard]] const Settings& settings();
    [[nodiscard]] const Router& router();

    /// The loop the connections belong to; its thread starts on first use. Thread-safe.
    [[nodiscard]] Loop& loop();

    // Below: on the loop only.

    /// Connects broker, result backend and state store once; calling it when connected is cheap. A
    /// failed attempt is repeated by the next call.
    [[nodiscard]] Awaitable<Result<void>> connect(Deadline deadline);
    /// The broker alone, for what needs no results. Errors: unavailable where a client takes the
    /// connections' place.
    [[nodiscard]] Awaitable<Result<void>> connect_broker(Deadline deadline);
    /// Errc::closed for everything that follows.
    [[nodiscard]] Awaitable<void> close(Deadline deadline);

    [[nodiscard]] bool connected() const noexcept { return connected_; }

    // Valid after a successful connect(); the broker after connect_broker(), too.
    [[nodiscard]] Broker& broker() { return *broker_; }
    [[nodiscard]] ResultBackend& results() { return *results_; }
    [[nodiscard]] StateStore& state() { return *state_; }
    [[nodiscard]] Client& client() { return *client_; }

private:
    struct Connecting;
    Result<void> make_drivers();
    Awaitable<Result<void>> connect_drivers(Deadline deadline);

    std::string name_;
    std::string client_id_;
    std::string origin_;
    LamportClock clock_;
    TaskRegistry registry_;
    TaskHooks task_hooks_;
    WorkerHooks worker_hooks_;

    std::mutex mutex_;  // guards the four below
    std::optional<Settings> settings_;
    std::optional<Router> router_;
    bool in_use_ = false;
    std::map<std::type_index, std::shared_ptr<void>> parts_;

    Loop loop_;
    std::unique_ptr<Broker> broker_;
    std::unique_ptr<ResultBackend> results_;
    std::unique_ptr<StateStore> state_;
    std::unique_ptr<Client> client_;
    std::unique_ptr<Notifier> connect_ended_;
    bool connected_ = false;
    bool connecting_ = false;
    bool closed_ = false;
};

/// What a stored revocation asks for.
enum class Revocation : std::uint8_t {
    none,
    revoked,    ///< The task shall not start.
    terminate,  ///< The same, and when it runs it shall stop.
};

/// The state-store key under which a revocation is kept, and its value: "revoked", "terminate", or
/// "terminate SIGUSR1" when the signal is not SIGTERM.
[[nodiscard]] std::string revocation_key(const std::string& task_id);
[[nodiscard]] std::string revocation_value(const RevokeOptions& options);
[[nodiscard]] Revocation revocation_from(std::string_view value) noexcept;
/// The signal a value asks for; SIGTERM for one that names none, or none that exists.
[[nodiscard]] int revocation_signal(std::string_view value) noexcept;

/// How long a revocation is kept: as long as the REVOKED record, and at least three hours, which is
/// what Celery's workers do.
[[nodiscard]] std::chrono::milliseconds revocation_lifetime(const Settings& settings) noexcept;
/// The longest time that a broker is asked to keep a task from the workers at once: well within the
/// lifetime of a revocation, so that a worker looks at every waiting task before it lapses.
[[nodiscard]] std::chrono::milliseconds longest_delay(const Settings& settings) noexcept;

}  // namespace lovage
