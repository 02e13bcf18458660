#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lovage::net {

/// A listening socket as a line of /proc/net/tcp or tcp6 shows it.
struct ListeningSocket {
    std::uint64_t inode = 0;
    std::uint32_t user_id = 0;
};

/// Finds who listens on TCP `port` in the text of /proc/net/tcp or /proc/net/tcp6 (format:
/// proc(5)).
[[nodiscard]] std::optional<ListeningSocket> find_listening_socket(std::string_view proc_net_tcp,
                                                                   std::uint16_t port);

/// Who listens on TCP `port` of this machine, for an error message: "process 4242 (python3)", or "a
/// process of user 1000" when we may not look into it; empty when nobody is found. Reads /proc;
/// blocks.
[[nodiscard]] std::string describe_port_holder(std::uint16_t port);

}  // namespace lovage::net
