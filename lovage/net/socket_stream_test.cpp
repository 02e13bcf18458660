#include <lovage/net/detail/look_up.hpp>
#include <lovage/net/listener.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/net/test_streams.hpp>
#include <lovage/runtime/loop.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <boost/asio/experimental/awaitable_operators.hpp>

namespace lovage::net {
namespace {

using std::chrono_literals::operator""s;
using testing::HasSubstr;

class SocketStream : public testing::Test {
protected:
    SocketStream() { loop_.start(); }

    /// Two connected streams over loopback.
    struct Pair {
        std::unique_ptr<Stream> client;
        std::unique_ptr<Stream> server;
    };
    static Awaitable<Pair> connected(Listener* listener) {
        using namespace boost::asio::experimental::awaitable_operators;
        auto [accepted, connected] = co_await (
            listener->accept() && connect_tcp("127.0.0.1", listener->port(), Deadline::in(10s)));
        co_return Pair{value_or_throw(std::move(connected)), value_or_throw(std::move(accepted))};
    }

    Loop loop_{"net-test"};
};

TEST_F(SocketStream, WritesGatheredBuffersInOrderBeyondTheSocketBuffer) {
    auto listener = value_or_throw(Listener::tcp(loop_.executor(), "127.0.0.1", 0));
    const std::string large(8 << 20, 'x');
    std::string received;
    const auto exchange = [](Listener* on, std::string_view payload,
                             std::string* out) -> Awaitable<void> {
        using namespace boost::asio::experimental::awaitable_operators;
        auto pair = co_await connected(on);
        std::vector<std::string_view> parts{"head:", "", payload, ":tail"};
        *out = value_or_throw(co_await (read_to_end(pair.server.get()) &&
                                        write_then_end(pair.client.get(), std::move(parts))));
    };
    loop_.run_blocking(exchange(&listener, large, &received));
    EXPECT_EQ(received.size(), large.size() + 10);
    EXPECT_EQ(received, "head:" + large + ":tail");
}

/// The sockets of this process that a program it starts would inherit.
std::vector<int> inherited_sockets() {
    std::vector<int> found;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        const int descriptor = std::stoi(entry.path().filename());
        struct stat file{};
        const bool socket = ::fstat(descriptor, &file) == 0 && S_ISSOCK(file.st_mode);
        if (socket && (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0) found.push_back(descriptor);
    }
    return found;
}

TEST_F(SocketStream, ProgramsThatAreStartedInheritNeitherConnectionsNorPorts) {
    const std::vector<int> before = inherited_sockets();  // whoever started us may have left some
    const std::string path =
        testing::TempDir() + "lovage_net_" + std::to_string(::getpid()) + "c.sock";
    auto tcp = value_or_throw(Listener::tcp(loop_.executor(), "127.0.0.1", 0));
    auto local = value_or_throw(Listener::local(loop_.executor(), path));
    const auto pair = loop_.run_blocking(connected(&tcp));
    const auto unix_client = value_or_throw(loop_.run_blocking(connect_unix(path)));
    EXPECT_EQ(inherited_sockets(), before);
}

TEST_F(SocketStream, CancelEndsTheReadAndLeavesTheStreamOpen) {
    auto listener = value_or_throw(Listener::tcp(loop_.executor(), "127.0.0.1", 0));
    Errc code{};
    std::string later;
    const auto scenario = [](Listener* on, Errc* seen, std::string* text) -> Awaitable<void> {
        using namespace boost::asio::experimental::awaitable_operators;
        auto pair = co_await connected(on);
        std::array<char, 16> buffer{};
        const auto cancel = [](Stream* stream) -> Awaitable<void> {
            stream->cancel();
            co_return;
        };
        auto outcome = co_await (pair.server->read_some(buffer) && cancel(pair.server.get()));
        *seen = outcome ? Errc{} : outcome.error().code;
        co_await write_then_end(pair.client.get(), {"still here"});
        *text = value_or_throw(co_await read_to_end(pair.server.get()));
    };
    loop_.run_blocking(scenario(&listener, &code, &later));
    EXPECT_EQ(code, Errc::cancelled);
    EXPECT_EQ(later, "still here");
}

TEST_F(SocketStream, ANameServerThatDoesNotAnswerIsLeftAtTheDeadline) {
    std::vector<detail::OnAddresses> asked;
    detail::resolver_for_tests() = [&](const std::string& host, const detail::OnAddresses& answer) {
        EXPECT_EQ(host, "silent.test");
        asked.push_back(answer);
    };
    const auto refused = loop_.run_blocking(
        connect_tcp("silent.test", 5672, Deadline::in(std::chrono::milliseconds{500})));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::deadline_exceeded);
    EXPECT_THAT(refused.error().detail, HasSubstr("looking up silent.test:5672"));
    ASSERT_EQ(asked.size(), 1U);
    loop_.call([&] { asked.front()(boost::asio::error::host_not_found, {}); });  // nobody cares
    detail::resolver_for_tests() = nullptr;
}

TEST_F(SocketStream, ATakenPortNamesItsHolder) {
    const auto first = value_or_throw(Listener::tcp(loop_.executor(), "127.0.0.1", 0));
    const auto second = Listener::tcp(loop_.executor(), "127.0.0.1", first.port());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::already_exists);
    EXPECT_THAT(second.error().detail,
                HasSubstr("the port is taken by process " + std::to_string(::getpid())));
}

TEST_F(SocketStream, AnAddressOfAnotherMachineIsRefused) {
    const auto listener = Listener::tcp(loop_.executor(), "192.0.2.1", 0);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, Errc::invalid_argument);
}

TEST_F(SocketStream, AStaleUnixSocketIsReplacedAndALiveOneIsNot) {
    const std::string path =
        testing::TempDir() + "lovage_net_" + std::to_string(::getpid()) + ".sock";
    const auto first = value_or_throw(Listener::local(loop_.executor(), path));
    const auto second = Listener::local(loop_.executor(), path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::already_exists);

    // A socket bound but never listened on refuses connections, like one whose listener died.
    const std::string stale = path + ".stale";
    const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    stale.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(dead);
    auto third = Listener::local(loop_.executor(), stale);
    ASSERT_TRUE(third) << third.error().message();
    third->close();
    EXPECT_NE(::access(stale.c_str(), F_OK), 0) << "close() removes the file";
}

TEST_F(SocketStream, AUnixSocketCarriesBytes) {
    const std::string path =
        testing::TempDir() + "lovage_net_" + std::to_string(::getpid()) + "b.sock";
    auto listener = value_or_throw(Listener::local(loop_.executor(), path));
    std::string received;
    const auto exchange = [](Listener* on, std::string where, std::string* out) -> Awaitable<void> {
        using namespace boost::asio::experimental::awaitable_operators;
        auto [accepted, connected] = co_await (on->accept() && connect_unix(std::move(where)));
        auto server = value_or_throw(std::move(accepted));
        auto client = value_or_throw(std::move(connected));
        *out = value_or_throw(co_await (read_to_end(server.get()) &&
                                        write_then_end(client.get(), {"through ", "a file"})));
    };
    loop_.run_blocking(exchange(&listener, path, &received));
    EXPECT_EQ(received, "through a file");
}

}  // namespace
}  // namespace lovage::net
