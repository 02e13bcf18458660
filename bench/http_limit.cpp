// The least an HTTP server on Asio can do: a coroutine a connection on one io_context reads until
// the head of a request is complete and writes the bytes Lovage answers GET /health/live with. No
// parser, no router, no clock.
//
//     http_limit PORT
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// Nothing stops this program but a signal, so that nothing needs the ends of its coroutines.
constexpr auto kNobodyWaits = [](const std::exception_ptr&) {};

constexpr std::string_view kReply =
    "HTTP/1.1 200 OK\r\n"
    "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "content-type: application/json\r\n"
    "x-content-type-options: nosniff\r\n"
    "content-length: 15\r\n"
    "x-request-id: 00112233445566778899aabbccddeeff\r\n"
    "\r\n"
    "{\"status\":\"ok\"}";

asio::awaitable<void> serve(tcp::socket socket) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    std::array<char, 8192> buffer{};
    std::size_t filled = 0;
    std::string replies;
    while (true) {
        const auto [error, bytes] = co_await socket.async_read_some(
            asio::buffer(buffer.data() + filled, buffer.size() - filled), kAwait);
        if (error) co_return;
        filled += bytes;
        std::string_view rest{buffer.data(), filled};
        replies.clear();
        for (auto end = rest.find(kEnd); end != std::string_view::npos; end = rest.find(kEnd)) {
            rest.remove_prefix(end + kEnd.size());
            replies += kReply;
        }
        if (rest.size() == buffer.size()) co_return;  // No head is that long here.
        std::copy(rest.begin(), rest.end(), buffer.begin());
        filled = rest.size();
        if (replies.empty()) continue;
        const auto [failed, written] =
            co_await asio::async_write(socket, asio::buffer(replies), kAwait);
        if (failed) co_return;
    }
}

asio::awaitable<void> accept(tcp::acceptor* acceptor) {
    while (true) {
        auto [error, socket] = co_await acceptor->async_accept(kAwait);
        if (error) continue;
        socket.set_option(tcp::no_delay{true});
        // Nothing stops this program but a signal: there is no scope its connections could belong
        // to.
        asio::co_spawn(acceptor->get_executor(), serve(std::move(socket)), kNobodyWaits);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "http_limit PORT\n");
        return 2;
    }
    asio::io_context loop{1};
    const auto port = static_cast<unsigned short>(std::strtoul(argv[1], nullptr, 10));
    tcp::acceptor acceptor{loop, {asio::ip::address_v4::loopback(), port}};
    asio::co_spawn(loop, accept(&acceptor), kNobodyWaits);
    loop.run();
}
