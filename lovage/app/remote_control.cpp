#include <lovage/app/remote_control.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/control/control_message.hpp>
#include <lovage/control/control_names.hpp>
#include <lovage/core/time.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/log.hpp>

#include <utility>

#include <fmt/ranges.h>
#include <boost/asio/experimental/awaitable_operators.hpp>

namespace lovage {

namespace {

using namespace boost::asio::experimental::awaitable_operators;

/// For everything before the request is out, and again for putting away what was made.
constexpr std::chrono::seconds kBrokerPatience{5};

/// Replies that may come in one go.
constexpr std::uint32_t kPrefetch = 1000;

ControlRequest request_of(ControlCommand command, const ControlOptions& options,
                          LamportClock& clock) {
    ControlRequest request{.method = std::move(command.method),
                           .arguments = std::move(command.arguments),
                           .destination = options.destination,
                           .clock = clock.forward()};
    if (options.pattern) {
        request.pattern = options.pattern;
        request.matcher = options.matcher;
    }
    // Wire: seconds since 1970.
    const auto now = wall_clock_now().time_since_epoch();
    request.expires = std::chrono::duration<double>{now + options.timeout}.count();
    return request;
}

/// The broker, and what remote control is called there.
struct Exchanges {
    Broker* broker;
    ControlNames names;
};

/// Publishes the request. True: a worker's mailbox has it. A request to a broker without workers is
/// no error.
Awaitable<Result<bool>> publish_request(Exchanges on, const ControlRequest* request,
                                        Deadline deadline) {
    Publication publication = control_publication(on.names, *request);
    publication.mandatory = true;
    auto published = co_await on.broker->publish(std::move(publication), deadline);
    if (published) co_return true;
    if (published.error().code == Errc::unroutable) co_return false;
    co_return std::unexpected{std::move(published.error())};
}

/// Whoever comes first makes it, as with Celery.
Awaitable<Result<void>> declare_mailboxes(Exchanges on, Deadline deadline) {
    return on.broker->declare_exchange(on.names.mailbox("").exchange, deadline);
}

/// The first thing that went wrong.
template <class... Results>
Result<void> first_problem(Results&... results) {
    Result<void> all;
    const auto look_at = [&all](auto& result) {
        if (all && !result) all = std::unexpected{std::move(result.error())};
    };
    (look_at(results), ...);
    return all;
}

/// Makes what request and replies travel through. A busy broker takes its time for each answer, so
/// what does not depend on each other is asked for at once.
Awaitable<Result<void>> open_reply_box(Exchanges on, const ControlTopology* box,
                                       Deadline deadline) {
    auto [mailboxes, replies, queue] = co_await (
        declare_mailboxes(on, deadline) && on.broker->declare_exchange(box->exchange, deadline) &&
        on.broker->declare_queue(box->queue, deadline));
    auto done = first_problem(replies, queue, mailboxes);
    if (done) done = co_await on.broker->bind(box->binding, deadline);
    co_return done;
}

Awaitable<Result<std::unique_ptr<Consumer>>> consume_replies(Broker* broker, std::string queue,
                                                             Deadline deadline) {
    ConsumeOptions options{.queues = {std::move(queue)}, .prefetch = kPrefetch, .tag = {}};
    return broker->consume(std::move(options), deadline);
}

/// The queue goes while it is still consumed: then it cannot have gone by itself, and the broker's
/// connection forgets it.
Awaitable<void> close_reply_box(Broker* broker, std::unique_ptr<Consumer> consumer,
                                std::string queue) {
    const Deadline deadline = Deadline::in(kBrokerPatience);
    auto deleted = co_await broker->delete_queue(std::move(queue), deadline);
    // What cannot be deleted goes with its consumer, or unused after its `x-expires`.
    if (!deleted) log::debug("control", "the queue for replies: {}", deleted.error().message());
    if (consumer) (void)co_await consumer->close(deadline);
}

Awaitable<Result<void>> collect(Consumer* consumer, ReplyCollector* replies, LamportClock* clock,
                                Deadline deadline) {
    while (!replies->complete()) {
        auto deliveries = co_await consumer->receive(deadline);
        if (!deliveries) {
            if (deliveries.error().code == Errc::deadline_exceeded) break;
            co_return std::unexpected{std::move(deliveries.error())};
        }
        for (const Delivery& delivery : *deliveries) {
            consumer->ack(delivery.tag);
            if (const auto theirs = replies->add(delivery.message)) {
                (void)clock->adjust(*theirs);
            } else {
                log::warning("control", "a reply that cannot be used: {}",
                             theirs.error().message());
            }
        }
    }
    co_return Result<void>{};
}

void warn_of_duplicates(const ReplyCollector& replies) {
    if (replies.duplicates().empty()) return;
    log::warning("control",
                 "more than one reply from {}: give each worker a name of its own (worker -n)",
                 fmt::join(replies.duplicates(), ", "));
}

Awaitable<Result<NodeReplies>> call(Exchanges on, ControlTopology box, ControlRequest request,
                                    LamportClock* clock, ControlOptions options) {
    const Deadline sending = Deadline::in(kBrokerPatience);
    request.ticket = uuid4();
    request.reply_to = ReplyAddress{box.binding.exchange, box.binding.routing_key};
    ReplyCollector replies{*request.ticket, options.destination, options.limit};

    const std::string queue = box.queue.name;
    std::unique_ptr<Consumer> consumer;
    Result<void> done = co_await open_reply_box(on, &box, sending);
    if (done) {
        // Replies that come before the consumer wait in the queue.
        auto [consuming, heard] = co_await (consume_replies(on.broker, queue, sending) &&
                                            publish_request(on, &request, sending));
        done = first_problem(consuming, heard);
        if (consuming) consumer = std::move(*consuming);
        if (done && *heard) {
            const Deadline deadline = Deadline::in(options.timeout);
            done = co_await collect(consumer.get(), &replies, clock, deadline);
        }
    }
    co_await close_reply_box(on.broker, std::move(consumer), queue);
    if (!done) co_return std::unexpected{std::move(done.error())};
    warn_of_duplicates(replies);
    co_return std::move(replies).take();
}

Awaitable<Result<NodeReplies>> cast(Exchanges on, ControlRequest request) {
    const Deadline deadline = Deadline::in(kBrokerPatience);
    auto declared = co_await declare_mailboxes(on, deadline);
    if (!declared) co_return std::unexpected{std::move(declared.error())};
    auto heard = co_await publish_request(on, &request, deadline);
    if (!heard) co_return std::unexpected{std::move(heard.error())};
    co_return NodeReplies{};
}

Awaitable<Result<NodeReplies>> ask(std::shared_ptr<AppCore> core, ControlCommand command,
                                   ControlOptions options) {
    auto connected = co_await core->connect_broker(Deadline::in(kBrokerPatience));
    if (!connected) co_return std::unexpected{std::move(connected.error())};
    co_return co_await ask_nodes(core->broker(), core->settings(), core->clock(),
                                 std::move(command), std::move(options));
}

}  // namespace

Awaitable<Result<NodeReplies>> ask_nodes(Broker& broker, const Settings& settings,
                                         LamportClock& clock, ControlCommand command,
                                         ControlOptions options) {
    const Exchanges on{&broker, ControlNames{settings.control_exchange}};
    ControlRequest request = request_of(std::move(command), options, clock);
    if (!options.reply) return cast(on, std::move(request));
    // A queue of its own for each call, so that calls made at the same time need not share one.
    ControlTopology box = on.names.reply_box(
        uuid4(), {.ttl = settings.control_queue_ttl, .expires = settings.control_queue_expires});
    return call(on, std::move(box), std::move(request), &clock, std::move(options));
}

Awaitable<Result<NodeReplies>> RemoteControl::broadcast_async(ControlCommand command,
                                                              ControlOptions options) const {
    return on_loop(core_, ask(core_, std::move(command), std::move(options)));
}

NodeReplies RemoteControl::broadcast(ControlCommand command, ControlOptions options) const {
    return value_or_throw(
        core_->loop().run_blocking(broadcast_async(std::move(command), std::move(options))));
}

}  // namespace lovage
