#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>
#include <lovage/runtime/file_descriptor.hpp>

#include <sys/types.h>

namespace lovage {

/// What a service manager says to a service in its environment, and the way to answer: systemd's
/// `Type=notify` and watchdog (sd_notify(3), sd_watchdog_enabled(3)), spoken without its library.
/// Without a manager nothing is sent.
///
/// Thread-safe. No call blocks.
class ServiceManager {
public:
    ServiceManager() = default;
    /// Reads NOTIFY_SOCKET (a path, or '@' and a name in the abstract namespace), WATCHDOG_USEC and
    /// WATCHDOG_PID. `pid` is this process: a watchdog that is meant for another one is left alone.
    /// What cannot be used, such as a relative path, counts as absent and is said in problem().
    ServiceManager(const std::map<std::string, std::string>& environment, pid_t pid);

    /// Somebody listens.
    [[nodiscard]] bool present() const noexcept { return static_cast<bool>(socket_); }
    /// How often watchdog() is due: half of what the manager allows. Nothing: it does not ask.
    [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval() const noexcept {
        return watchdog_interval_;
    }
    /// Why there is no manager although the environment names one; empty: all is well.
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

    // The service's states. Each says whether the manager's socket took the message; success when
    // there is no manager. Errors: unavailable (nobody listens any more, or the socket is full).

    /// READY=1: the service serves. `status` is one line for people; line feeds become blanks.
    Result<void> ready(std::string_view status) const;
    /// STOPPING=1.
    Result<void> stopping(std::string_view status) const;
    /// STATUS=…
    Result<void> status(std::string_view status) const;
    /// WATCHDOG=1: the service is alive.
    Result<void> watchdog() const;

private:
    [[nodiscard]] Result<void> send(const std::string& message) const;

    FileDescriptor socket_;  ///< Connected.
    std::optional<std::chrono::microseconds> watchdog_interval_;
    std::string problem_;
};

}  // namespace lovage
