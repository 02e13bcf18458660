#pragma once

#include <cerrno>

namespace lovage::net::detail {

/// Is the error number one of the connection that was about to be accepted, not of the listening
/// socket? Linux hands such on from accept(2); its manual says to treat them like EAGAIN.
[[nodiscard]] constexpr bool only_this_connection(int error) noexcept {
    switch (error) {
        case ECONNABORTED:
        case ECONNRESET:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETDOWN:
        case ENETUNREACH:
        case ENONET:
        case ENOPROTOOPT:
        case EOPNOTSUPP:
        case EPERM:  // A rule of the firewall.
        case EPROTO:
            return true;
        default:
            return false;
    }
}

}  // namespace lovage::net::detail
