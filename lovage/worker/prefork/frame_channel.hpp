#pragma once

#include <functional>
#include <optional>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/file_descriptor.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/prefork/slot_protocol.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace lovage::slot {

/// Frames between a worker and a slot, both ways, on a loop. Nothing here ever waits for the other
/// side. Belongs to the loop; not thread-safe.
class FrameChannel {
public:
    using Handler = std::function<Result<void>(const FrameReader::Frame&)>;

    /// `socket`: a connected stream socket. `handler` is called for every frame; its error ends the
    /// reading as a malformed frame does.
    FrameChannel(const Executor& executor, FileDescriptor socket, Handler handler);
    /// The same over two sockets, one for either direction. Who blocks on a stream that goes both
    /// ways is woken whenever the other side reads, too, since that makes room to write.
    FrameChannel(const Executor& executor, FileDescriptor reading, FileDescriptor writing,
                 Handler handler);

    /// Frames to send are appended here; they go out with the next flush().
    [[nodiscard]] std::string& out() noexcept { return out_; }
    /// Writes what the socket takes now; the rest follows by itself, in a coroutine of `scope`.
    void flush(TaskScope& scope);

    /// Reads until the other side is gone (success), or says what nobody understands.
    [[nodiscard]] Awaitable<Result<void>> read();
    /// Handles what has come already, without waiting; of a side that goes on talking, at least
    /// what the socket held.
    [[nodiscard]] Result<void> catch_up();
    /// Handles everything that a side which is gone has said.
    [[nodiscard]] Result<void> drain();

    void close() noexcept;

private:
    /// False at the end of the stream.
    Result<bool> read_available(std::size_t reads_max);
    /// True when everything is written (or never will be).
    bool write_available();
    Awaitable<void> write_rest();
    [[nodiscard]] boost::asio::posix::stream_descriptor& writing() noexcept {
        return own_writing_ ? *own_writing_ : socket_;
    }

    boost::asio::posix::stream_descriptor socket_;
    std::optional<boost::asio::posix::stream_descriptor> own_writing_;  // not socket_
    Handler handler_;
    FrameReader reader_;
    std::string out_;
    std::size_t written_ = 0;  // of out_
    bool writing_ = false;
};

}  // namespace lovage::slot
