#include <lovage/clients/amqp/connection.hpp>

#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

namespace lovage::amqp {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Room for the largest frame and as much again, so that full frames are read in large pieces.
constexpr std::size_t kInputFrames = 2;
/// A write buffer that grew beyond this for one large message is given back.
constexpr std::size_t kKeptOutputBytes = std::size_t{1} << 20U;
/// How long the last frames of a connection that is over may take to leave.
constexpr auto kGoodbye = 1s;

}  // namespace

Connection::Connection(Executor executor, SessionOptions options,
                       std::unique_ptr<net::Stream> stream)
    : stream_{std::move(stream)},
      changed_{executor},
      output_ready_{executor},
      input_(kInputFrames * (std::max(options.frame_bytes_max, kFrameBytesMin))),
      session_{std::move(options), *this} {}

Awaitable<Result<void>> Connection::open(TaskScope* scope, Deadline deadline) {
    const auto self = shared_from_this();
    session_.start(Clock::now());
    scope->spawn("amqp write", write(self));
    scope->spawn("amqp read", read(self));
    scope->spawn("amqp time", keep_time(self));
    while (!session_.open() && !ended_) {
        if (!co_await changed_.wait(deadline) && !session_.open() && !ended_) {
            session_.fail({Errc::deadline_exceeded,
                           "the server accepted the connection but did not finish the handshake"});
        }
    }
    if (ended_) co_return std::unexpected{*ended_};
    co_return Result<void>{};
}

void Connection::on_output() {
    output_ready_.notify_all();
}

void Connection::on_open() {
    changed_.notify_all();
}

void Connection::on_blocked(std::string_view reason) {
    blocked_reason_ = reason.empty() ? "out of resources" : reason;
    log::warning("amqp", "{} takes no messages: {}", peer(), blocked_reason_);
    changed_.notify_all();
}

void Connection::on_unblocked() {
    blocked_reason_.clear();
    log::info("amqp", "{} takes messages again", peer());
    changed_.notify_all();
}

void Connection::on_closed(const Error& why) {
    ended_ = why;
    // Unless there is a last word to say, nothing keeps the socket.
    if (!session_.has_output()) stream_->close();
    output_ready_.notify_all();
    changed_.notify_all();
}

Awaitable<void> Connection::read(std::shared_ptr<Connection> self) {
    std::vector<char>& input = self->input_;
    std::size_t begin = 0;
    std::size_t end = 0;
    while (!self->ended_) {
        auto bytes = co_await self->stream_->read_some(std::span{input}.subspan(end));
        if (!bytes || *bytes == 0) {
            self->session_.fail(bytes ? Error{Errc::disconnected, "the server ended the connection"}
                                      : std::move(bytes.error()));
            break;
        }
        end += *bytes;
        begin += self->session_.receive({input.data() + begin, end - begin}, Clock::now());
        if (begin > input.size() / 2 || end == input.size() || begin == end) {
            std::memmove(input.data(), input.data() + begin, end - begin);
            end -= std::exchange(begin, 0);
        }
    }
}

Awaitable<void> Connection::write(std::shared_ptr<Connection> self) {
    Session& session = self->session_;
    std::string& writing = self->writing_;
    while (true) {
        session.take_output(writing, Clock::now());
        if (writing.empty()) {
            if (self->ended_) break;
            co_await self->output_ready_.wait();
            continue;
        }
        const std::array<std::string_view, 1> buffers{writing};
        auto written = co_await self->stream_->write(buffers);
        if (!written) session.fail(std::move(written.error()));
        if (writing.capacity() > kKeptOutputBytes) writing = {};
    }
    self->stream_->close();
    self->changed_.notify_all();
}

Awaitable<void> Connection::keep_time(std::shared_ptr<Connection> self) {
    while (!self->ended_) {
        (void)co_await self->changed_.wait(Deadline::at(self->session_.next_tick()));
        self->session_.tick(Clock::now());
    }
    (void)co_await self->changed_.wait(Deadline::in(kGoodbye));
    self->stream_->close();
}

}  // namespace lovage::amqp
