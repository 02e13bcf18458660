#include "notify_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace lovage::integration {

NotifySocket::NotifySocket(const std::string& name) : name_{name} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.size() >= sizeof address.sun_path) throw std::runtime_error{name + " is too long"};
    std::ranges::copy(name, address.sun_path);
    if (name.starts_with('@')) address.sun_path[0] = '\0';
    const auto length = offsetof(sockaddr_un, sun_path) + name.size();
    descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(length)) != 0) {
        const int reason = errno;
        ::close(descriptor_);
        throw std::runtime_error{name + ": " + std::strerror(reason)};
    }
}

NotifySocket::~NotifySocket() {
    ::close(descriptor_);
}

bool NotifySocket::wait_for(std::string_view beginning, Deadline deadline) {
    while (true) {
        while (read_ < lines_.size()) {
            if (lines_[read_++].starts_with(beginning)) return true;
        }
        if (!receive(deadline)) return false;
    }
}

bool NotifySocket::receive(Deadline deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
    pollfd wanted{.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, static_cast<int>(left.count())) <= 0) return false;
    std::array<char, 4096> text{};
    const ssize_t size = ::recv(descriptor_, text.data(), text.size(), 0);
    if (size < 0) return false;
    std::istringstream message{std::string(text.data(), static_cast<std::size_t>(size))};
    for (std::string line; std::getline(message, line);) lines_.push_back(line);
    return true;
}

}  // namespace lovage::integration
