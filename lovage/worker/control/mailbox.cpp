#include <lovage/worker/control/mailbox.hpp>

#include <lovage/events/event.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/control/command.hpp>

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace lovage::control {
namespace {

using namespace std::chrono_literals;

constexpr auto kOpen = 10s;
constexpr auto kReceive = 60s;
constexpr auto kReply = 10s;
/// The longest pause before another try: work goes on within five seconds of the broker's return,
/// and so shall this.
constexpr auto kLongestPause = 2s;
/// For what no amount of trying cures soon: other declarations, missing rights.
constexpr auto kRefusedPause = 30s;
/// Commands carried out beside each other; more wait with the broker.
constexpr std::size_t kAtOnce = 64;
constexpr std::uint32_t kPrefetch = 64;
/// A reply beyond that is replaced by an error: brokers refuse it.
constexpr std::size_t kReplyBytesMax = std::size_t{15} << 20U;

/// Of a name that somebody else chose, in the log.
constexpr std::size_t kShownBytes = 100;

ControlQueueOptions queue_options(const Settings& settings) {
    return {.ttl = settings.control_queue_ttl,
            .expires = settings.control_queue_expires,
            .exclusive = settings.control_queue_exclusive,
            .durable = settings.control_queue_durable};
}

bool refused(Errc code) {
    return code == Errc::conflict || code == Errc::rejected || code == Errc::invalid_argument;
}

}  // namespace

/// A command from its start to its end, however that comes.
class Mailbox::InHand {
public:
    explicit InHand(Mailbox& mailbox) : mailbox_{mailbox} { ++mailbox_.in_hand_; }
    ~InHand() {
        --mailbox_.in_hand_;
        mailbox_.ended_.notify_all();
    }
    InHand(const InHand&) = delete;
    InHand& operator=(const InHand&) = delete;

private:
    Mailbox& mailbox_;
};

Mailbox::Mailbox(Executor executor, ControlledWorker& worker, Broker& broker)
    : executor_{executor},
      worker_{worker},
      broker_{broker},
      names_{worker.settings().control_exchange},
      ended_{executor},
      scope_{std::move(executor)} {}

Awaitable<void> Mailbox::serve() {
    std::chrono::milliseconds wait = 100ms;
    while (true) {
        Error problem;
        try {
            auto opened = co_await open(Deadline::in(kOpen));
            if (opened) wait = 100ms;
            problem = opened ? co_await receive() : std::move(opened.error());
        } catch (const boost::system::system_error&) {
            throw;  // cancelled
        } catch (const std::exception& thrown) {
            problem = {Errc::internal, thrown.what()};
        }
        consumer_.reset();
        const bool hopeless = refused(problem.code);
        log::warning("worker", "remote control: {}. {} …", problem.message(),
                     hopeless ? "Trying again in 30 s" : "Trying to re-establish it");
        boost::asio::steady_timer timer{executor_, hopeless ? kRefusedPause : wait};
        co_await timer.async_wait(boost::asio::use_awaitable);
        wait = std::min<std::chrono::milliseconds>(wait * 2, kLongestPause);
    }
}

Awaitable<Result<void>> Mailbox::open(Deadline deadline) {
    if (consumer_) co_return Result<void>{};
    const ControlQueueOptions options = queue_options(worker_.settings());
    ControlTopology mailbox = names_.mailbox(worker_.node(), options);
    // Replies go to an exchange that is there: a publish to any other would cost the channel.
    ControlTopology replies = names_.reply_box("", options);
    auto done = co_await broker_.declare_exchange(std::move(replies.exchange), deadline);
    if (done) done = co_await broker_.declare_exchange(std::move(mailbox.exchange), deadline);
    if (done) done = co_await broker_.declare_queue(std::move(mailbox.queue), deadline);
    if (done) done = co_await broker_.bind(std::move(mailbox.binding), deadline);
    if (!done) co_return done;
    co_await listen_to_elections(deadline);
    if (!std::exchange(looked_for_twin_, true)) co_await look_for_twin(deadline);
    co_return co_await make_consumer(deadline);
}

Awaitable<void> Mailbox::listen_to_elections(Deadline deadline) {
    const std::string& events = worker_.settings().event_exchange;
    ExchangeDeclaration exchange;
    exchange.name = events;
    exchange.type = ExchangeType::topic;
    Binding binding;
    binding.queue = names_.mailbox_queue(worker_.node());
    binding.exchange = events;
    binding.routing_key = kElectRoutingKey;
    auto done = co_await broker_.declare_exchange(std::move(exchange), deadline);
    if (done) done = co_await broker_.bind(std::move(binding), deadline);
    if (!done) log::info("worker", "elections are not heard of: {}", done.error().message());
}

Awaitable<void> Mailbox::look_for_twin(Deadline deadline) {
    const auto status =
        co_await broker_.queue_status(names_.mailbox_queue(worker_.node()), deadline);
    if (!status || status->consumers == 0) co_return;
    log::warning("worker",
                 "remote control: there is another worker named {}: each command reaches one of "
                 "them only. Name each worker of a host differently, with -n",
                 worker_.node());
}

Awaitable<Result<void>> Mailbox::make_consumer(Deadline deadline) {
    ConsumeOptions consume;
    consume.queues.push_back(names_.mailbox_queue(worker_.node()));
    consume.prefetch = kPrefetch;
    auto consumer = co_await broker_.consume(std::move(consume), deadline);
    if (!consumer) co_return std::unexpected{std::move(consumer.error())};
    consumer_ = std::move(*consumer);
    co_return Result<void>{};
}

Awaitable<Error> Mailbox::receive() {
    while (true) {
        auto deliveries = co_await consumer_->receive(Deadline::in(kReceive));
        if (!deliveries) {
            if (deliveries.error().code == Errc::deadline_exceeded) continue;
            co_return std::move(deliveries.error());
        }
        for (Delivery& delivery : *deliveries) co_await take(std::move(delivery));
    }
}

Awaitable<void> Mailbox::take(Delivery delivery) {
    consumer_->ack(delivery.tag);
    // Nobody waits for such an answer any more, and an old shutdown must not end the next worker of
    // this name.
    if (delivery.expired || delivery.redelivered) co_return;
    if (delivery.exchange == worker_.settings().event_exchange) {
        hear_of_candidates(delivery.message);
        co_return;
    }
    auto request = decode_control_request(delivery.message);
    if (!request) {
        log::warning("worker", "remote control: a request that nobody understands: {}",
                     request.error().detail);
        co_return;
    }
    worker_.clock().adjust(request->clock);
    if (!addressed_to(*request, worker_.node())) co_return;
    while (in_hand_ >= kAtOnce) co_await ended_.wait();
    scope_.spawn("remote control", answer(std::move(*request)));
}

void Mailbox::hear_of_candidates(const Message& message) {
    EventControl* const events = worker_.events();
    const auto heard = decode_events(message);
    if (!heard || events == nullptr) return;
    for (const Event& event : heard->events) {
        const std::string_view election = event.text("id");
        if (event.type != "worker-elect" || election.empty()) continue;
        if (election.size() > kTaskIdBytesMax) continue;  // Wire: it is the id of a task.
        worker_.clock().adjust(static_cast<std::uint64_t>(std::max<std::int64_t>(event.clock, 0)));
        const std::string candidate = fmt::format("{}.{}", event.hostname, event.pid);
        for (std::size_t due = elections_.heard(election, candidate); due > 0; --due) {
            events->acknowledge_election(election);
        }
    }
}

Awaitable<void> Mailbox::answer(ControlRequest request) {
    const InHand in_hand{*this};
    log::debug("worker", "remote control: {}", request.method);
    Answer answer =
        co_await carry_out(&worker_, std::move(request.method), std::move(request.arguments));
    if (answer && request.reply_to && request.ticket) {
        ControlReply what;
        what.ticket = std::move(*request.ticket);
        what.node = worker_.node();
        what.value = std::move(*answer);
        co_await reply(std::move(*request.reply_to), std::move(what));
    }
}

Awaitable<void> Mailbox::reply(ReplyAddress to, ControlReply what) {
    if (!to.exchange.empty() && to.exchange != names_.reply_exchange()) {
        log::warning("worker", "remote control: nobody replies to exchange '{}', only to '{}'",
                     to.exchange.substr(0, kShownBytes), names_.reply_exchange());
        co_return;
    }
    what.clock = worker_.clock().forward();
    Publication publication = reply_publication(to, what);
    if (publication.message.body.size() > kReplyBytesMax) {
        what.value = *error("the answer is larger than 15 MiB");
        publication = reply_publication(to, what);
    }
    auto sent = co_await broker_.publish(std::move(publication), Deadline::in(kReply));
    if (!sent) log::warning("worker", "remote control: a reply: {}", sent.error().message());
}

Awaitable<void> Mailbox::close(Deadline deadline) {
    if (!co_await scope_.join(deadline)) {
        scope_.request_stop();
        while (!co_await scope_.join(Deadline::in(kReply))) {
            log::warning("worker", "still waiting for a command of remote control");
        }
    }
    if (!consumer_) co_return;
    auto closed = co_await consumer_->close(deadline);
    if (!closed) log::warning("worker", "remote control: {}", closed.error().message());
    consumer_.reset();
}

}  // namespace lovage::control
