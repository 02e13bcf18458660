#include <lovage/clients/redis/test_server.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::redis {

namespace {

/// True when the server takes connections.
bool answers(const std::string& socket_path) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
    const bool connected =
        ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(probe);
    return connected;
}

/// In the child: becomes the server. Only what is allowed between fork and exec.
[[noreturn]] void become(char* const* argv, int log) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execvp(argv[0], argv);
    ::_exit(127);
}

}  // namespace

TestServer::TestServer(std::vector<std::string> arguments) : arguments_{std::move(arguments)} {
    std::string pattern = std::filesystem::temp_directory_path() / "lovage-redis-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"no folder for the test"};
    folder_ = pattern;
    start();
}

TestServer::~TestServer() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void TestServer::start() {
    std::vector<std::string> words{"redis-server",
                                   "--port",
                                   "0",
                                   "--unixsocket",
                                   folder_ / "redis.sock",
                                   "--dir",
                                   folder_,
                                   "--save",
                                   "",
                                   "--appendonly",
                                   "no"};
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    const std::string log_path = folder_ / "log";
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_ = ::fork();
    if (pid_ == 0) become(argv.data(), log);
    ::close(log);
    // Bounded by the test's own time limit.
    while (!answers(folder_ / "redis.sock")) {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) == pid_) {
            pid_ = 0;
            throw std::runtime_error{
                WIFEXITED(status) && WEXITSTATUS(status) == 127
                    ? "there is no redis-server; ./dev setup services installs it"
                    : "redis-server does not start; see " + log_path};
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
}

void TestServer::kill() {
    end(SIGKILL);
}
void TestServer::stop() {
    end(SIGTERM);
}

void TestServer::end(int signal) {
    if (pid_ == 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
    std::error_code ignored;
    std::filesystem::remove(folder_ / "redis.sock", ignored);
}

void TestServer::pause() {
    ::kill(pid_, SIGSTOP);
    // The signal alone is for one thread, which stops the others when it is scheduled.
    siginfo_t stopped{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT);
}
void TestServer::resume() {
    ::kill(pid_, SIGCONT);
}

Options TestServer::options() const {
    Options options;
    options.socket_path = folder_ / "redis.sock";
    return options;
}

std::string TestServer::cli(const std::string& arguments) const {
    const std::string command =
        "redis-cli -s " + (folder_ / "redis.sock").string() + " " + arguments + " 2>&1";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command.c_str(), "r"), ::pclose};
    std::string text;
    std::array<char, 4096> buffer{};
    while (const std::size_t bytes = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
        text.append(buffer.data(), bytes);
    }
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

}  // namespace lovage::redis
