#include <lovage/worker/prefork/frame_channel.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <cerrno>
#include <limits>
#include <utility>

#include <sys/socket.h>

namespace lovage::slot {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;
/// What is read before others get their turn: more than a socket holds.
constexpr std::size_t kReadsMax = 16;

}  // namespace

FrameChannel::FrameChannel(const Executor& executor, FileDescriptor socket, Handler handler)
    : socket_{executor, socket.release()}, handler_{std::move(handler)} {}

FrameChannel::FrameChannel(const Executor& executor, FileDescriptor reading, FileDescriptor writing,
                           Handler handler)
    : FrameChannel{executor, std::move(reading), std::move(handler)} {
    own_writing_.emplace(executor, writing.release());
}

Result<bool> FrameChannel::read_available(std::size_t reads_max) {
    thread_local std::array<char, kReadBytes> buffer;
    for (std::size_t read = 0; read < reads_max; ++read) {
        const ssize_t got =
            ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        const auto bytes = static_cast<std::size_t>(got);
        reader_.feed({buffer.data(), bytes});
        while (true) {
            auto frame = reader_.next();
            if (!frame) return std::unexpected{std::move(frame.error())};
            if (!*frame) break;
            if (auto handled = handler_(**frame); !handled) {
                return std::unexpected{std::move(handled.error())};
            }
        }
        if (bytes < buffer.size()) break;
    }
    return true;
}

Awaitable<Result<void>> FrameChannel::read() {
    while (socket_.is_open()) {
        const auto [error] = co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                                                         asio::as_tuple(asio::use_awaitable));
        if (error || !socket_.is_open()) break;
        auto more = read_available(kReadsMax);
        if (!more) co_return std::unexpected{std::move(more.error())};
        if (!*more) break;
    }
    co_return Result<void>{};
}

Result<void> FrameChannel::catch_up() {
    if (!socket_.is_open()) return {};
    if (auto done = read_available(kReadsMax); !done)
        return std::unexpected{std::move(done.error())};
    return {};
}

Result<void> FrameChannel::drain() {
    if (!socket_.is_open()) return {};
    constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
    if (auto done = read_available(kAll); !done) return std::unexpected{std::move(done.error())};
    return {};
}

bool FrameChannel::write_available() {
    while (written_ < out_.size()) {
        const ssize_t sent = ::send(writing().native_handle(), out_.data() + written_,
                                    out_.size() - written_, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            written_ += static_cast<std::size_t>(sent);
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            break;  // the other side is gone; its reader notices
        }
    }
    out_.clear();
    if (out_.capacity() > kReadBytes) out_.shrink_to_fit();
    written_ = 0;
    return true;
}

void FrameChannel::flush(TaskScope& scope) {
    if (writing_ || out_.empty() || !writing().is_open()) return;
    if (write_available()) return;
    writing_ = true;
    scope.spawn("write to a slot", write_rest());
}

Awaitable<void> FrameChannel::write_rest() {
    while (writing().is_open()) {
        const auto [error] = co_await writing().async_wait(
            asio::posix::stream_descriptor::wait_write, asio::as_tuple(asio::use_awaitable));
        if (error || !writing().is_open() || write_available()) break;
    }
    writing_ = false;
}

void FrameChannel::close() noexcept {
    boost::system::error_code ignored;
    socket_.close(ignored);    // NOLINT: cancels what waits
    writing().close(ignored);  // NOLINT: the same
}

}  // namespace lovage::slot
