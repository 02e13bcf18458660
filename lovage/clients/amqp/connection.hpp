#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/amqp/session.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lovage::amqp {

/// A Session on a byte stream: three coroutines that read, write and keep the time.
///
/// All frames of one turn of the loop leave in one write. Belongs to the loop; the coroutines keep
/// it alive until the stream is closed.
class Connection final : public SessionEvents, public std::enable_shared_from_this<Connection> {
public:
    Connection(Executor executor, SessionOptions options, std::unique_ptr<net::Stream> stream);

    /// Starts the coroutines in `scope` and waits for the end of the handshake. After an error the
    /// connection is closed. Lifetime: `*this` by its shared_ptr; `scope` outlives the connection.
    /// Errors: rejected (login or virtual host refused), malformed, disconnected,
    /// deadline_exceeded.
    [[nodiscard]] Awaitable<Result<void>> open(TaskScope* scope, Deadline deadline);

    [[nodiscard]] Session& session() noexcept { return session_; }
    /// Notified when the connection opens, closes, is blocked or unblocked.
    [[nodiscard]] Notifier& changed() noexcept { return changed_; }
    /// Why it is over; empty while it is not.
    [[nodiscard]] const std::optional<Error>& ended() const noexcept { return ended_; }
    [[nodiscard]] const std::string& peer() const noexcept { return stream_->peer(); }
    /// What connection.blocked said; empty when publishing is welcome.
    [[nodiscard]] const std::string& blocked_reason() const noexcept { return blocked_reason_; }

private:
    void on_output() override;
    void on_open() override;
    void on_blocked(std::string_view reason) override;
    void on_unblocked() override;
    void on_closed(const Error& why) override;

    static Awaitable<void> read(std::shared_ptr<Connection> self);
    static Awaitable<void> write(std::shared_ptr<Connection> self);
    static Awaitable<void> keep_time(std::shared_ptr<Connection> self);

    std::unique_ptr<net::Stream> stream_;
    Notifier changed_;
    Notifier output_ready_;
    std::optional<Error> ended_;
    std::string blocked_reason_;
    std::vector<char> input_;
    std::string writing_;
    Session session_;
};

}  // namespace lovage::amqp
