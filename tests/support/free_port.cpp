#include "free_port.hpp"

#include <random>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lovage::testing_support {

std::uint16_t free_port() {
    std::minstd_rand random{std::random_device{}()};
    for (int attempt = 0; attempt < 1000; ++attempt) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // htons is a macro where the build optimises.
        std::uniform_int_distribution<std::uint16_t> ports{20'000, 31'999};
        address.sin_port = htons(ports(random));
        const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool free =
            ::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(probe);
        if (free) return ntohs(address.sin_port);
    }
    throw std::runtime_error{"no port between 20000 and 31999 is free on 127.0.0.1"};
}

}  // namespace lovage::testing_support
