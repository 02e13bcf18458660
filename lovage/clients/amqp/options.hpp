#pragma once

#include <lovage/clients/amqp/session.hpp>
#include <lovage/core/error.hpp>
#include <lovage/net/tls.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::amqp {

/// One server, and how to log in there.
struct Endpoint {
    std::string host = "localhost";
    std::uint16_t port = 5672;
    std::optional<net::TlsOptions> tls;  ///< Nothing: plain TCP.
    SessionOptions session;

    /// "amqp://user@host:port/vhost", without the password; for logs and messages.
    [[nodiscard]] std::string display() const;
};

struct ClientOptions {
    /// Tried in turn; at least one.
    std::vector<Endpoint> endpoints;
    /// For resolving, connecting and the handshake with one of them.
    std::chrono::milliseconds connect_timeout{5000};
    /// Told, on the client's loop, of a queue whose last consumer on this client has gone. It must
    /// not throw, and must not use the client. Empty: nobody is told.
    std::function<void(const std::string& queue)> on_queue_left;
};

/// Reads one or several URLs, separated by `;`.
///
/// The schemes are `amqp`, `pyamqp` (as kombu calls it) and `amqps`; everything is percent-decoded,
/// and the path without its first slash is the virtual host, with nothing for `/` (kombu's reading;
/// the RabbitMQ URI specification differs only for `amqp://host/`). Query parameters are kombu's
/// and RabbitMQ's: `heartbeat` (seconds, 0: none), `ssl` (true or false), `ssl_ca_certs`,
/// `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs` (required, none), `cacertfile`, `certfile`,
/// `keyfile`, `verify` (verify_peer, verify_none), `server_name_indication`, `login_method` and
/// `auth_mechanism` (PLAIN, EXTERNAL), `connection_timeout` and `connect_timeout` (seconds),
/// `channel_max`, `frame_max`.
/// Errors: invalid_argument or malformed, naming what is wrong, never the password.
[[nodiscard]] Result<ClientOptions> parse_urls(std::string_view text);

}  // namespace lovage::amqp
