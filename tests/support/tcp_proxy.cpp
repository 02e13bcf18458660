#include "tcp_proxy.hpp"

#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/runtime/url.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lovage::testing_support {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono_literals::operator""s;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kPieceBytes = 64 * 1024;

constexpr std::size_t index(Way way) {
    return static_cast<std::size_t>(way);
}

struct Cut {
    std::size_t bytes = 0;
    Ending ending = Ending::reset;
};

/// A client, and the server it is connected to.
struct Link {
    explicit Link(tcp::socket accepted)
        : client{std::move(accepted)}, server{client.get_executor()} {}

    tcp::socket& source(Way way) { return way == Way::to_server ? client : server; }
    tcp::socket& target(Way way) { return way == Way::to_server ? server : client; }

    tcp::socket client;
    tcp::socket server;
    /// What is read is thrown away, and neither side hears of the other any more.
    bool broken = false;
    std::array<std::uint64_t, 2> forwarded{};
    std::array<std::optional<Cut>, 2> cuts;
    int pumps = 0;
};
using LinkPtr = std::shared_ptr<Link>;

void reset(tcp::socket& socket) {
    error_code ignored;
    socket.set_option(tcp::socket::linger{true, 0}, ignored);
    socket.close(ignored);
}

void shutdown_send(tcp::socket& socket) {
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
}

/// Opens `acceptor` on a free port of 127.0.0.1 below the ephemeral range, or on `port`.
void listen(tcp::acceptor& acceptor, std::uint16_t port) {
    std::random_device random;
    for (int attempt = 0; attempt < 1000; ++attempt) {
        const auto wanted =
            port != 0 ? port : std::uniform_int_distribution<std::uint16_t>{10'000, 19'999}(random);
        error_code error;
        acceptor.open(tcp::v4());
        acceptor.set_option(tcp::acceptor::reuse_address{true});
        acceptor.bind({asio::ip::address_v4::loopback(), wanted}, error);
        if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
        if (!error) return;
        acceptor.close();
        if (port != 0) break;
    }
    throw std::runtime_error{"the proxy finds no port on 127.0.0.1"};
}

/// The same URL with another host and port.
std::string with_port(const std::string& url, std::uint16_t port) {
    const std::size_t authority = url.find("://") + 3;
    const std::size_t end = std::min(url.find_first_of("/?", authority), url.size());
    const std::size_t at = url.substr(0, end).rfind('@');
    const std::size_t host = at == std::string::npos || at < authority ? authority : at + 1;
    return url.substr(0, host) + "127.0.0.1:" + std::to_string(port) + url.substr(end);
}

}  // namespace

class TcpProxy::Impl {
public:
    explicit Impl(const std::string& upstream_url) {
        const Url upstream = value_or_throw(parse_url(upstream_url));
        if (!upstream.port) throw std::runtime_error{"the proxy needs a URL with a port"};
        asio::io_context resolving;
        for (const auto& found :
             tcp::resolver{resolving}.resolve(upstream.host, std::to_string(*upstream.port))) {
            upstream_.push_back(found.endpoint());
        }
        listen(acceptor_, 0);
        port_ = acceptor_.local_endpoint().port();
        url_ = with_port(upstream_url, port_);
        loop_.start();
        on_loop([this] { scope_.spawn("proxy accept", accept()); });
    }

    ~Impl() {
        loop_.run_blocking(end());
        loop_.stop_and_join();
    }

    /// Runs `change` on the loop and waits for it.
    template <class F>
    void on_loop(F change) {
        loop_.call([&] {
            change();
            changed_.notify_all();
        });
    }

    void set_door(Door door) {
        door_ = door;
        if (door == Door::refuse) {
            acceptor_.close();
        } else if (!acceptor_.is_open()) {
            listen(acceptor_, port_);
            scope_.spawn("proxy accept", accept());
        }
    }

    void break_all(Ending ending) {
        // Resetting removes nothing from the set: the pumps do, on later turns of the loop.
        for (const LinkPtr& link : links_) break_link(*link, ending);
    }

