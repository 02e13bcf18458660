#include <lovage/clients/redis/session.hpp>

#include <lovage/clients/redis/handshake.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/core.h>

namespace lovage::redis {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadChunk = std::size_t{64} << 10U;
/// One write to the socket; a longer one would hide from Liveness that it makes progress.
constexpr std::size_t kWriteChunk = std::size_t{256} << 10U;

Awaitable<Result<std::unique_ptr<net::Stream>>> dial(Options options, Deadline deadline) {
    if (!options.socket_path.empty()) {
        co_return co_await net::connect_unix(options.socket_path);
    }
    if (options.tls) {
        co_return co_await net::connect_tls(options.host, options.port, *options.tls, deadline);
    }
    co_return co_await net::connect_tcp(options.host, options.port, deadline);
}

}  // namespace

Session::Session(std::unique_ptr<net::Stream> stream, const Options& options)
    : stream_{std::move(stream)},
      parser_{options.replies},
      liveness_{options.liveness, Liveness::Clock::now()} {}

Awaitable<Result<std::unique_ptr<Session>>> Session::open(Options options) {
    using namespace asio::experimental::awaitable_operators;
    const auto timeout = options.connect_timeout;
    const Deadline deadline = Deadline::in(timeout);
    asio::steady_timer limit{co_await asio::this_coro::executor, deadline.time()};
    auto outcome = co_await (open_until(std::move(options), deadline) ||
                             limit.async_wait(asio::as_tuple(asio::use_awaitable)));
    if (outcome.index() == 1) {
        co_return fail(Errc::disconnected, fmt::format("no answer within {} ms", timeout.count()));
    }
    co_return std::get<0>(std::move(outcome));
}

Awaitable<Result<std::unique_ptr<Session>>> Session::open_until(Options options,
                                                                Deadline deadline) {
    auto stream = co_await dial(options, deadline);
    if (!stream) co_return std::unexpected{std::move(stream.error())};
    std::unique_ptr<Session> session{new Session{std::move(*stream), options}};
    auto greeted = co_await session->greet(std::move(options));
    if (!greeted) co_return std::unexpected{std::move(greeted.error())};
    co_return session;
}

Awaitable<Result<void>> Session::greet(Options options) {
    Handshake handshake{options};
    while (!handshake.done()) {
        const std::string wire = handshake.commands().wire();
        if (auto sent = co_await write(wire); !sent) {
            // What the server said before it hung up explains more: with TLS 1.3 that is where a
            // refused certificate shows.
            auto said = co_await receive();
            co_return said ? sent : said;
        }
        std::vector<Reply> replies;
        while (replies.size() < handshake.commands().size()) {
            auto reply = co_await read_reply();
            if (!reply) co_return std::unexpected{std::move(reply.error())};
            replies.push_back(std::move(*reply));
        }
        if (auto taken = handshake.on_replies(replies); !taken) co_return taken;
    }
    protocol_ = handshake.protocol();
    if (!handshake.server_version().empty()) server_version_ = handshake.server_version();
    co_return Result<void>{};
}

Awaitable<Result<Reply>> Session::read_reply() {
    while (true) {
        auto reply = next();
        if (!reply) co_return std::unexpected{std::move(reply.error())};
        if (*reply) co_return std::move(**reply);
        if (auto received = co_await receive(); !received) {
            co_return std::unexpected{std::move(received.error())};
        }
    }
}

Awaitable<Result<void>> Session::receive() {
    const auto bytes = co_await stream_->read_some(parser_.prepare(kReadChunk));
    if (!bytes) co_return std::unexpected{bytes.error()};
    if (*bytes == 0) co_return fail(Errc::disconnected, "the server hung up");
    parser_.commit(*bytes);
    liveness_.received(Liveness::Clock::now());
    co_return Result<void>{};
}

Awaitable<Result<void>> Session::write(std::string_view text) {
    Result<void> sent;
    while (sent && !text.empty()) {
        const std::array<std::string_view, 1> slice{text.substr(0, kWriteChunk)};
        liveness_.write_began(Liveness::Clock::now());
        sent = co_await stream_->write(slice);
        liveness_.write_ended();
        text.remove_prefix(slice[0].size());
    }
    co_return sent;
}

Liveness::Finding Session::look(std::chrono::milliseconds allowed_silence) noexcept {
    return liveness_.look(Liveness::Clock::now(), allowed_silence);
}

}  // namespace lovage::redis
