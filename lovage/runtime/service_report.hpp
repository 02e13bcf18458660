#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/service_manager.hpp>

namespace lovage {

/// What a service tells its manager, kept up to date from its own loop: ready, stopping, a status
/// line, and the watchdog's sign of life.
///
/// The sign of life is sent by a timer of the loop and by nothing else: a loop that hangs misses
/// it, and the manager acts. Belongs to the loop.
class ServiceReport {
public:
    enum class Phase : std::uint8_t { starting, serving, stopping };
    struct State {
        Phase phase = Phase::starting;
        std::string status;  ///< One line for people.
    };

    /// `state` is called on the loop, at most a few times a second. Lifetime: it and what it uses
    /// must outlive the report.
    ServiceReport(Executor executor, ServiceManager manager, std::function<State()> state);

    /// Something changed: it is looked at soon, not only at the next interval.
    void changed() { changed_.notify_all(); }

    /// Reports until it is cancelled; at once when there is no manager.
    [[nodiscard]] Awaitable<void> run();

private:
    void tell();

    ServiceManager manager_;
    std::function<State()> state_;
    Phase told_ = Phase::starting;
    std::string told_status_;
    Notifier changed_;
};

}  // namespace lovage
