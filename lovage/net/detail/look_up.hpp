#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include <cstdint>
#include <functional>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage::net::detail {

using Addresses = boost::asio::ip::tcp::resolver::results_type;

/// Looks up the addresses of a name. A name server may take half a minute to not answer, and
/// getaddrinfo() cannot be interrupted: the waiter leaves at its deadline, or when it is cancelled,
/// and the look-up ends by itself. An address needs no look-up.
/// Errors: Errc::not_found, Errc::deadline_exceeded; both name host and port.
[[nodiscard]] Awaitable<Result<Addresses>> look_up(std::string host, std::uint16_t port,
                                                   Deadline deadline);

/// Where a look-up's outcome goes, on the loop that asked. Copyable; it may be dropped.
using OnAddresses = std::function<void(boost::system::error_code, Addresses)>;
/// For tests: asked instead of the system, by all threads, while not empty. Change it only while
/// nothing is looked up.
using Resolver = std::function<void(const std::string& host, const OnAddresses& answer)>;
[[nodiscard]] Resolver& resolver_for_tests();

}  // namespace lovage::net::detail
