// The only translation unit that names a socket type.
#include <lovage/net/detail/look_up.hpp>
#include <lovage/net/listener.hpp>
#include <lovage/net/port_holder.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <variant>

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace lovage::net {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono_literals::operator""ms;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kBuffersMax = 16;
constexpr auto kOutOfDescriptorsPause = 200ms;
constexpr int kUnacknowledgedTimeoutMs = 20'000;

Error io_error(const error_code& error, std::string_view what) {
    if (error == asio::error::operation_aborted) return {Errc::cancelled, std::string{what}};
    return {Errc::disconnected, fmt::format("{}: {}", what, error.message())};
}

std::string endpoint_text(const asio::ip::tcp::endpoint& endpoint) {
    const auto address = endpoint.address();
    if (address.is_v6()) return fmt::format("[{}]:{}", address.to_string(), endpoint.port());
    return fmt::format("{}:{}", address.to_string(), endpoint.port());
}

/// A program that a task starts must not keep our connections and ports: the peer of a worker that
/// died would not learn of it, and its successor could not listen.
void close_on_exec(int descriptor) {
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

void tune(asio::ip::tcp::socket& socket) {
    close_on_exec(socket.native_handle());
    error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay{true}, ignored);
    // Closes a connection whose peer has vanished while data waits to be acknowledged.
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedTimeoutMs,
                 sizeof kUnacknowledgedTimeoutMs);
}
void tune(asio::local::stream_protocol::socket& socket) {
    close_on_exec(socket.native_handle());
}

std::string peer_text(const asio::ip::tcp::socket& socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    return error ? std::string{"unknown"} : endpoint_text(endpoint);
}
std::string peer_text(const asio::local::stream_protocol::socket&) {
    return "unix";
}

/// What is still to be written, as the kernel wants it.
class GatherList {
public:
    explicit GatherList(std::span<const std::string_view> buffers) {
        LOVAGE_ASSERT(buffers.size() <= kBuffersMax);
        for (const auto& buffer : buffers) {
            if (buffer.empty()) continue;
            // sendmsg() does not write through iov_base; POSIX has no const variant of it.
            parts_[count_++] = {const_cast<char*>(buffer.data()), buffer.size()};
        }
    }
    [[nodiscard]] bool done() const noexcept { return first_ == count_; }
    [[nodiscard]] msghdr message() noexcept {
        msghdr header{};
        header.msg_iov = parts_.data() + first_;
        header.msg_iovlen = count_ - first_;
        return header;
    }
    void advance(std::size_t bytes) noexcept {
        while (first_ < count_ && bytes >= parts_[first_].iov_len) {
            bytes -= parts_[first_++].iov_len;
        }
        if (bytes == 0) return;
        parts_[first_].iov_base = static_cast<char*>(parts_[first_].iov_base) + bytes;
        parts_[first_].iov_len -= bytes;
    }

private:
    std::array<iovec, kBuffersMax> parts_{};
    std::size_t first_ = 0;
    std::size_t count_ = 0;
};

template <class Socket>
class SocketStream final : public Stream {
public:
    explicit SocketStream(Socket socket) : socket_{std::move(socket)}, peer_{peer_text(socket_)} {
        error_code ignored;
        socket_.native_non_blocking(true, ignored);
        tune(socket_);
    }

    Awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
        auto [error, bytes] =
            co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kAwait);
        if (error == asio::error::eof) co_return std::size_t{0};
        if (error) co_return std::unexpected{io_error(error, "read from " + peer_)};
        co_return bytes;
    }

    Awaitable<Result<void>> write(std::span<const std::string_view> buffers) override {
        GatherList rest{buffers};
        while (!rest.done()) {
            const msghdr message = rest.message();
            const auto sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
            if (sent >= 0) {
                rest.advance(static_cast<std::size_t>(sent));
                continue;
            }
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                co_return std::unexpected{io_error(
                    error_code{errno, boost::system::system_category()}, "write to " + peer_)};
            }
            auto [error] = co_await socket_.async_wait(Socket::wait_write, kAwait);
            if (error) co_return std::unexpected{io_error(error, "write to " + peer_)};
        }
        co_return Result<void>{};
    }

    std::size_t try_write(std::string_view bytes) noexcept override {
        const auto sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        return sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }
    void shutdown_send() noexcept override {
        error_code ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
    }
    void cancel() noexcept override {
        error_code ignored;
        socket_.cancel(ignored);
    }
    void close() noexcept override {
        error_code ignored;
        socket_.close(ignored);
    }
    const std::string& peer() const noexcept override { return peer_; }

