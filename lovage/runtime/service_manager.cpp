#include <lovage/runtime/service_manager.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/core.h>

namespace lovage {

namespace {

/// The variable's value; empty when it is not set.
std::string value_of(const std::map<std::string, std::string>& environment, const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string{} : found->second;
}

std::optional<std::uint64_t> whole_number(const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

/// A datagram socket that sends to `name`.
Result<FileDescriptor> connect_to(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const bool abstract = name.starts_with('@');
    if (!abstract && !name.starts_with('/')) {
        return fail(Errc::invalid_argument, "it is neither an absolute path nor an abstract name");
    }
    // A path ends with a zero byte, an abstract name with the address.
    if (name.size() + (abstract ? 0 : 1) > sizeof address.sun_path) {
        return fail(Errc::invalid_argument, "it is too long for the address of a socket");
    }
    std::ranges::copy(name, address.sun_path);
    if (abstract) address.sun_path[0] = '\0';
    FileDescriptor socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const auto length = offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1);
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(length)) != 0) {
        return fail(Errc::unavailable, std::strerror(errno));
    }
    return socket;
}

/// A message is lines of NAME=VALUE, so a value is one line.
std::string one_line(std::string_view text) {
    std::string line{text};
    std::ranges::replace(line, '\n', ' ');
    return line;
}

}  // namespace

ServiceManager::ServiceManager(const std::map<std::string, std::string>& environment, pid_t pid) {
    const std::string name = value_of(environment, "NOTIFY_SOCKET");
    if (name.empty()) return;
    auto socket = connect_to(name);
    if (!socket) {
        problem_ = fmt::format("NOTIFY_SOCKET={} cannot be used: {}", one_line(name),
                               socket.error().detail);
        return;
    }
    socket_ = std::move(*socket);
    const std::string meant = value_of(environment, "WATCHDOG_PID");
    if (!meant.empty() && meant != std::to_string(pid)) return;
    // Up to ten years: more is no interval that anybody meant, and stays clear of overflow.
    constexpr std::uint64_t kLongest = std::uint64_t{10} * 366 * 86400 * 1'000'000;
    const auto allowed = whole_number(value_of(environment, "WATCHDOG_USEC"));
    if (!allowed || *allowed < 2 || *allowed > kLongest) return;
    watchdog_interval_ = std::chrono::microseconds{*allowed / 2};
}

Result<void> ServiceManager::ready(std::string_view status) const {
    return send("READY=1\nSTATUS=" + one_line(status));
}
Result<void> ServiceManager::stopping(std::string_view status) const {
    return send("STOPPING=1\nSTATUS=" + one_line(status));
}
Result<void> ServiceManager::status(std::string_view status) const {
    return send("STATUS=" + one_line(status));
}
Result<void> ServiceManager::watchdog() const {
    return send("WATCHDOG=1");
}

Result<void> ServiceManager::send(const std::string& message) const {
    if (!socket_) return {};
    while (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
        if (errno == EINTR) continue;
        return fail(Errc::unavailable,
                    fmt::format("the service manager was not told: {}", std::strerror(errno)));
    }
    return {};
}

}  // namespace lovage
