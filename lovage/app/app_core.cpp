#include <lovage/app/app_core.hpp>

#include <lovage/app/direct_client.hpp>
#include <lovage/app/drivers.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/child_process.hpp>
#include <lovage/runtime/log.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>

#include <unistd.h>

namespace lovage {

namespace {

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
    return name.data();
}

}  // namespace

std::string revocation_key(const std::string& task_id) {
    return "revoked/" + task_id;
}
std::string revocation_value(const RevokeOptions& options) {
    if (!options.terminate) return "revoked";
    if (options.signal == SIGTERM) return "terminate";
    return "terminate " + signal_name(options.signal);
}
Revocation revocation_from(std::string_view value) noexcept {
    const bool terminate = value == "terminate" || value.starts_with("terminate ");
    return terminate ? Revocation::terminate : Revocation::revoked;
}
int revocation_signal(std::string_view value) noexcept {
    const std::size_t blank = value.find(' ');
    if (blank == std::string_view::npos) return SIGTERM;
    return signal_number(value.substr(blank + 1)).value_or(SIGTERM);
}

std::chrono::milliseconds revocation_lifetime(const Settings& settings) noexcept {
    constexpr std::chrono::seconds kLeast = std::chrono::hours{3};
    constexpr std::chrono::seconds kMost = std::chrono::hours{24 * 365};
    return std::max(kLeast, settings.result_expires.value_or(kMost));
}
std::chrono::milliseconds longest_delay(const Settings& settings) noexcept {
    return revocation_lifetime(settings) / 5 * 4;
}

AppCore::AppCore(std::string name)
    : name_{std::move(name)},
      client_id_{uuid4()},
      origin_{fmt::format("gen{}@{}", ::getpid(), host_name())},
      loop_{"lovage-io"} {}

/// In remote_control.cpp.
Awaitable<void> close_remote_control(AppCore* core, Deadline deadline);

AppCore::~AppCore() {
    if (broker_ && !closed_) {
        try {
            loop_.run_blocking(close(Deadline::in(std::chrono::seconds{5})));
        } catch (const std::exception& problem) {
            log::error("app", "closing the connections of '{}' failed: {}", name_, problem.what());
        }
    }
    // Drivers end on a stopped loop, so that nothing of theirs runs beside their destructors.
    loop_.stop_and_join();
}

void AppCore::configure(Settings settings) {
    const std::lock_guard lock{mutex_};
    if (in_use_) {
        throw LovageError{
            Error{Errc::invalid_argument,
                  "App::configure() must come before the first send, read or worker"}};
    }
    settings_ = std::move(settings);
}

void AppCore::use_client(std::unique_ptr<Client> client) {
    LOVAGE_ASSERT(!broker_ && !client_);
    client_ = std::move(client);
    connected_ = true;
}

std::optional<Settings> AppCore::configured() {
    const std::lock_guard lock{mutex_};
    return settings_;
}

const Settings& AppCore::settings() {
    const std::lock_guard lock{mutex_};
    if (!settings_) settings_ = value_or_throw(load_settings());
    in_use_ = true;
    return *settings_;
}

const Router& AppCore::router() {
    const Settings& known = settings();
    const std::lock_guard lock{mutex_};
    if (!router_) {
        std::vector<Router::Entry> entries;
        entries.reserve(known.task_routes.size());
        for (const auto& [pattern, route] : known.task_routes) {
            entries.push_back({pattern, {route.queue, route.priority}});
        }
        router_.emplace(std::move(entries));
    }
    return *router_;
}

Loop& AppCore::loop() {
    loop_.start();
    return loop_;
}

Result<void> AppCore::make_drivers() {
    if (client_) return {};
    try {
        const Settings& known = settings();
        auto broker = make_broker(loop_.executor(), known);
        results_ = make_results(loop_.executor(), known);
        state_ = make_state(loop_.executor(), known);
        broker_ = std::move(broker);
        connect_ended_ = std::make_unique<Notifier>(loop_.executor());
        client_ = std::make_unique<DirectClient>(*this);
        return {};
    } catch (const LovageError& problem) {
        return std::unexpected{problem.error()};
    }
}

Awaitable<Result<void>> AppCore::connect_drivers(Deadline deadline) {
    if (auto done = co_await broker_->connect(deadline); !done) co_return done;
    co_return co_await results_->connect(deadline);
}

/// One attempt to connect; others wait for its end, also when it is cancelled.
struct AppCore::Connecting {
    explicit Connecting(AppCore& of) : core{of} { core.connecting_ = true; }
    ~Connecting() {
        core.connecting_ = false;
        core.connect_ended_->notify_all();
    }
    Connecting(const Connecting&) = delete;
    Connecting& operator=(const Connecting&) = delete;
    AppCore& core;
};

Awaitable<Result<void>> AppCore::connect(Deadline deadline) {
    if (auto made = make_drivers(); !made) co_return made;
    while (!connected_) {
        if (closed_) co_return fail(Errc::closed, "the app '" + name_ + "' is closed");
        if (connecting_) {
            if (!co_await connect_ended_->wait(deadline) && connecting_) {
                co_return fail(Errc::deadline_exceeded,
                               "still connecting to " + broker_->display_url());
            }
            continue;
        }
        const Connecting attempt{*this};
        auto done = co_await connect_drivers(deadline);
        connected_ = done.has_value() && !closed_;
        if (!done) co_return done;
    }
    co_return Result<void>{};
}

Awaitable<Result<void>> AppCore::connect_broker(Deadline deadline) {
    if (auto made = make_drivers(); !made) co_return made;
    if (closed_) co_return fail(Errc::closed, "the app '" + name_ + "' is closed");
    if (!broker_) {
        co_return fail(Errc::unavailable, "a slot process has no broker; ask from outside tasks");
    }
    co_return co_await broker_->connect(deadline);
}

Awaitable<void> AppCore::close(Deadline deadline) {
    if (closed_) co_return;
    closed_ = true;
    connected_ = false;
    if (!broker_) co_return;
    co_await close_remote_control(this, deadline);
    co_await client_->close(deadline);
    co_await broker_->close(deadline);
    co_await results_->close(deadline);
    co_await state_->close(deadline);
}

}  // namespace lovage
