#include <lovage/app/remote_control.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/control/control_message.hpp>
#include <lovage/control/control_names.hpp>
#include <lovage/core/time.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/log.hpp>

#include <memory>
#include <optional>
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

/// A queue for replies, and who consumes it.
struct ReplyBox {
    ControlTopology where;
    std::unique_ptr<Consumer> consumer;
};

/// An app's queue for replies between two calls: on a busy RabbitMQ making one and deleting it
/// takes longer than all the rest. Calls made at the same time make one each. On the app's loop.
struct KeptReplyBox {
    std::optional<ReplyBox> box;
    bool closed = false;
};

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

/// The queue goes with its consumer: deleting it would be three more answers to wait for.
Awaitable<void> close_reply_box(Broker* broker, std::unique_ptr<Consumer> consumer,
                                std::string queue) {
    const Deadline deadline = Deadline::in(kBrokerPatience);
    if (consumer) {
        (void)co_await consumer->close(deadline);
        co_return;
    }
    auto deleted = co_await broker->delete_queue(std::move(queue), deadline);
    // What cannot be deleted goes unused after its `x-expires`.
    if (!deleted) log::debug("control", "the queue for replies: {}", deleted.error().message());
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

/// Whether a consumer that was kept still gets what comes; what did meanwhile, replies that came
/// too late, is thrown away.
Awaitable<bool> still_consumes(Consumer* consumer) {
    while (true) {
        auto late = co_await consumer->receive(Deadline::in(std::chrono::seconds{0}));
        if (!late) co_return late.error().code == Errc::deadline_exceeded;
        for (const Delivery& delivery : *late) consumer->ack(delivery.tag);
    }
}

/// A box that is there, or one that is made. Without a consumer: it is still to be consumed.
Awaitable<Result<ReplyBox>> take_reply_box(Exchanges on, std::optional<ReplyBox> kept,
                                           ControlTopology made, Deadline deadline) {
    if (kept) {
        if (co_await still_consumes(kept->consumer.get())) co_return std::move(*kept);
        co_await close_reply_box(on.broker, std::move(kept->consumer), {});
    }
    auto done = co_await open_reply_box(on, &made, deadline);
    if (!done) {
        co_await close_reply_box(on.broker, nullptr, made.queue.name);
        co_return std::unexpected{std::move(done.error())};
    }
    co_return ReplyBox{std::move(made), nullptr};
}

/// Sends the request and sees to it that the box is consumed. True: a worker's mailbox has it.
Awaitable<Result<bool>> send_request(Exchanges on, ReplyBox* box, const ControlRequest* request,
                                     Deadline deadline) {
    if (box->consumer) co_return co_await publish_request(on, request, deadline);
    // Replies that come before the consumer wait in the queue.
    auto [consuming, heard] =
        co_await (consume_replies(on.broker, box->where.queue.name, deadline) &&
                  publish_request(on, request, deadline));
    if (consuming) box->consumer = std::move(*consuming);
    if (auto done = first_problem(consuming, heard); !done) {
        co_return std::unexpected{std::move(done.error())};
    }
    co_return *heard;
}

/// `kept`: where a box is taken from, and put for the next call; nullptr: there is none.
Awaitable<Result<NodeReplies>> call(Exchanges on, ControlTopology fresh, ControlRequest request,
                                    LamportClock* clock, ControlOptions options,
                                    KeptReplyBox* kept) {
    const Deadline sending = Deadline::in(kBrokerPatience);
    auto box = co_await take_reply_box(
        on, kept != nullptr ? std::exchange(kept->box, std::nullopt) : std::nullopt,
        std::move(fresh), sending);
    if (!box) co_return std::unexpected{std::move(box.error())};
    request.ticket = uuid4();
    request.reply_to = ReplyAddress{box->where.binding.exchange, box->where.binding.routing_key};
    ReplyCollector replies{*request.ticket, options.destination, options.limit};
    Result<void> done;
    auto heard = co_await send_request(on, &*box, &request, sending);
    if (!heard) {
        done = std::unexpected{std::move(heard.error())};
    } else if (*heard) {
        const Deadline deadline = Deadline::in(options.timeout);
        done = co_await collect(box->consumer.get(), &replies, clock, deadline);
    }
    if (done && kept != nullptr && !kept->box && !kept->closed) {
        kept->box = std::move(*box);
    } else {
        co_await close_reply_box(on.broker, std::move(box->consumer), box->where.queue.name);
    }
    if (!done) co_return std::unexpected{std::move(done.error())};
    warn_of_duplicates(replies);
    co_return std::move(replies).take();
}

Awaitable<Result<void>> cast(Exchanges on, ControlRequest request, Deadline deadline) {
    auto declared = co_await declare_mailboxes(on, deadline);
    if (!declared) co_return declared;
    auto heard = co_await publish_request(on, &request, deadline);
    if (!heard) co_return std::unexpected{std::move(heard.error())};
    co_return Result<void>{};
}

Awaitable<Result<NodeReplies>> cast_unanswered(Exchanges on, ControlRequest request) {
    auto done = co_await cast(on, std::move(request), Deadline::in(kBrokerPatience));
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return NodeReplies{};
}

Awaitable<Result<NodeReplies>> ask_nodes_with(Broker& broker, const Settings& settings,
                                              LamportClock& clock, ControlCommand command,
                                              ControlOptions options, KeptReplyBox* kept) {
    const Exchanges on{&broker, ControlNames{settings.control_exchange}};
    ControlRequest request = request_of(std::move(command), options, clock);
    if (!options.reply) return cast_unanswered(on, std::move(request));
    // A queue of its own for each call, so that calls made at the same time need not share one.
    ControlTopology box = on.names.reply_box(
        uuid4(), {.ttl = settings.control_queue_ttl, .expires = settings.control_queue_expires});
    return call(on, std::move(box), std::move(request), &clock, std::move(options), kept);
}

Awaitable<Result<NodeReplies>> ask(std::shared_ptr<AppCore> core, ControlCommand command,
                                   ControlOptions options) {
    auto connected = co_await core->connect_broker(Deadline::in(kBrokerPatience));
    if (!connected) co_return std::unexpected{std::move(connected.error())};
    co_return co_await ask_nodes_with(core->broker(), core->settings(), core->clock(),
                                      std::move(command), std::move(options),
                                      &core->part<KeptReplyBox>());
}

}  // namespace

Awaitable<Result<NodeReplies>> ask_nodes(Broker& broker, const Settings& settings,
                                         LamportClock& clock, ControlCommand command,
                                         ControlOptions options) {
    return ask_nodes_with(broker, settings, clock, std::move(command), std::move(options), nullptr);
}

Awaitable<Result<void>> tell_nodes(Broker& broker, const Settings& settings, LamportClock& clock,
                                   ControlCommand command, Deadline deadline) {
    const Exchanges on{&broker, ControlNames{settings.control_exchange}};
    return cast(on, request_of(std::move(command), {.reply = false}, clock), deadline);
}

Awaitable<void> close_remote_control(AppCore* core, Deadline deadline) {
    auto& kept = core->part<KeptReplyBox>();
    kept.closed = true;
    if (!kept.box) co_return;
    const std::unique_ptr<Consumer> consumer = std::move(kept.box->consumer);
    kept.box.reset();
    (void)co_await consumer->close(deadline);
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
