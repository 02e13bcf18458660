#include "free_port.hpp"

#include <cstddef>
#include <random>
#include <stdexcept>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace lovage::testing_support {
namespace {

/// Until this process ends, no other that asks in this way is given the port. False when another
/// has claimed it.
bool claim(std::uint16_t port) {
    const std::string name = "lovage-port-" + std::to_string(port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(&address.sun_path[1], sizeof address.sun_path - 1);  // behind a 0: it is no file
    const int mark = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (::bind(mark, reinterpret_cast<const sockaddr*>(&address), size) == 0) return true;
    ::close(mark);
    return false;
}

}  // namespace

std::uint16_t free_port() {
    std::minstd_rand random{std::random_device{}()};
    for (int attempt = 0; attempt < 1000; ++attempt) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // htons is a macro where the build optimises.
        std::uniform_int_distribution<std::uint16_t> ports{20'000, 31'999};
        const std::uint16_t port = ports(random);
        if (!claim(port)) continue;
        address.sin_port = htons(port);
        const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool free =
            ::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(probe);
        if (free) return port;
    }
    throw std::runtime_error{"no port between 20000 and 31999 is free on 127.0.0.1"};
}

}  // namespace lovage::testing_support