    void forget_clients() {
        for (const LinkPtr& link : links_) {
            mark_broken(*link);
            reset(link->server);
        }
    }

    std::array<Flow, 2> flows_;
    std::array<std::optional<Cut>, 2> cuts_;

    mutable std::mutex mutex_;
    mutable std::condition_variable counted_;
    Counts counts_;

    std::uint16_t port_ = 0;
    std::string url_;

private:
    template <class F>
    void count(F change) {
        {
            const std::lock_guard lock{mutex_};
            change(counts_);
        }
        counted_.notify_all();
    }

    Awaitable<void> end() {
        acceptor_.close();
        break_all(Ending::reset);
        changed_.notify_all();
        scope_.request_stop();
        LOVAGE_ASSERT(co_await scope_.join(Deadline::in(10s)));
    }

    Awaitable<void> accept() {
        while (acceptor_.is_open()) {
            auto [error, socket] = co_await acceptor_.async_accept(kAwait);
            if (error == asio::error::operation_aborted) co_return;
            if (error == asio::error::connection_aborted) continue;
            if (error) throw std::runtime_error{"the proxy cannot accept: " + error.message()};
            count([](Counts& counts) { ++counts.accepted, ++counts.open; });
            const auto link = std::make_shared<Link>(std::move(socket));
            links_.insert(link);
            scope_.spawn("proxy link", serve(link));
        }
    }

    Awaitable<void> serve(LinkPtr link) {
        link->cuts = cuts_;
        if (door_ == Door::silent) {
            mark_broken(*link);
            co_return start(link, Way::to_server);
        }
        const auto [error, endpoint] =
            co_await asio::async_connect(link->server, upstream_, kAwait);
        if (error || !link->client.is_open()) {
            reset(link->client);
            reset(link->server);
            co_return forget(link);
        }
        link->client.set_option(tcp::no_delay{true});
        link->server.set_option(tcp::no_delay{true});
        for (const auto& cut : link->cuts) {
            if (cut && cut->bytes == 0 && !link->broken) break_link(*link, cut->ending);
        }
        start(link, Way::to_server);
        start(link, Way::to_client);
    }

    void start(const LinkPtr& link, Way way) {
        ++link->pumps;
        scope_.spawn("proxy pump", run_pump(link, way));
    }

    Awaitable<void> run_pump(LinkPtr link, Way way) {
        co_await pump(link, way);
        if (--link->pumps == 0) forget(link);
    }

    void forget(const LinkPtr& link) {
        if (links_.erase(link) > 0) count([](Counts& counts) { --counts.open; });
    }

    /// Moves bytes one way until there are no more.
    Awaitable<void> pump(LinkPtr link, Way way) {
        std::vector<char> piece(kPieceBytes);
        while (true) {
            co_await until_flowing(link, way);
            const auto [error, bytes] =
                co_await link->source(way).async_read_some(asio::buffer(piece), kAwait);
            // A stall or a delay may have begun while nothing came.
            co_await until_flowing(link, way);
            co_await pause(flows_[index(way)].delay);
            if (error) co_return pass_end_on(*link, way, error);
            if (!link->broken) co_await forward(link, way, {piece.data(), bytes});
        }
    }

    Awaitable<void> until_flowing(LinkPtr link, Way way) {
        while (flows_[index(way)].stalled && !link->broken) co_await changed_.wait();
    }

    Awaitable<void> pause(std::chrono::milliseconds length) {
        if (length.count() == 0) co_return;
        asio::steady_timer timer{loop_.executor(), length};
        co_await timer.async_wait(asio::use_awaitable);
    }