private:
    Socket socket_;
    std::string peer_;
};

bool out_of_resources(const error_code& error) {
    return error == asio::error::no_descriptors ||
           error == boost::system::errc::too_many_files_open_in_system ||
           error == asio::error::no_buffer_space || error == asio::error::no_memory;
}

/// Errors of the connection that was about to be accepted, not of the listening socket (accept(2)).
bool only_this_connection(const error_code& error) {
    return error == asio::error::connection_aborted || error == asio::error::connection_reset ||
           error == asio::error::network_down || error == asio::error::host_unreachable ||
           error == asio::error::network_unreachable ||
           error == boost::system::errc::protocol_error ||
           error == boost::system::errc::operation_not_permitted;
}

using TcpAcceptor = asio::ip::tcp::acceptor;
using LocalAcceptor = asio::local::stream_protocol::acceptor;

/// Lifetime: what the pointers refer to must outlive the returned Awaitable.
template <class Acceptor>
Awaitable<Result<std::unique_ptr<Stream>>> accept_one(Acceptor* acceptor, bool* short_of_resources,
                                                      std::string address) {
    using Socket = typename Acceptor::protocol_type::socket;
    while (true) {
        auto [error, socket] = co_await acceptor->async_accept(kAwait);
        if (!error) {
            *short_of_resources = false;
            co_return std::make_unique<SocketStream<Socket>>(std::move(socket));
        }
        if (only_this_connection(error)) continue;
        if (!out_of_resources(error)) {
            co_return std::unexpected{io_error(error, "accept on " + address)};
        }
        if (!std::exchange(*short_of_resources, true)) {
            log::warning("net", "accepting on {} pauses: {}", address, error.message());
        }
        asio::steady_timer pause{acceptor->get_executor(), kOutOfDescriptorsPause};
        co_await pause.async_wait(kAwait);
        if (!acceptor->is_open()) co_return fail(Errc::cancelled, "accept on " + address);
    }
}

/// What bind() and listen() found wrong, with the holder of a taken port.
Error listen_error(const error_code& error, const std::string& where, std::uint16_t port) {
    if (error == asio::error::address_in_use) {
        const std::string holder = describe_port_holder(port);
        return {Errc::already_exists, fmt::format("cannot listen on {}: the port is taken{}", where,
                                                  holder.empty() ? "" : " by " + holder)};
    }
    if (error == boost::system::errc::address_not_available) {
        return {Errc::invalid_argument,
                fmt::format("cannot listen on {}: not an address of this machine", where)};
    }
    return {Errc::unavailable, fmt::format("cannot listen on {}: {}", where, error.message())};
}

template <class Acceptor>
error_code open_and_listen(Acceptor& acceptor, const typename Acceptor::endpoint_type& endpoint,
                           bool reuse_address) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) close_on_exec(acceptor.native_handle());
    if (!error && reuse_address) {
        acceptor.set_option(asio::socket_base::reuse_address{true}, error);
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    return error;
}

/// Removes a socket file that refuses connections: its listener is gone.
void remove_stale_socket(asio::any_io_executor executor, const std::string& path) {
    asio::local::stream_protocol::socket probe{std::move(executor)};
    error_code error;
    probe.connect(asio::local::stream_protocol::endpoint{path}, error);
    if (error == asio::error::connection_refused) ::unlink(path.c_str());
}

}  // namespace

struct Listener::Impl {
    std::variant<TcpAcceptor, LocalAcceptor> acceptor;
    std::string address;
    std::uint16_t port = 0;
    std::string socket_file;
    bool short_of_resources = false;
};

