#pragma once

#include <chrono>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/thread_pool.hpp>

#include <lovage/awaitable.hpp>
#include <lovage/http/exchange.hpp>
#include <lovage/http/server.hpp>
#include <lovage/http/wire/request_reader.hpp>
#include <lovage/http/wire/response_writer.hpp>
#include <lovage/net/stream.hpp>

namespace lovage::http {

/// What the sessions of a server share. One loop owns it.
struct SessionContext {
    Executor executor;
    Api& api;
    ServerOptions options;
    RequestIds ids;
    wire::DateText date;
    bool stopping = false;
    std::unique_ptr<boost::asio::thread_pool> pool;  ///< made by the first blocking handler

    [[nodiscard]] boost::asio::thread_pool& blocking_pool();
};

/// One connection: reads requests, has them answered in order, writes the replies. The replies to
/// pipelined requests go out together when none of them has to wait.
class Session {
public:
    using Clock = Exchange::Clock;

    /// Lifetime: `context` must outlive the session.
    Session(SessionContext& context, std::unique_ptr<net::Stream> stream);

    /// Serves the connection to its end. Lifetime: `*this` must outlive the Awaitable.
    [[nodiscard]] Awaitable<void> run();

    /// Ends what takes too long. Called about once a second.
    void check_time(Clock::time_point now) noexcept;
    /// The server stops: closes the connection if it is between requests.
    void stop() noexcept;

private:
    enum class Phase : std::uint8_t { idle, head, body, handling, writing, closing };

    void enter(Phase phase, std::chrono::milliseconds time_allowed);
    [[nodiscard]] Awaitable<bool> read_more();
    [[nodiscard]] Awaitable<bool> answer();
    [[nodiscard]] Awaitable<void> run_handler();
    [[nodiscard]] Awaitable<bool> write_reply(bool keep_alive);
    [[nodiscard]] Awaitable<bool> flush(std::string_view body);
    [[nodiscard]] Awaitable<void> refuse(int status, std::string detail);
    [[nodiscard]] Awaitable<void> linger();

    SessionContext& context_;
    std::unique_ptr<net::Stream> stream_;
    wire::RequestReader reader_;
    Exchange exchange_;
    std::string out_;
    Phase phase_ = Phase::idle;
    Clock::time_point ends_at_;
    bool expired_ = false;
    bool continue_wanted_ = false;
};

}  // namespace lovage::http
