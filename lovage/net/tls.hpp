#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/deadline.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace lovage::net {

enum class TlsVerify : std::uint8_t {
    required,  ///< The other side's certificate must be there and trusted.
    none,      ///< Anything goes: encrypted, but to whom is anybody's guess.
};

/// The client's side of a TLS connection (1.2 or 1.3). Files are PEM and are read anew for every
/// connection, so that replaced certificates are taken up by the next one.
struct TlsOptions {
    std::string ca_file;           ///< Empty: the system's certificate authorities.
    std::string certificate_file;  ///< The client's certificate, with its chain; empty: none.
    std::string key_file;          ///< Its key; empty: in `certificate_file`.
    TlsVerify verify = TlsVerify::required;
    bool verify_host = true;  ///< With TlsVerify::required: the certificate names the server.
    std::string server_name;  ///< The name to ask for and to verify; empty: the host connected to.
};

/// The server's side.
struct TlsServerOptions {
    std::string certificate_file;
    std::string key_file;        ///< Empty: in `certificate_file`.
    std::string client_ca_file;  ///< When given, clients must show a certificate signed by it.
};

/// Connects to `host`:`port` and shakes hands.
///
/// The stream's read_some() reports an end that was not announced (close_notify) as
/// Errc::disconnected, because an attacker can cut a connection. After a write that failed or was
/// cancelled the stream can only be closed.
/// Errors: connect_tcp()'s; Errc::invalid_argument for files that cannot be used;
///         Errc::rejected when a certificate is not accepted, by us or by the other side;
///         Errc::malformed when the other side does not speak TLS; Errc::disconnected.
[[nodiscard]] Awaitable<Result<std::unique_ptr<Stream>>> connect_tls(std::string host,
                                                                     std::uint16_t port,
                                                                     TlsOptions options,
                                                                     Deadline deadline);

/// Shakes hands as the server on an accepted stream. Errors: as connect_tls().
[[nodiscard]] Awaitable<Result<std::unique_ptr<Stream>>> accept_tls(std::unique_ptr<Stream> stream,
                                                                    TlsServerOptions options,
                                                                    Deadline deadline);

}  // namespace lovage::net
