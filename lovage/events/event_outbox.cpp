#include <lovage/events/event_outbox.hpp>

#include <lovage/runtime/log.hpp>

#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// A broker that says no is left alone for that long: each no costs it a channel.
constexpr auto kRefusedPause = 30s;

/// It cannot be reached, or not now.
bool is_away(Errc code) {
    return code == Errc::disconnected || code == Errc::deadline_exceeded ||
           code == Errc::unknown_outcome || code == Errc::unavailable || code == Errc::cancelled;
}

}  // namespace

/// A message between being taken from the line and its end, however that comes.
class EventOutbox::Flight {
public:
    Flight(EventOutbox& outbox, std::size_t bytes) : outbox_{outbox}, bytes_{bytes} {
        ++outbox_.in_flight_;
    }
    ~Flight() {
        --outbox_.in_flight_;
        outbox_.bytes_ -= bytes_;
        outbox_.changed_.notify_all();
    }
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;

private:
    EventOutbox& outbox_;
    std::size_t bytes_;
};

EventOutbox::EventOutbox(Executor executor, std::string exchange, std::function<Broker*()> broker,
                         Limits limits)
    : exchange_{std::move(exchange)},
      broker_{std::move(broker)},
      limits_{limits},
      sent_total_{metrics::default_registry()
                      .counter("lovage_events_sent_total", "Events the broker has taken.")
                      .with({})},
      dropped_total_{metrics::default_registry()
                         .counter("lovage_events_dropped_total",
                                  "Events dropped since the broker was slow or away.")
                         .with({})},
      changed_{executor},
      scope_{std::move(executor)} {}

void EventOutbox::lost(std::size_t events) {
    drop(events, "they come faster than they can be sent");
}

void EventOutbox::drop(std::size_t events, std::string_view why) {
    dropped_ += events;
    dropped_total_.increment(static_cast<double>(events));
    if (!std::exchange(dropping_, true)) {
        log::warning("events", "events are dropped: {} (said once until one goes out again)", why);
    }
}

void EventOutbox::drop_waiting(std::string_view why) {
    std::size_t events = 0;
    for (const Item& item : waiting_) {
        events += item.events;
        bytes_ -= item.publication.message.body.size();
    }
    waiting_.clear();
    if (events == 0) return;
    drop(events, why);
    changed_.notify_all();
}

void EventOutbox::send(std::string routing_key, Message message, std::size_t events) {
    const std::size_t bytes = message.body.size();
    if (closed_ || held() >= limits_.messages || bytes_ + bytes > limits_.bytes) {
        return drop(events, "the broker does not take them fast enough");
    }
    if (!declared_ && Clock::now() < refused_until_) {
        return drop(events, "the exchange cannot be declared");
    }
    Item item;
    item.publication.exchange = exchange_;
    item.publication.routing_key = std::move(routing_key);
    item.publication.message = std::move(message);
    item.publication.mandatory = false;  // usually nobody listens
    item.publication.aside = true;
    item.events = events;
    bytes_ += bytes;
    waiting_.push_back(std::move(item));
    if (!std::exchange(pumping_, true)) scope_.spawn("events", pump());
}

/// Runs while messages wait; where nothing needs to be waited for, to its end within send().
Awaitable<void> EventOutbox::pump() {
    struct Ended {
        ~Ended() { flag = false; }
        bool& flag;
    };
    const Ended ended{pumping_};
    while (!waiting_.empty()) {
        if (!declared_ && !co_await declare()) co_return;
        while (!waiting_.empty() && in_flight_ < limits_.in_flight) {
            Item item = std::move(waiting_.front());
            waiting_.pop_front();
            scope_.spawn("event", publish(std::move(item)));
        }
        if (!waiting_.empty()) co_await changed_.wait();
    }
}

Awaitable<bool> EventOutbox::declare() {
    Result<void> declared = fail(Errc::disconnected, "there is no connection");
    if (Broker* const broker = broker_()) {
        ExchangeDeclaration exchange;
        exchange.name = exchange_;
        exchange.type = ExchangeType::topic;
        declared =
            co_await broker->declare_exchange(std::move(exchange), Deadline::in(limits_.patience));
    }
    declared_ = declared.has_value();
    if (!declared_ && !is_away(declared.error().code)) {
        refused_until_ = Clock::now() + kRefusedPause;
    }
    if (!declared_) drop_waiting("exchange '" + exchange_ + "': " + declared.error().message());
    co_return declared_;
}

Awaitable<void> EventOutbox::publish(Item item) {
    const std::size_t events = item.events;
    const Flight flight{*this, item.publication.message.body.size()};
    Result<void> sent = fail(Errc::disconnected, "there is no connection");
    if (Broker* const broker = broker_()) {
        sent =
            co_await broker->publish(std::move(item.publication), Deadline::in(limits_.patience));
    }
    if (sent) {
        dropping_ = false;
        sent_total_.increment(static_cast<double>(events));
        co_return;
    }
    if (sent.error().code == Errc::not_found) declared_ = false;  // somebody deleted the exchange
    drop(events, sent.error().message());
}

Awaitable<void> EventOutbox::finish(Deadline deadline) {
    while (held() != 0 && co_await changed_.wait(deadline)) {
    }
    closed_ = true;
    drop_waiting("the program ends");
    scope_.request_stop();
    while (!co_await scope_.join(Deadline::in(limits_.patience))) {
    }
}

}  // namespace lovage
