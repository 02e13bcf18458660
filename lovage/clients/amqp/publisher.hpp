#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/amqp/client.hpp>
#include <lovage/clients/amqp/confirm_ledger.hpp>
#include <lovage/clients/amqp/detail/wait_line.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace lovage::amqp {

/// A message to publish. The empty exchange routes to the queue named by the routing key.
struct Outgoing {
    std::string exchange;
    std::string routing_key;
    bool mandatory = true;  ///< No queue takes it → unroutable instead of silence.
    Properties properties;
    std::string body;
};

/// What may be under way before further publishes wait for confirms.
struct PublishWindow {
    std::size_t messages = 4096;
    std::size_t bytes = std::size_t{32} << 20U;
    /// Publishes that wait for room, for a connection or for the end of an alarm; further ones end
    /// with unavailable at once.
    std::size_t waiting = 65'536;
};

/// Publishes with confirms on a channel of its own; any number of publishes at a time. Belongs to
/// the client's loop.
///
/// RabbitMQ stops reading from a connection that published during a memory or disk alarm, so its
/// client should carry no consumers.
class Publisher final : private ChannelEvents, private Client::Resident {
public:
    explicit Publisher(Client& client, PublishWindow window = {});
    ~Publisher();
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    /// Publishes and waits for the confirm.
    /// Cancellation: before the frames are written nothing is sent; afterwards the message may
    /// exist. Lifetime: `*this` must outlive the returned Awaitable; `message` is taken by value.
    /// Errors: nothing was sent: deadline_exceeded, disconnected, unavailable (the server's alarm),
    ///         too_large, invalid_argument. It is not stored: unroutable, rejected (basic.nack),
    ///         not_found (no such exchange). It may be stored: unknown_outcome.
    [[nodiscard]] Awaitable<Result<void>> publish(Outgoing message, Deadline deadline);

    [[nodiscard]] std::size_t in_flight() const noexcept { return ledger_.in_flight(); }

private:
    enum class Obstacle : std::uint8_t { none, closed, disconnected, blocked, window };
    class Pending;

    void on_returned(Returned message) override;
    void on_confirm(std::uint64_t tag, bool multiple, bool stored) override;
    void on_channel_closed(const Error& why) override;
    void on_connected(Session& session) override;
    void on_state_changed() override;
    void on_client_closed() override;

    /// What keeps a publish that holds `own` of the window already from being written now.
    [[nodiscard]] Obstacle obstacle(detail::WaitLine::Held own = {}) const;
    [[nodiscard]] Error gave_up(Obstacle obstacle) const;
    /// Lifetime: `ticket` must outlive the returned Awaitable.
    [[nodiscard]] Awaitable<Result<void>> wait_for_room(detail::WaitLine::Ticket* ticket,
                                                        Deadline deadline);
    /// Lets in as many of those that wait as there is room for.
    void admit();

    Client* client_;
    PublishWindow window_;
    Session* session_ = nullptr;
    Channel* channel_ = nullptr;
    ConfirmLedger ledger_;
    detail::WaitLine line_;
};

}  // namespace lovage::amqp
