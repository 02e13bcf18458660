#include <lovage/runtime/child_process.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage {

namespace {

/// The numbers a child gets its descriptors under lie below this one, their sources above: no copy
/// can overwrite the source of a later one.
constexpr int kSourcesFrom = 64;

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> list;
    list.reserve(texts.size() + 1);
    // posix_spawn's signature is older than const; it writes nothing.
    for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
}

/// posix_spawn's two parameter objects, freed at the end.
struct SpawnParameters {
    SpawnParameters() {
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
    }
    ~SpawnParameters() {
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
    }
    SpawnParameters(const SpawnParameters&) = delete;
    SpawnParameters& operator=(const SpawnParameters&) = delete;

    void set_signals() {
        sigset_t all;
        sigfillset(&all);
        ::posix_spawnattr_setsigdefault(&attributes, &all);
        sigset_t blocked;
        sigemptyset(&blocked);
        for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGHUP}) sigaddset(&blocked, signal);
        ::posix_spawnattr_setsigmask(&attributes, &blocked);
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    }

    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
};

std::unexpected<Error> cannot(const std::string& what, int reason) {
    return fail(Errc::unavailable, fmt::format("{}: {}", what, std::strerror(reason)));
}

}  // namespace

void FileDescriptor::reset(int number) noexcept {
    if (number_ >= 0) ::close(number_);
    number_ = number;
}

std::string signal_name(int signal) {
    if (const char* const name = ::sigabbrev_np(signal)) return fmt::format("SIG{}", name);
    if (signal >= SIGRTMIN && signal <= SIGRTMAX) {
        return fmt::format("SIGRTMIN+{}", signal - SIGRTMIN);
    }
    return fmt::format("signal {}", signal);
}

std::optional<int> signal_number(std::string_view name) noexcept {
    if (name.starts_with("SIG")) name.remove_prefix(3);
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
        const char* const known = ::sigabbrev_np(signal);
        if (known != nullptr && name == known) return signal;
    }
    constexpr std::string_view kRealTime = "RTMIN+";
    if (!name.starts_with(kRealTime)) return std::nullopt;
    name.remove_prefix(kRealTime.size());
    int offset = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), offset);
    const bool read = error == std::errc{} && stop == name.data() + name.size();
    if (!read || offset < 0 || offset > SIGRTMAX - SIGRTMIN) return std::nullopt;
    return SIGRTMIN + offset;
}

std::string to_string(const ExitStatus& status) {
    if (status.signal != 0) {
        return fmt::format("signal {} ({})", status.signal, signal_name(status.signal));
    }
    return status.code < 0 ? "unknown end" : fmt::format("exit code {}", status.code);
}

Result<ChildProcess> ChildProcess::start(const Options& options) {
    SpawnParameters spawn;
    spawn.set_signals();
    std::vector<FileDescriptor> sources;
    int first_free = STDERR_FILENO + 1;
    for (const auto& [own, number] : options.descriptors) {
        LOVAGE_ASSERT(number >= 0 && number < kSourcesFrom);
        FileDescriptor source{::fcntl(own, F_DUPFD_CLOEXEC, kSourcesFrom)};
        if (!source) {
            // EINVAL: this process may not have that many, which a reader should be told alike.
            return cannot("a descriptor cannot be copied for a child process",
                          errno == EINVAL ? EMFILE : errno);
        }
        ::posix_spawn_file_actions_adddup2(&spawn.actions, source.get(), number);
        sources.push_back(std::move(source));
        first_free = std::max(first_free, number + 1);
    }
    // What other code opened without O_CLOEXEC is not the child's either.
    ::posix_spawn_file_actions_addclosefrom_np(&spawn.actions, first_free);
    pid_t pid = -1;
    const int problem =
        ::posix_spawn(&pid, options.program.c_str(), &spawn.actions, &spawn.attributes,
                      pointers(options.arguments).data(), pointers(options.environment).data());
    if (problem != 0) return cannot(options.program + " cannot be started", problem);
    // The process cannot have been reaped, so the number is still its own.
    FileDescriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    const int reason = errno;
    const bool opened = static_cast<bool>(pidfd);
    ChildProcess child{pid, std::move(pidfd)};
    if (!opened) return cannot("pidfd_open (needs Linux 5.3)", reason);
    return child;
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    if (this != &other) {
        end();
        pid_ = other.pid_;
        pidfd_ = std::move(other.pidfd_);
        status_ = other.status_;
        other.pid_ = -1;
    }
    return *this;
}

ChildProcess::~ChildProcess() {
    end();
}

void ChildProcess::end() noexcept {
    if (pid_ < 0 || status_) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

void ChildProcess::signal(int number) const noexcept {
    // Not reaped yet, so the number is still its own.
    if (pid_ > 0 && !status_) ::kill(pid_, number);
}

std::optional<ExitStatus> ChildProcess::ended() {
    if (status_ || pid_ < 0) return status_;
    int status = 0;
    const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
    if (reaped == 0 || (reaped < 0 && errno == EINTR)) return std::nullopt;
    // Reaped by somebody else (SIGCHLD ignored): it has ended, nobody knows how.
    status_ = ExitStatus{};
    if (reaped > 0 && WIFEXITED(status)) status_->code = WEXITSTATUS(status);
    if (reaped > 0 && WIFSIGNALED(status)) status_->signal = WTERMSIG(status);
    return status_;
}

}  // namespace lovage