Listener::Listener(std::unique_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() {
    if (impl_) close();
}

Result<Listener> Listener::tcp(const Executor& executor, const std::string& host,
                               std::uint16_t port) {
    const std::string where = fmt::format("{}:{}", host, port);
    error_code error;
    asio::ip::tcp::resolver resolver{executor};
    const auto found = resolver.resolve(
        host, std::to_string(port),
        asio::ip::resolver_base::passive | asio::ip::resolver_base::numeric_service, error);
    if (error || found.empty()) {
        return fail(Errc::invalid_argument,
                    fmt::format("cannot listen on {}: unknown host: {}", where, error.message()));
    }
    TcpAcceptor acceptor{executor};
    error = open_and_listen(acceptor, found.begin()->endpoint(), true);
    if (error) return std::unexpected{listen_error(error, where, port)};
    const auto bound = acceptor.local_endpoint(error);
    return Listener{std::make_unique<Impl>(
        Impl{std::move(acceptor), endpoint_text(bound), bound.port(), {}, false})};
}

Result<Listener> Listener::local(const Executor& executor, const std::string& path) {
    const std::string where = "unix:" + path;
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
        return fail(Errc::invalid_argument,
                    fmt::format("cannot listen on {}: the path must have 1 to {} bytes", where,
                                sizeof(sockaddr_un::sun_path) - 1));
    }
    remove_stale_socket(executor, path);
    LocalAcceptor acceptor{executor};
    const auto error =
        open_and_listen(acceptor, asio::local::stream_protocol::endpoint{path}, false);
    if (error == asio::error::address_in_use) {
        return fail(Errc::already_exists,
                    fmt::format("cannot listen on {}: another process listens there", where));
    }
    if (error) return std::unexpected{listen_error(error, where, 0)};
    return Listener{std::make_unique<Impl>(Impl{std::move(acceptor), where, 0, path, false})};
}

Awaitable<Result<std::unique_ptr<Stream>>> Listener::accept() {
    if (auto* tcp_acceptor = std::get_if<TcpAcceptor>(&impl_->acceptor)) {
        co_return co_await accept_one(tcp_acceptor, &impl_->short_of_resources, impl_->address);
    }
    co_return co_await accept_one(&std::get<LocalAcceptor>(impl_->acceptor),
                                  &impl_->short_of_resources, impl_->address);
}

void Listener::close() noexcept {
    std::visit(
        [this](auto& acceptor) {
            if (!acceptor.is_open()) return;
            error_code ignored;
            acceptor.close(ignored);
            if (!impl_->socket_file.empty()) ::unlink(impl_->socket_file.c_str());
        },
        impl_->acceptor);
}

std::uint16_t Listener::port() const noexcept {
    return impl_->port;
}
const std::string& Listener::address() const noexcept {
    return impl_->address;
}

Awaitable<Result<std::unique_ptr<Stream>>> connect_tcp(std::string host, std::uint16_t port,
                                                       Deadline deadline) {
    using namespace asio::experimental::awaitable_operators;
    const auto executor = co_await asio::this_coro::executor;
    const std::string where = fmt::format("{}:{}", host, port);
    const auto addresses = co_await detail::look_up(host, port, deadline);
    if (!addresses) co_return std::unexpected{addresses.error()};

    asio::steady_timer limit{executor, deadline.time()};
    asio::ip::tcp::socket socket{executor};
    auto attempt =
        co_await (asio::async_connect(socket, *addresses, kAwait) || limit.async_wait(kAwait));
    if (attempt.index() == 1) co_return fail(Errc::deadline_exceeded, "connecting to " + where);
    const auto& connect_error = std::get<0>(std::get<0>(attempt));
    if (connect_error) co_return std::unexpected{io_error(connect_error, "connect to " + where)};
    co_return std::make_unique<SocketStream<asio::ip::tcp::socket>>(std::move(socket));
}

Awaitable<Result<std::unique_ptr<Stream>>> connect_unix(std::string path) {
    using Socket = asio::local::stream_protocol::socket;
    Socket socket{co_await asio::this_coro::executor};
    auto [error] =
        co_await socket.async_connect(asio::local::stream_protocol::endpoint{path}, kAwait);
    if (error) co_return std::unexpected{io_error(error, "connect to unix:" + path)};
    co_return std::make_unique<SocketStream<Socket>>(std::move(socket));
}

}  // namespace lovage::net
