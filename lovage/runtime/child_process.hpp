#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/runtime/file_descriptor.hpp>

#include <sys/types.h>

namespace lovage {

/// How a process ended.
struct ExitStatus {
    int code = -1;   ///< -1 when a signal ended it, or when nobody can tell.
    int signal = 0;  ///< 0 when it exited.
    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};
/// "exit code 3", "signal 11 (SIGSEGV)", "unknown end".
[[nodiscard]] std::string to_string(const ExitStatus& status);
/// "SIGSEGV", "SIGRTMIN+1"; "signal 99" for a number that is none.
[[nodiscard]] std::string signal_name(int signal);
/// The way back, "SIG" may be left out; nothing for a name that is none.
[[nodiscard]] std::optional<int> signal_number(std::string_view name) noexcept;

/// A process started by this one. Not thread-safe.
///
/// The kernel ties a child's parent-death signal (prctl(2), PR_SET_PDEATHSIG) to the *thread* that
/// started it: start children that use it from a thread that lives as long as they shall.
class ChildProcess {
public:
    struct Options {
        std::string program;                   ///< Path; never searched.
        std::vector<std::string> arguments;    ///< argv, the program's own name first.
        std::vector<std::string> environment;  ///< "NAME=value", complete.
        /// Descriptors of this process and the numbers under which the child has them; any other
        /// than 0, 1 and 2 is closed in the child. Without an entry those are this process's own.
        std::vector<std::pair<int, int>> descriptors;
    };

    /// Starts a process without copying this one's memory (posix_spawn): the calling thread waits
    /// for the exec only. Every signal has its default action in the child, and those that people
    /// and service managers send (INT, TERM, QUIT, HUP) are blocked until it unblocks them.
    /// Errors: unavailable, naming program and reason.
    [[nodiscard]] static Result<ChildProcess> start(const Options& options);

    ChildProcess(ChildProcess&& other) noexcept
        : pid_{std::exchange(other.pid_, -1)},
          pidfd_{std::move(other.pidfd_)},
          status_{other.status_} {}
    ChildProcess& operator=(ChildProcess&& other) noexcept;
    /// Kills it when it still runs, and waits for its end.
    ~ChildProcess();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// A pidfd: readable once the process has ended.
    [[nodiscard]] int descriptor() const noexcept { return pidfd_.get(); }
    /// Sends a signal; nothing happens when it has ended. A process that is stopped or ignores
    /// everything still dies of SIGKILL.
    void signal(int number) const noexcept;
    /// How it ended; nothing while it runs. Does not wait.
    [[nodiscard]] std::optional<ExitStatus> ended();

private:
    ChildProcess(pid_t pid, FileDescriptor pidfd) noexcept : pid_{pid}, pidfd_{std::move(pidfd)} {}
    void end() noexcept;

    pid_t pid_ = -1;
    FileDescriptor pidfd_;
    std::optional<ExitStatus> status_;
};

}  // namespace lovage