    Awaitable<void> forward(LinkPtr link, Way way, std::string_view bytes) {
        std::uint64_t& forwarded = link->forwarded[index(way)];
        const std::optional<Cut>& cut = link->cuts[index(way)];
        if (cut) bytes = bytes.substr(0, cut->bytes - forwarded);
        while (!bytes.empty() && !link->broken) {
            const std::size_t slice = flows_[index(way)].slice_bytes;
            const std::string_view part = slice == 0 ? bytes : bytes.substr(0, slice);
            const auto [error, written] = co_await asio::async_write(
                link->target(way), asio::buffer(part.data(), part.size()), kAwait);
            if (error) {
                if (!link->broken) reset(link->source(way));
                co_return;
            }
            bytes.remove_prefix(written);
            forwarded += written;
            count([&](Counts& counts) {
                (way == Way::to_server ? counts.to_server_bytes : counts.to_client_bytes) +=
                    written;
            });
            // So that whoever reads may read between two slices.
            if (slice != 0) co_await asio::post(loop_.executor(), asio::use_awaitable);
        }
        if (cut && forwarded == cut->bytes && !link->broken) break_link(*link, cut->ending);
    }

    /// What one side did, the other hears, unless the link is broken.
    static void pass_end_on(Link& link, Way way, const error_code& error) {
        if (link.broken) return;
        if (error == asio::error::eof) {
            shutdown_send(link.target(way));
        } else {
            reset(link.target(way));
        }
    }

    void mark_broken(Link& link) {
        if (link.broken) return;
        link.broken = true;
        count([](Counts& counts) { ++counts.broken; });
    }

    void break_link(Link& link, Ending ending) {
        mark_broken(link);
        if (ending == Ending::silence) return;
        for (tcp::socket* socket : {&link.client, &link.server}) {
            // After a FIN both sides are read until they end, too: closing would send a reset.
            ending == Ending::reset ? reset(*socket) : shutdown_send(*socket);
        }
    }

    Loop loop_{"tcp-proxy"};
    std::vector<tcp::endpoint> upstream_;
    tcp::acceptor acceptor_{loop_.executor()};
    Door door_ = Door::open;
    std::set<LinkPtr> links_;
    Notifier changed_{loop_.executor()};
    TaskScope scope_{loop_.executor()};
};

TcpProxy::TcpProxy(const std::string& upstream_url) : impl_{std::make_unique<Impl>(upstream_url)} {}
TcpProxy::~TcpProxy() = default;

std::uint16_t TcpProxy::port() const noexcept {
    return impl_->port_;
}

const std::string& TcpProxy::url() const noexcept {
    return impl_->url_;
}

void TcpProxy::set_flow(Way way, Flow flow) {
    impl_->on_loop([&] { impl_->flows_[index(way)] = flow; });
}

void TcpProxy::set_flow(Flow both_ways) {
    impl_->on_loop([&] { impl_->flows_.fill(both_ways); });
}

void TcpProxy::set_door(Door door) {
    impl_->on_loop([&] { impl_->set_door(door); });
}

void TcpProxy::end_connections(Ending ending) {
    impl_->on_loop([&] { impl_->break_all(ending); });
}

void TcpProxy::forget_clients() {
    impl_->on_loop([&] { impl_->forget_clients(); });
}

void TcpProxy::cut_after(Way way, std::size_t bytes, Ending ending) {
    impl_->on_loop([&] { impl_->cuts_[index(way)] = Cut{bytes, ending}; });
}

void TcpProxy::go_silent() {
    impl_->on_loop([&] {
        impl_->set_door(Door::silent);
        impl_->break_all(Ending::silence);
    });
}

void TcpProxy::heal() {
    impl_->on_loop([&] {
        impl_->flows_.fill({});
        impl_->cuts_.fill(std::nullopt);
        impl_->set_door(Door::open);
    });
}

TcpProxy::Counts TcpProxy::counts() const {
    const std::lock_guard lock{impl_->mutex_};
    return impl_->counts_;
}

bool TcpProxy::wait_until(const std::function<bool(const Counts&)>& condition,
                          Deadline deadline) const {
    std::unique_lock lock{impl_->mutex_};
    return impl_->counted_.wait_until(lock, deadline.time(),
                                      [&] { return condition(impl_->counts_); });
}

}  // namespace lovage::testing_support
