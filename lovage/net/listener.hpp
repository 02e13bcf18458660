#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/net/stream.hpp>

namespace lovage::net {

/// A listening socket. Not thread-safe: it belongs to its executor's loop.
class Listener {
public:
    /// Listens on `host`:`port`; port 0 lets the system choose. The host is an address or a name,
    /// which is looked up here and now (this blocks: call it at start-up). Errors:
    /// Errc::already_exists when the port is taken, with the holder's pid and name where /proc
    /// shows
    ///         them; Errc::invalid_argument for a host that is none of ours; Errc::unavailable,
    ///         e.g. for a privileged port.
    [[nodiscard]] static Result<Listener> tcp(const Executor& executor, const std::string& host,
                                              std::uint16_t port);

    /// Listens on a Unix socket. A socket file that nobody listens on any more is replaced; the
    /// file is removed again by close(). Errors: Errc::already_exists when somebody listens there;
    /// Errc::unavailable.
    [[nodiscard]] static Result<Listener> local(const Executor& executor, const std::string& path);

    Listener(Listener&&) noexcept;
    Listener& operator=(Listener&&) noexcept;
    ~Listener();

    /// The next connection, with TCP_NODELAY and a TCP_USER_TIMEOUT of 20 s set. When the process
    /// or the system is out of file descriptors or buffers, it logs that once and tries again every
    /// 200 ms. Lifetime: `*this` must outlive the returned Awaitable. Errors:   Errc::cancelled
    /// after close().
    [[nodiscard]] Awaitable<Result<std::unique_ptr<Stream>>> accept();

    /// Stops listening; accept() ends. Any number of times.
    void close() noexcept;

    /// The port bound; 0 for a Unix socket.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// "127.0.0.1:5000", "[::1]:5000" or "unix:/path".
    [[nodiscard]] const std::string& address() const noexcept;

private:
    struct Impl;
    explicit Listener(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lovage::net
