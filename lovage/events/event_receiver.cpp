#include <lovage/events/event_receiver.hpp>

#include <lovage/core/uuid.hpp>

#include <iterator>
#include <utility>

namespace lovage {

namespace {

/// Messages taken ahead. Each may carry many events.
constexpr std::uint32_t kPrefetch = 200;

}  // namespace

EventReceiver::EventReceiver(Broker& broker, LamportClock& clock, EventReceiverOptions options)
    : broker_{broker}, clock_{clock}, options_{std::move(options)} {}

Awaitable<Result<void>> EventReceiver::open(Deadline deadline) {
    consumer_.reset();
    ExchangeDeclaration exchange;
    exchange.name = options_.exchange;
    exchange.type = ExchangeType::topic;
    auto done = co_await broker_.declare_exchange(std::move(exchange), deadline);
    if (!done) co_return done;
    queue_ = options_.queue_prefix + "." + uuid4();
    QueueDeclaration queue;
    queue.name = queue_;
    queue.durable = false;
    queue.auto_delete = true;
    if (options_.queue_expires.count() > 0) queue.expires = options_.queue_expires;
    queue.message_ttl = options_.queue_ttl;
    done = co_await broker_.declare_queue(std::move(queue), deadline);
    if (!done) co_return done;
    for (const std::string& key : options_.routing_keys) {
        Binding binding{queue_, options_.exchange, key};
        done = co_await broker_.bind(std::move(binding), deadline);
        if (!done) co_return done;
    }
    ConsumeOptions consume;
    consume.queues = {queue_};
    consume.prefetch = kPrefetch;
    auto consumer = co_await broker_.consume(std::move(consume), deadline);
    if (!consumer) co_return std::unexpected{std::move(consumer.error())};
    consumer_ = std::move(*consumer);
    co_return Result<void>{};
}

void EventReceiver::read(const Delivery& delivery, std::vector<Event>& events) {
    auto batch = decode_events(delivery.message);
    if (!batch) {
        ++refused_;
        return;
    }
    refused_ += batch->refused;
    for (Event& event : batch->events) {
        if (event.type == "task-sent") {
            event.clock = static_cast<std::int64_t>(clock_.forward());
        } else {
            clock_.adjust(event.clock > 0 ? static_cast<std::uint64_t>(event.clock) : 0);
        }
    }
    std::ranges::move(batch->events, std::back_inserter(events));
}

Awaitable<Result<std::vector<Event>>> EventReceiver::receive(Deadline deadline) {
    if (!consumer_) co_return fail(Errc::closed, "the receiver is not open");
    std::vector<Event> events;
    while (events.empty()) {
        auto deliveries = co_await consumer_->receive(deadline);
        if (!deliveries) co_return std::unexpected{std::move(deliveries.error())};
        for (const Delivery& delivery : *deliveries) {
            // Celery consumes without acknowledgement; brokers here have none such.
            consumer_->ack(delivery.tag);
            read(delivery, events);
        }
    }
    co_return events;
}

Awaitable<void> EventReceiver::close(Deadline deadline) {
    if (!consumer_) co_return;
    (void)co_await consumer_->close(deadline);
    consumer_.reset();
}

}  // namespace lovage
