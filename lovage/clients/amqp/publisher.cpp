#include <lovage/clients/amqp/publisher.hpp>

#include <lovage/runtime/failpoint.hpp>

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace lovage::amqp {

namespace asio = boost::asio;

/// One publish whose frames are written; lives in its coroutine's frame.
class Publisher::Pending final : public ConfirmListener {
public:
    Pending(Publisher& publisher, Deadline deadline)
        : ledger_{publisher.ledger_}, timer_{publisher.client_->executor(), deadline.time()} {}
    ~Pending() {
        if (!outcome_ && tag_ != 0) ledger_.forget(tag_);
    }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    void written(std::uint64_t print, std::size_t bytes) { tag_ = ledger_.add(this, print, bytes); }
    void on_settled(PublishOutcome outcome, const std::string& reason) override {
        outcome_ = outcome;
        if (outcome != PublishOutcome::stored) reason_ = reason;
        timer_.cancel();
    }
    Awaitable<void> settled() {
        (void)co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

    /// Touches nothing but itself and the message: the publisher may be gone.
    [[nodiscard]] Result<void> result(const Outgoing& message) const {
        if (!outcome_) {
            return fail(Errc::unknown_outcome, "the broker did not confirm the message in time");
        }
        switch (*outcome_) {
            case PublishOutcome::stored:
                return {};
            case PublishOutcome::refused:
                return fail(Errc::rejected,
                            fmt::format("the broker refused the message for '{}' (basic.nack: the "
                                        "queue is full or failed)",
                                        message.routing_key));
            case PublishOutcome::returned:
                return fail(Errc::unroutable,
                            fmt::format("no queue takes messages of exchange '{}' with routing key "
                                        "'{}': {}",
                                        message.exchange, message.routing_key, reason_));
            case PublishOutcome::lost:
                break;
        }
        if (reason_.contains(fmt::format("no exchange '{}'", message.exchange))) {
            return fail(Errc::not_found, fmt::format("no exchange named '{}'", message.exchange));
        }
        return fail(Errc::unknown_outcome, "the broker did not confirm the message: " + reason_);
    }

private:
    ConfirmLedger& ledger_;
    asio::steady_timer timer_;
    std::optional<PublishOutcome> outcome_;
    std::string reason_;
    std::uint64_t tag_ = 0;
};

Publisher::Publisher(Client& client, PublishWindow window)
    : client_{&client}, window_{window}, line_{client.executor(), [this] { admit(); }} {
    client.add(*this);
}

Publisher::~Publisher() {
    if (client_ != nullptr) client_->remove(*this);
    if (channel_ != nullptr) channel_->close();
    ledger_.lose_all("the publisher is gone");
}

void Publisher::on_connected(Session& session) {
    session_ = &session;
    channel_ = session.open_channel(*this);
    if (channel_ == nullptr) return;
    channel_->call(Request::make(confirm::Select{}, confirm::SelectOk::kId),
                   [](const Result<Reply>&) {});
    admit();
}

void Publisher::on_channel_closed(const Error& why) {
    channel_ = nullptr;
    ledger_.lose_all(why.detail);
    // One publish was refused, not the connection: the others go on, on a new channel.
    if (session_->open()) {
        on_connected(*session_);
    } else {
        session_ = nullptr;
    }
}

void Publisher::on_state_changed() {
    admit();
}

void Publisher::on_client_closed() {
    client_ = nullptr;
    line_.admit_all();
}

void Publisher::on_returned(Returned message) {
    const std::uint64_t print =
        fingerprint(message.exchange, message.routing_key, message.properties, message.body);
    ledger_.returned(print, std::move(message.text));
}

void Publisher::on_confirm(std::uint64_t tag, bool multiple, bool stored) {
    if (failpoint::fails(failpoint::Point::send_unconfirmed)) return;  // as if it had been lost
    ledger_.confirm(tag, multiple, stored);
    admit();
}

void Publisher::admit() {
    // Without a client nothing waits for room any more: everybody is told.
    if (obstacle() == Obstacle::closed) line_.admit_all();
    while (line_.size() > 0 && obstacle() == Obstacle::none) line_.admit_first();
}

Publisher::Obstacle Publisher::obstacle(detail::WaitLine::Held own) const {
    if (client_ == nullptr || !client_->running()) return Obstacle::closed;
    if (channel_ == nullptr) return Obstacle::disconnected;
    if (session_->blocked()) return Obstacle::blocked;
    // One message may always be under way, however large. Who was admitted and is about to be
    // written counts like those that are.
    const auto [count, bytes] = line_.held();
    const bool full = ledger_.in_flight() + count - own.count >= window_.messages ||
                      ledger_.bytes_in_flight() + bytes - own.bytes >= window_.bytes;
    return full ? Obstacle::window : Obstacle::none;
}

Error Publisher::gave_up(Obstacle obstacle) const {
    switch (obstacle) {
        case Obstacle::none:
        case Obstacle::window:
            break;
        case Obstacle::closed:
            if (client_ != nullptr) return client_->not_connected();
            return {Errc::disconnected, "the AMQP client is gone"};
        case Obstacle::disconnected:
            return client_->not_connected();
        case Obstacle::blocked:
            return {Errc::unavailable,
                    fmt::format("the broker takes no messages: {}", client_->blocked_reason())};
    }
    return {Errc::deadline_exceeded,
            fmt::format("{} messages wait for the broker's confirm", ledger_.in_flight())};
}

Awaitable<Result<void>> Publisher::wait_for_room(detail::WaitLine::Ticket* ticket,
                                                 Deadline deadline) {
    while (true) {
        const Obstacle now = obstacle(ticket->held());
        if (now == Obstacle::none) co_return Result<void>{};
        if (now == Obstacle::closed || deadline.passed()) co_return std::unexpected{gave_up(now)};
        if (line_.size() >= window_.waiting) {
            co_return fail(Errc::unavailable, fmt::format("{} publishes wait already: {}",
                                                          line_.size(), gave_up(now).detail));
        }
        if (!co_await ticket->wait(deadline)) {
            const Obstacle last = obstacle();
            if (last != Obstacle::none) co_return std::unexpected{gave_up(last)};
        }
    }
}

Awaitable<Result<void>> Publisher::publish(Outgoing message, Deadline deadline) {
    if (deadline.passed()) {
        co_return fail(Errc::deadline_exceeded, "the deadline had passed already");
    }
    std::optional<detail::WaitLine::Ticket> ticket;
    if (obstacle() != Obstacle::none) {
        ticket.emplace(line_, message.body.size());
        if (auto room = co_await wait_for_room(&*ticket, deadline); !room) co_return room;
    }
    Pending pending{*this, deadline};
    auto written = channel_->publish({.exchange = message.exchange,
                                      .routing_key = message.routing_key,
                                      .mandatory = message.mandatory},
                                     message.properties, message.body);
    if (!written || failpoint::left_out(failpoint::Line::confirm)) co_return written;
    const std::uint64_t print =
        message.mandatory
            ? fingerprint(message.exchange, message.routing_key, message.properties, message.body)
            : 0;
    pending.written(print, message.body.size());
    ticket.reset();
    co_await pending.settled();
    co_return pending.result(message);
}

}  // namespace lovage::amqp
