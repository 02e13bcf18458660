#include "tcp_proxy.hpp"

#include <tests/support/soon.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lovage::testing_support {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// A blocking socket of the test's: the plainest peer there is.
class Socket {
public:
    explicit Socket(int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
        : descriptor_{descriptor} {}
    Socket(Socket&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
    Socket& operator=(Socket&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~Socket() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    /// 0 or errno.
    int connect(std::uint16_t port) {
        const sockaddr_in address = loopback(port);
        return ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address),
                         sizeof address) == 0
                   ? 0
                   : errno;
    }
    void send(const std::string& bytes) {
        ASSERT_EQ(::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    /// What one read brings: bytes, "" at the end, "(reset)"; nothing when nothing comes in time.
    std::optional<std::string> read(std::chrono::milliseconds patience = 20s) {
        pollfd readable{.fd = descriptor_, .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, static_cast<int>(patience.count())) == 0) return std::nullopt;
        std::array<char, 4096> buffer;
        const ssize_t bytes = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
        if (bytes < 0) return errno == ECONNRESET ? "(reset)" : "(error)";
        return std::string{buffer.data(), static_cast<std::size_t>(bytes)};
    }
    /// Reads on until that many bytes are there, or the end.
    std::string read_exactly(std::size_t bytes) {
        std::string text;
        while (text.size() < bytes) {
            const std::string part = read().value_or("");
            if (part.empty()) break;
            text += part;
        }
        return text;
    }
    void shutdown_send() { ::shutdown(descriptor_, SHUT_WR); }
    [[nodiscard]] int descriptor() const { return descriptor_; }

private:
    int descriptor_;
};

class Server {
public:
    Server() {
        const sockaddr_in any = loopback(0);
        EXPECT_EQ(
            ::bind(listening_.descriptor(), reinterpret_cast<const sockaddr*>(&any), sizeof any),
            0);
        EXPECT_EQ(::listen(listening_.descriptor(), 16), 0);
    }
    [[nodiscard]] std::string url() const {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        ::getsockname(listening_.descriptor(), reinterpret_cast<sockaddr*>(&address), &size);
        return "amqp://guest:p%40ss@localhost:" + std::to_string(ntohs(address.sin_port)) + "/vh";
    }
    Socket accept() { return Socket{::accept(listening_.descriptor(), nullptr, nullptr)}; }

private:
    Socket listening_;
};

class Proxy : public testing::Test {
protected:
    struct Pair {
        Socket client;
        Socket server;
    };
    Pair connect() {
        Socket client;
        EXPECT_EQ(client.connect(proxy_.port()), 0);
        return {std::move(client), server_.accept()};
    }

    Server server_;
    TcpProxy proxy_{server_.url()};
};

TEST_F(Proxy, ForwardsBothWaysAndPassesEndsOn) {
    auto [client, server] = connect();
    client.send("question");
    EXPECT_EQ(server.read(), "question");
    server.send("answer");
    EXPECT_EQ(client.read(), "answer");

    client.shutdown_send();
    EXPECT_EQ(server.read(), "");
    server.send("last word");
    EXPECT_EQ(client.read(), "last word");
    server.shutdown_send();
    EXPECT_EQ(client.read(), "");
    EXPECT_TRUE(proxy_.wait_until([](const auto& counts) { return counts.open == 0; }, soon()));
    EXPECT_EQ(proxy_.counts().to_server_bytes, 8);
    EXPECT_EQ(proxy_.counts().to_client_bytes, 15);
    EXPECT_EQ(proxy_.counts().broken, 0);
}

TEST_F(Proxy, NamesItselfInTheUrl) {
    EXPECT_EQ(proxy_.url(),
              "amqp://guest:p%40ss@127.0.0.1:" + std::to_string(proxy_.port()) + "/vh");
}

TEST_F(Proxy, ResetsBothSides) {
    auto [client, server] = connect();
    client.send("x");
    EXPECT_EQ(server.read(), "x");
    proxy_.end_connections(Ending::reset);
    EXPECT_EQ(client.read(), "(reset)");
    EXPECT_EQ(server.read(), "(reset)");
    EXPECT_TRUE(proxy_.wait_until([](const auto& counts) { return counts.open == 0; }, soon()));
    EXPECT_EQ(proxy_.counts().broken, 1);
}

TEST_F(Proxy, ClosesBothSidesInOrder) {
    auto [client, server] = connect();
    client.send("before");
    EXPECT_EQ(server.read(), "before");
    proxy_.end_connections(Ending::close);
    EXPECT_EQ(server.read(), "");
    EXPECT_EQ(client.read(), "");
    // What is sent now arrives nowhere, and is not answered with a reset either.
    client.send("after");
    EXPECT_EQ(client.read(), "");
    EXPECT_EQ(server.read(), "");
}

TEST_F(Proxy, SilencesConnectionsForGood) {
    auto [client, server] = connect();
    proxy_.end_connections(Ending::silence);
    client.send("x");
    proxy_.heal();
    client.shutdown_send();
    EXPECT_EQ(server.read(50ms), std::nullopt);
    // New ones are not concerned.
    auto [other_client, other_server] = connect();
    other_client.send("y");
    EXPECT_EQ(other_server.read(), "y");
}

TEST_F(Proxy, GoesSilentForNewConnectionsToo) {
    proxy_.go_silent();
    Socket client;
    ASSERT_EQ(client.connect(proxy_.port()), 0);
    client.send("hello?");
    EXPECT_EQ(client.read(50ms), std::nullopt);
    proxy_.heal();
    auto [other_client, other_server] = connect();
    other_server.send("hello");
    EXPECT_EQ(other_client.read(), "hello");
}

TEST_F(Proxy, LeavesTheClientHalfOpen) {
    auto [client, server] = connect();
    client.send("x");
    EXPECT_EQ(server.read(), "x");
    proxy_.forget_clients();
    EXPECT_EQ(server.read(), "(reset)");
    client.send("stale");
    EXPECT_EQ(client.read(50ms), std::nullopt);
}

TEST_F(Proxy, RefusesAndComesBackOnTheSamePort) {
    proxy_.set_door(Door::refuse);
    EXPECT_EQ(Socket{}.connect(proxy_.port()), ECONNREFUSED);
    proxy_.set_door(Door::refuse);
    proxy_.heal();
    auto [client, server] = connect();
    client.send("again");
    EXPECT_EQ(server.read(), "again");
}

TEST_F(Proxy, ResetsTheClientWhenTheServerIsNotThere) {
    std::optional<Server> gone{std::in_place};
    TcpProxy proxy{gone->url()};
    gone.reset();
    Socket client;
    ASSERT_EQ(client.connect(proxy.port()), 0);
    EXPECT_EQ(client.read(), "(reset)");
}

TEST_F(Proxy, CutsAfterExactlySoManyBytes) {
    for (const auto ending : {Ending::reset, Ending::close, Ending::silence}) {
        proxy_.cut_after(Way::to_client, 5, ending);
        auto [client, server] = connect();
        server.send("12");
        EXPECT_EQ(client.read(), "12");
        server.send("345678");
        EXPECT_EQ(client.read(), "345");
        switch (ending) {
            case Ending::reset:
                EXPECT_EQ(client.read(), "(reset)");
                break;
            case Ending::close:
                EXPECT_EQ(client.read(), "");
                break;
            case Ending::silence:
                EXPECT_EQ(client.read(50ms), std::nullopt);
                break;
        }
    }
    EXPECT_TRUE(proxy_.wait_until([](const auto& counts) { return counts.broken == 3; }, soon()));
    EXPECT_EQ(proxy_.counts().to_client_bytes, 15);
}

TEST_F(Proxy, CutsBeforeTheFirstByte) {
    proxy_.cut_after(Way::to_server, 0, Ending::close);
    auto [client, server] = connect();
    EXPECT_EQ(client.read(), "");
    EXPECT_EQ(server.read(), "");
}

TEST_F(Proxy, StallsWithoutLoss) {
    auto [client, server] = connect();
    proxy_.set_flow(Way::to_server, {.stalled = true});
    client.send("later");
    server.send("now");
    EXPECT_EQ(client.read(), "now");
    EXPECT_EQ(server.read(50ms), std::nullopt);
    proxy_.heal();
    EXPECT_EQ(server.read(), "later");
}

TEST_F(Proxy, BlocksSendersWhileItStalls) {
    auto [client, server] = connect();
    proxy_.set_flow({.stalled = true});
    const std::string plenty(64 << 20, 'x');
    auto sending = std::async(std::launch::async, [&] { client.send(plenty); });
    EXPECT_EQ(sending.wait_for(100ms), std::future_status::timeout);
    proxy_.heal();
    EXPECT_EQ(server.read_exactly(plenty.size()).size(), plenty.size());
    sending.get();
}

TEST_F(Proxy, Delays) {
    auto [client, server] = connect();
    proxy_.set_flow(Way::to_server, {.delay = 80ms});
    const auto started = std::chrono::steady_clock::now();
    client.send("x");
    EXPECT_EQ(server.read(), "x");
    EXPECT_GE(std::chrono::steady_clock::now() - started, 80ms);
}

TEST_F(Proxy, Slices) {
    auto [client, server] = connect();
    proxy_.set_flow(Way::to_server, {.slice_bytes = 1});
    client.send("abcdef");
    EXPECT_EQ(server.read_exactly(6), "abcdef");
    // Whoever reads may be faster than the one who counts.
    EXPECT_TRUE(
        proxy_.wait_until([](const auto& counts) { return counts.to_server_bytes == 6; }, soon()));
}

TEST_F(Proxy, EndsWithOpenConnections) {
    std::optional<TcpProxy> proxy{std::in_place, server_.url()};
    Socket client;
    ASSERT_EQ(client.connect(proxy->port()), 0);
    Socket server = server_.accept();
    proxy->set_flow({.stalled = true});
    client.send("x");
    proxy.reset();
    EXPECT_EQ(client.read(), "(reset)");
    EXPECT_EQ(server.read(), "(reset)");
}

}  // namespace
}  // namespace lovage::testing_support
