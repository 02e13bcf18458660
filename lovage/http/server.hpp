#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/wire/request_reader.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage::http {

/// Bounds of a server. Times are checked about once a second, so they are met a second late at
/// most.
struct ServerOptions {
    wire::ReaderLimits limits;
    /// From a request's first byte (a connection's beginning, for its first request) to the end of
    /// its head.
    std::chrono::milliseconds header_time = std::chrono::seconds{10};
    /// From there to the end of its body.
    std::chrono::milliseconds body_time = std::chrono::seconds{60};
    /// Without a request on a connection that is kept alive.
    std::chrono::milliseconds idle_time = std::chrono::seconds{60};
    /// For the client to take (a 256 KiB piece of) a reply.
    std::chrono::milliseconds write_time = std::chrono::seconds{20};
    /// Connections at a time; more wait in the system's queue.
    std::size_t connections = 1024;
    /// Threads that run plain handlers; they are started by the first such request.
    std::size_t blocking_threads = 8;
};

/// Serves an Api over TCP and Unix sockets: HTTP/1.1 with keep-alive and pipelining.
///
/// Everything happens on the executor's loop, except plain handlers, which run on the server's own
/// pool. Life: listen(), run(), request_stop(), join(). The destructor asserts that nothing runs.
class Server {
public:
    /// Freezes `api`. Lifetime: it must outlive the server.
    Server(Executor executor, Api& api, ServerOptions options = {});
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Binds an address; port 0 lets the system choose. Any number of times, before run(). Blocks
    /// for the look-up of a name. Errors: as net::Listener; name the option that changes the port
    /// when it is already_exists.
    [[nodiscard]] Result<void> listen(const std::string& host, std::uint16_t port);
    [[nodiscard]] Result<void> listen_unix(const std::string& path);
    /// The port of the first TCP listener; 0 when there is none.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// "http://127.0.0.1:5000", "unix:/run/api.sock".
    [[nodiscard]] std::vector<std::string> urls() const;

    /// Serves until request_stop() was called and every connection has ended.
    /// Lifetime: `*this` must outlive the returned Awaitable.
    [[nodiscard]] Awaitable<void> run();

    /// Stops listening, turns /health/ready red, closes idle connections and lets the requests
    /// under way finish, each with "Connection: close". Any thread, any number of times, before or
    /// during run().
    void request_stop() noexcept;

    /// Waits for the end of run(). When the deadline passes first, cancels the handlers that still
    /// run and closes their connections, and returns false. A plain handler that blocks cannot be
    /// cancelled: it is waited for.
    [[nodiscard]] Awaitable<bool> join(Deadline deadline);

    [[nodiscard]] std::size_t connections() const noexcept;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace lovage::http
