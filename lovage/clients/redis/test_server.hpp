#pragma once
// A Redis of a test's own, for what one must not do to a shared one: kill it, stop it, set
// passwords.

#include <lovage/clients/redis/options.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace lovage::redis {

/// Debian's redis-server on a Unix socket, with an empty folder of its own; ends with this object,
/// and with the test program however that ends. Without redis-server on this machine the
/// constructor throws, saying what installs it.
class TestServer {
public:
    /// `arguments` as on redis-server's command line.
    explicit TestServer(std::vector<std::string> arguments = {});
    ~TestServer();
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    /// How to connect, through the socket.
    [[nodiscard]] Options options() const;
    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

    /// 0 while it is killed.
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Like a crash: nothing is saved.
    void kill();
    /// As its operator does it, with SIGTERM: it saves first, if `arguments` say so.
    void stop();
    /// After kill() or stop(): the same server again, empty unless `arguments` say otherwise.
    void start();
    /// SIGSTOP and SIGCONT: it is there and silent, from the end of pause() on.
    void pause();
    void resume();
    /// Runs redis-cli with these arguments and returns what it prints, without the line's end.
    [[nodiscard]] std::string cli(const std::string& arguments) const;

private:
    void end(int signal);

    std::filesystem::path folder_;
    std::vector<std::string> arguments_;
    pid_t pid_ = 0;
};

}  // namespace lovage::redis
