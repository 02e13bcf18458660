#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/redis/liveness.hpp>
#include <lovage/clients/redis/options.hpp>
#include <lovage/clients/redis/reply.hpp>
#include <lovage/clients/redis/reply_parser.hpp>
#include <lovage/core/error.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lovage::redis {

/// One connection from its greeting to its end. One read and one write may be under way at a time.
/// Belongs to its loop; not thread-safe.
class Session {
public:
    /// Connects and greets, within the options' connect_timeout.
    /// Errors: net::connect_tcp()'s and connect_tls()'s, Handshake's; disconnected when the time is
    /// over.
    [[nodiscard]] static Awaitable<Result<std::unique_ptr<Session>>> open(Options options);

    /// The next reply of those that have been received, or nothing. Errors: malformed, too_large;
    /// the session is of no use afterwards.
    [[nodiscard]] Result<std::optional<Reply>> next() { return parser_.next(); }
    /// Receives more. Errors: disconnected, cancelled.
    [[nodiscard]] Awaitable<Result<void>> receive();
    /// Writes all of `text`, which must outlive the returned Awaitable. Errors: as receive().
    [[nodiscard]] Awaitable<Result<void>> write(std::string_view text);
    void close() noexcept { stream_->close(); }

    /// Liveness::look() now.
    [[nodiscard]] Liveness::Finding look(std::chrono::milliseconds allowed_silence) noexcept;
    /// 2 or 3.
    [[nodiscard]] int protocol() const noexcept { return protocol_; }
    /// "7.0.15", or "of unknown version".
    [[nodiscard]] const std::string& server_version() const noexcept { return server_version_; }

private:
    Session(std::unique_ptr<net::Stream> stream, const Options& options);
    static Awaitable<Result<std::unique_ptr<Session>>> open_until(Options options,
                                                                  Deadline deadline);
    Awaitable<Result<void>> greet(Options options);
    Awaitable<Result<Reply>> read_reply();

    std::unique_ptr<net::Stream> stream_;
    ReplyParser parser_;
    Liveness liveness_;
    int protocol_ = 2;
    std::string server_version_ = "of unknown version";
};

}  // namespace lovage::redis
