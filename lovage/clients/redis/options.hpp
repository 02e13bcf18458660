#pragma once

#include <lovage/clients/redis/call_queue.hpp>
#include <lovage/clients/redis/liveness.hpp>
#include <lovage/clients/redis/reply_parser.hpp>
#include <lovage/core/error.hpp>
#include <lovage/net/tls.hpp>
#include <lovage/runtime/url.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace lovage::redis {

/// Where a server is, who we are there, and how patient.
struct Options {
    std::string host = "localhost";
    std::uint16_t port = 6379;
    std::string socket_path;              ///< When given: a Unix socket instead of host and port.
    std::optional<net::TlsOptions> tls;   ///< When given: TLS over TCP.
    std::string user;                     ///< Empty: the user "default".
    std::optional<std::string> password;  ///< None: no AUTH.
    std::uint32_t database = 0;
    std::string client_name;  ///< What CLIENT LIST shows; letters, digits and punctuation only.

    std::chrono::milliseconds connect_timeout{5'000};  ///< With TLS and greeting.
    /// The longest pause between two attempts to connect. Shorter than net::Backoff's own, so that
    /// results flow within five seconds of the server's return.
    std::chrono::milliseconds reconnect_longest{4'000};
    Liveness::Limits liveness;
    CallQueue::Limits queue;
    ReplyLimits replies;

    /// For people, without the password: "redis://user:********@host:6379/0".
    [[nodiscard]] std::string display_url() const;
};

/// Reads `redis://user:password@host:port/database?…`, `rediss://…` (TLS), and for Unix sockets
/// `redis+socket:///path?virtual_host=0` (Celery), `socket:///path` and `unix:///path?db=0`
/// (redis-py). Query keys are redis-py 4.3's and Celery 5's: db, virtual_host, username, password,
/// client_name, socket_connect_timeout (seconds), ssl_cert_reqs (required, optional, none or
/// CERT_…), ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname. Settings that mean nothing
/// here (health_check_interval, max_connections, …) are left alone.
///
/// Celery differs: rediss:// without ssl_cert_reqs is not an error but means "required", and host
/// names are verified unless ssl_check_hostname=false.
/// Errors: invalid_argument naming the part; the detail never holds the password.
[[nodiscard]] Result<Options> options_from_url(const Url& url);

}  // namespace lovage::redis
