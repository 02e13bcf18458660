#include "own_rabbitmq.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::chaos {
namespace {

/// The file's first line that starts with `prefix`, without it.
std::string line_after(const std::filesystem::path& file, const std::string& prefix) {
    std::ifstream stream{file};
    for (std::string line; std::getline(stream, line);) {
        if (line.starts_with(prefix)) return line.substr(prefix.size());
    }
    throw std::runtime_error{file.string() + " has no line that starts with " + prefix};
}

/// Its errors go to STATE.log.
std::string services_command(const std::filesystem::path& state, const std::string& command) {
    return "exec python3 '" LOVAGE_SERVICES_TOOL "' --state '" + state.string() + "' " + command +
           " 2>>'" + state.string() + ".log'";
}

/// A process that stops the server when this program has ended, however it did. Returns what keeps
/// it waiting.
int leave_guard(const std::filesystem::path& state) {
    const std::string command = services_command(state, "down --wipe");
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error{"no pipe"};
    const pid_t child = ::fork();
    if (child == 0) {
        // Twice, and in a session of its own: whoever ends this program with its children misses
        // it.
        ::setsid();
        if (::fork() != 0) ::_exit(0);
        ::close(ends[1]);
        const int nowhere = ::open("/dev/null", O_RDWR);
        for (const int standard : {0, 1, 2}) ::dup2(nowhere, standard);
        char ending = 0;
        while (::read(ends[0], &ending, 1) < 0 && errno == EINTR) {
        }
        ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        ::_exit(127);
    }
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return ends[1];
}

}  // namespace

OwnRabbitMq::OwnRabbitMq(std::filesystem::path state)
    : state_{std::filesystem::absolute(std::move(state))} {
    std::filesystem::remove(state_.string() + ".log");
    alive_ = leave_guard(state_);
    try {
        services("down --wipe");  // what a run before us left, if the machine failed under it
        start();
    } catch (...) {
        ::close(alive_);
        throw;
    }
    url_ = line_after(state_ / "env", "export LOVAGE_TEST_AMQP_URL=");
    std::erase(url_, '\'');
}

OwnRabbitMq::~OwnRabbitMq() {
    try {
        kill();  // its data are of no use to anybody
        services("down --wipe");
    } catch (const std::exception&) {
        // The guard tries again.
    }
    ::close(alive_);
}

void OwnRabbitMq::services(const std::string& command) const {
    (void)output_of(command);
}

std::string OwnRabbitMq::query(const std::string& arguments) const {
    return output_of("ctl " + arguments);
}

std::string OwnRabbitMq::output_of(const std::string& command) const {
    FILE* const pipe = ::popen(services_command(state_, command).c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error{"no shell"};
    std::string text;
    std::array<char, 4096> buffer{};
    while (const std::size_t bytes = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        text.append(buffer.data(), bytes);
    }
    if (::pclose(pipe) == 0) return text;
    std::ifstream log{state_.string() + ".log"};
    throw std::runtime_error{"tools/services " + command + " failed:\n" + text +
                             std::string{std::istreambuf_iterator<char>{log}, {}}};
}

pid_t OwnRabbitMq::pid() const {
    return static_cast<pid_t>(std::stol(line_after(state_ / "rabbitmq" / "rabbitmq.pid", "")));
}

void OwnRabbitMq::kill() const {
    ::kill(pid(), SIGKILL);
}
void OwnRabbitMq::start() {
    services("up --only rabbitmq");
}
void OwnRabbitMq::pause() const {
    ::kill(pid(), SIGSTOP);
}
void OwnRabbitMq::resume() const {
    ::kill(pid(), SIGCONT);
}
void OwnRabbitMq::control(const std::string& arguments) const {
    services("ctl " + arguments);
}

bool OwnRabbitMq::has_logged(const std::string& text) const {
    for (const auto& entry : std::filesystem::directory_iterator{state_ / "rabbitmq" / "log"}) {
        std::ifstream log{entry.path()};
        for (std::string line; std::getline(log, line);) {
            if (line.contains(text)) return true;
        }
    }
    return false;
}

}  // namespace lovage::chaos
