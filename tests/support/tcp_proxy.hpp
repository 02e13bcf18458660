#pragma once

#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace lovage::testing_support {

/// The three forms in which a connection is lost.
enum class Ending : std::uint8_t {
    reset,    ///< RST at once, as when a process dies or a firewall loses its table.
    close,    ///< FIN after everything that has been forwarded.
    silence,  ///< Nothing: it stays open, and whatever is sent into it vanishes.
};

enum class Way : std::uint8_t { to_server, to_client };

/// How bytes travel one way.
struct Flow {
    /// Each piece that is read waits that long; what comes meanwhile waits in the socket.
    std::chrono::milliseconds delay{0};
    /// Largest piece that is written at once; 0: pieces go on as they came.
    std::size_t slice_bytes = 0;
    /// Nothing moves, nothing is lost, and senders block once the sockets are full.
    bool stalled = false;
};

/// What a new connection meets.
enum class Door : std::uint8_t {
    open,
    refuse,  ///< Nobody listens: ECONNREFUSED.
    silent,  ///< It is accepted, and never hears a word.
};

/// A TCP proxy on 127.0.0.1 in front of one server that does to connections what networks do.
///
/// It runs on a thread of its own. Every call takes effect before it returns. Thread-safe.
class TcpProxy {
public:
    /// What has happened so far: a fault that did nothing proves nothing.
    struct Counts {
        std::uint64_t accepted = 0;         ///< Connections let in, silent ones included.
        std::uint64_t open = 0;             ///< Of these, those that still exist.
        std::uint64_t broken = 0;           ///< Of these, those ended or silenced by a fault.
        std::uint64_t to_server_bytes = 0;  ///< Forwarded.
        std::uint64_t to_client_bytes = 0;
    };

    /// `upstream_url` has a host, an address of this machine or a name, and a port. Throws
    /// LovageError or std::runtime_error.
    explicit TcpProxy(const std::string& upstream_url);
    /// Resets what is open.
    ~TcpProxy();
    TcpProxy(const TcpProxy&) = delete;
    TcpProxy& operator=(const TcpProxy&) = delete;

    /// The port stays the same while nobody listens on it. It is below the kernel's ephemeral
    /// range, where a client could be given it as its own and connect to itself.
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// The upstream URL, but through the proxy.
    [[nodiscard]] const std::string& url() const noexcept;

    /// For connections that exist and that will.
    void set_flow(Way way, Flow flow);
    void set_flow(Flow both_ways);
    /// For new connections; those that exist go on.
    void set_door(Door door);

    /// Ends every open connection.
    void end_connections(Ending ending);
    /// Resets every open connection on the server's side only: clients go on with connections that
    /// nobody serves, while the server takes their messages for unsettled.
    void forget_clients();
    /// Each new connection is ended when exactly `bytes` of one way have been forwarded: with 0, as
    /// soon as the server has accepted it.
    void cut_after(Way way, std::size_t bytes, Ending ending);

    /// The network is gone: silence for all there is and all that comes.
    void go_silent();
    /// New connections meet an open door, nothing is cut, stalled or delayed. What is silent stays
    /// silent: its bytes are lost.
    void heal();

    [[nodiscard]] Counts counts() const;
    /// False when the deadline passed first.
    [[nodiscard]] bool wait_until(const std::function<bool(const Counts&)>& condition,
                                  Deadline deadline) const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lovage::testing_support
