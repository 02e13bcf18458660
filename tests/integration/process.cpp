#include "process.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::integration {

void PrintTo(const Ending& ending, std::ostream* out) {
    if (ending.signal != 0) {
        *out << "killed by signal " << ending.signal;
    } else {
        *out << "exit code " << ending.exit_code;
    }
}

Process::Process(const Options& options) {
    std::vector<std::string> arguments = options.arguments;
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string text = *variable;
        if (!options.environment.contains(text.substr(0, text.find('='))))
            variables.push_back(text);
    }
    for (const auto& [name, value] : options.environment) variables.push_back(name + "=" + value);
    std::vector<char*> envp;
    for (auto& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND;
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, options.output.c_str(), kFlags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, options.errors.c_str(), kFlags, 0600);
    posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
    // Sockets of the test's, such as a proxy's, are not the child's.
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    const int problem = posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) {
        throw std::runtime_error{"cannot start " + arguments[0] + ": " + std::strerror(problem)};
    }
    descriptor_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
}

Process::Process(Process&& other) noexcept
    : pid_{std::exchange(other.pid_, -1)},
      descriptor_{std::exchange(other.descriptor_, -1)},
      ending_{other.ending_} {}

Process& Process::operator=(Process&& other) noexcept {
    if (this != &other) {
        close();
        pid_ = std::exchange(other.pid_, -1);
        descriptor_ = std::exchange(other.descriptor_, -1);
        ending_ = other.ending_;
    }
    return *this;
}

Process::~Process() {
    close();
}

void Process::close() noexcept {
    if (pid_ < 0) return;
    kill();
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Process::signal(int number) const {
    if (pid_ > 0 && !ending_) ::kill(pid_, number);
}

std::optional<Ending> Process::wait(Deadline deadline) {
    if (ending_) return ending_;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    pollfd wanted{.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (poll(&wanted, 1, static_cast<int>(left.count())) <= 0) return std::nullopt;
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) return std::nullopt;
    ending_ = WIFEXITED(status) ? Ending{.exit_code = WEXITSTATUS(status)}
                                : Ending{.signal = WTERMSIG(status)};
    return ending_;
}

void Process::kill() {
    if (pid_ < 0 || ending_) return;
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    ending_ = Ending{.signal = SIGKILL};
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    // A thread that ends meanwhile takes its folder along, and a process that does so the whole
    // list.
    std::error_code ended;
    const auto threads = "/proc/" + std::to_string(parent) + "/task";
    for (std::filesystem::directory_iterator thread{threads, ended}, end; !ended && thread != end;
         thread.increment(ended)) {
        std::ifstream file{thread->path() / "children"};
        children.insert(children.end(), std::istream_iterator<pid_t>{file}, {});
    }
    return children;
}

bool all_children_ended() {
    const Deadline deadline = Deadline::in(std::chrono::seconds{30});
    while (!deadline.passed()) {
        const pid_t ended = waitpid(-1, nullptr, WNOHANG);
        if (ended < 0) return true;
        if (ended == 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return false;
}

}  // namespace lovage::integration
