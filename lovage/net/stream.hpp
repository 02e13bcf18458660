#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage::net {

/// A two-way stream of bytes: TCP, a Unix socket, or TLS over either.
///
/// One read and one write may be under way at the same time, never two of a kind. Waiting has no
/// limit of its own: the owner bounds it with cancel(), or cancels the coroutine that waits. Not
/// thread-safe: it belongs to the loop it was made on.
class Stream {
public:
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    virtual ~Stream() = default;

    /// Reads at least one byte into `buffer`, which must not be empty; 0 means the peer has ended
    /// its side. Lifetime: `*this` and the buffer must outlive the returned Awaitable. Errors:
    /// Errc::disconnected, Errc::cancelled.
    [[nodiscard]] virtual Awaitable<Result<std::size_t>> read_some(std::span<char> buffer) = 0;

    /// Writes all bytes of all buffers in order, at most 16 buffers. What the socket takes at once
    /// is written without suspending. Cancellation: any number of leading bytes may have been sent.
    /// Lifetime:     `*this`, the span and the bytes must outlive the returned Awaitable.
    /// Errors:       Errc::disconnected, Errc::cancelled.
    [[nodiscard]] virtual Awaitable<Result<void>> write(
        std::span<const std::string_view> buffers) = 0;

    /// Writes as much of `bytes` as the socket takes without waiting, and says how much: for a last
    /// word before closing. Not while a write is under way.
    virtual std::size_t try_write(std::string_view bytes) noexcept {
        static_cast<void>(bytes);
        return 0;
    }

    /// Ends our side; the peer reads the end of the stream and may still send.
    virtual void shutdown_send() noexcept = 0;
    /// Makes the read and the write under way end with Errc::cancelled. The stream stays open.
    virtual void cancel() noexcept = 0;
    /// Closes the socket; operations under way end with Errc::cancelled. Any number of times.
    virtual void close() noexcept = 0;

    /// The other side for logs: "192.0.2.7:51324", "[::1]:51324" or "unix".
    [[nodiscard]] virtual const std::string& peer() const noexcept = 0;
};

/// Connects to `host`:`port`, trying the host's addresses in turn.
/// Errors: Errc::disconnected with the last address's reason, Errc::not_found for a name that does
/// not
///         resolve, Errc::deadline_exceeded.
[[nodiscard]] Awaitable<Result<std::unique_ptr<Stream>>> connect_tcp(std::string host,
                                                                     std::uint16_t port,
                                                                     Deadline deadline);

/// Connects to the Unix socket at `path`.
/// Errors: Errc::disconnected.
[[nodiscard]] Awaitable<Result<std::unique_ptr<Stream>>> connect_unix(std::string path);

}  // namespace lovage::net
