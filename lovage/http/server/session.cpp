#include <lovage/http/server/session.hpp>

#include <algorithm>
#include <array>
#include <exception>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <lovage/runtime/log.hpp>

namespace lovage::http {

namespace asio = boost::asio;
using Reader = wire::RequestReader;
using std::chrono_literals::operator""s;

namespace {

/// Bodies up to this size are copied behind their head; larger ones are gathered by the system.
constexpr std::size_t kBodyBytesCopied = 16384;
constexpr std::size_t kWriteBytes = std::size_t{256} << 10U;
constexpr std::size_t kPendingBytesMax = 65536;
constexpr auto kLingerTime = 2s;
constexpr std::size_t kLingerBytes = std::size_t{1} << 20U;

}  // namespace

asio::thread_pool& SessionContext::blocking_pool() {
    if (!pool)
        pool =
            std::make_unique<asio::thread_pool>(std::max<std::size_t>(1, options.blocking_threads));
    return *pool;
}

Session::Session(SessionContext& context, std::unique_ptr<net::Stream> stream)
    : context_{context},
      stream_{std::move(stream)},
      reader_{context.options.limits},
      exchange_{context.api, context.ids} {
    // A new connection owes its first request; only later ones may idle.
    enter(Phase::idle, context_.options.header_time);
}

void Session::enter(Phase phase, std::chrono::milliseconds time_allowed) {
    phase_ = phase;
    ends_at_ = Clock::now() + time_allowed;
}

void Session::check_time(Clock::time_point now) noexcept {
    if (phase_ == Phase::handling || now < ends_at_) return;
    expired_ = true;
    if (phase_ == Phase::head || phase_ == Phase::body) {
        stream_->cancel();  // The read ends, and the client is told why.
    } else {
        stream_->close();
    }
}

void Session::stop() noexcept {
    if (phase_ == Phase::idle) stream_->close();
}

Awaitable<void> Session::run() {
    bool open = true;
    while (open) {
        switch (reader_.next()) {
            case Reader::Status::need_more:
                open = co_await read_more();
                break;
            case Reader::Status::head: {
                auto& request = reader_.request();
                exchange_.open(request, stream_->peer());
                if (const auto limit = exchange_.body_limit()) reader_.set_body_limit(*limit);
                continue_wanted_ = request.expects_continue();
                enter(Phase::body, context_.options.body_time);
                break;
            }
            case Reader::Status::request:
                open = co_await answer();
                break;
            case Reader::Status::error:
                co_await refuse(reader_.error().status, reader_.error().detail);
                open = false;
                break;
        }
    }
    stream_->close();
}

/// Sends what is pending and reads; false when the connection is over.
Awaitable<bool> Session::read_more() {
    if (phase_ == Phase::body && continue_wanted_) {
        out_ += "HTTP/1.1 100 Continue\r\n\r\n";
        continue_wanted_ = false;
    }
    if (!out_.empty()) {
        const auto [phase, ends_at] = std::pair{phase_, ends_at_};
        const bool written = co_await flush({});
        if (!written) co_return false;
        phase_ = phase;
        ends_at_ = ends_at;
    }
    if (phase_ == Phase::writing) {
        if (context_.stopping) co_return false;
        const bool idle = reader_.idle();
        enter(idle ? Phase::idle : Phase::head,
              idle ? context_.options.idle_time : context_.options.header_time);
    }
    const auto bytes = co_await stream_->read_some(reader_.prepare());
    if (!bytes) {
        if (!expired_ || phase_ == Phase::idle) co_return false;
        co_await refuse(408, "the request took too long to arrive");
        co_return false;
    }
    if (*bytes == 0) co_return false;
    reader_.commit(*bytes);
    if (phase_ == Phase::idle) enter(Phase::head, context_.options.header_time);
    co_return true;
}

Awaitable<bool> Session::answer() {
    if (exchange_.kind() == Handler::Kind::immediate) {
        exchange_.run();
    } else {
        // Replies to earlier requests must not wait for this handler.
        if (!out_.empty()) {
            const bool written = co_await flush({});
            if (!written) co_return false;
        }
        phase_ = Phase::handling;
        co_await run_handler();
    }
    exchange_.close();
    const bool keep_alive = reader_.request().keep_alive() && !context_.stopping;
    co_return co_await write_reply(keep_alive);
}

Awaitable<void> Session::run_handler() {
    if (exchange_.kind() == Handler::Kind::coroutine) {
        co_await exchange_.run_async();
        co_return;
    }
    auto& pool = context_.blocking_pool();
    auto* exchange = &exchange_;
    // Not cancellable, so that the exchange stays as long as the handler uses it.
    const auto start = [&pool, exchange](auto done) {
        asio::post(pool, [exchange, done = std::move(done)]() mutable {
            exchange->run();
            const auto executor = asio::get_associated_executor(done);
            asio::post(executor, std::move(done));
        });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(start,
                                                                          asio::use_awaitable);
}

Awaitable<bool> Session::write_reply(bool keep_alive) {
    const auto& response = exchange_.response();
    const auto& request = reader_.request();
    wire::append_head(out_, response,
                      {.head_only = exchange_.head_only(),
                       .keep_alive = keep_alive,
                       .minor_version = request.minor_version(),
                       .date = context_.date.at(std::time(nullptr)),
                       .request_id = request.id()});
    std::string_view rest = exchange_.head_only() ? std::string_view{} : response.body();
    if (rest.size() <= kBodyBytesCopied) {
        out_ += rest;
        rest = {};
    }
    phase_ = Phase::writing;
    if (keep_alive && rest.empty() && out_.size() < kPendingBytesMax) co_return true;
    const bool written = co_await flush(rest);
    if (written && !keep_alive) co_await linger();
    co_return written&& keep_alive;
}

/// Writes what is pending, then `body`, in pieces that each have their own time.
Awaitable<bool> Session::flush(std::string_view body) {
    std::array<std::string_view, 2> parts{out_, {}};
    do {
        parts[1] = body.substr(0, kWriteBytes);
        body.remove_prefix(parts[1].size());
        enter(Phase::writing, context_.options.write_time);
        const auto written = co_await stream_->write(parts);
        if (!written) co_return false;
        parts[0] = {};
    } while (!body.empty());
    out_.clear();
    co_return true;
}

/// The last reply of a connection, to what is no request or does not end like one.
Awaitable<void> Session::refuse(int status, std::string detail) {
    if (exchange_.is_open()) {
        // The head was fine: the reply belongs to its request.
        exchange_.fail(status, detail);
        exchange_.close();
        co_await write_reply(false);
        co_return;
    }
    log::info("http", "{} sent no request: {} {}", stream_->peer(), status, detail);
    const auto response = Response::error(status, detail);
    wire::append_head(out_, response,
                      {.keep_alive = false,
                       .date = context_.date.at(std::time(nullptr)),
                       .request_id = context_.ids.next()});
    out_ += response.body();
    const bool written = co_await flush({});
    if (written) co_await linger();
}

/// Reads on for a moment: closing while bytes arrive would reset the connection, and the client
/// would lose the reply (RFC 9112, 9.6).
Awaitable<void> Session::linger() {
    stream_->shutdown_send();
    enter(Phase::closing, kLingerTime);
    std::array<char, 4096> dropped{};
    for (std::size_t total = 0; total < kLingerBytes;) {
        const auto bytes = co_await stream_->read_some(dropped);
        if (!bytes || *bytes == 0) co_return;
        total += *bytes;
    }
}

}  // namespace lovage::http
