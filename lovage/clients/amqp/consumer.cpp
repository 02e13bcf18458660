#include <lovage/clients/amqp/consumer.hpp>

#include <lovage/runtime/failpoint.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <optional>
#include <utility>

namespace lovage::amqp {

namespace {

std::uint64_t next_epoch() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

/// Of basic.consume; RabbitMQ's name from the time of mirrored queues. Quorum queues refuse it.
constexpr std::string_view kCancelOnFailover = "x-cancel-on-ha-failover";

/// What we ask of every queue, and RabbitMQ refuses to do for a quorum queue. Wire: it closes the
/// connection with 540, "… does not support global qos", or the channel with 406, "invalid arg
/// 'x-cancel-on-ha-failover' for queue …".
bool is_of_quorum_queue(const Error& why) {
    return why.detail.contains("global qos") || why.detail.contains(kCancelOnFailover);
}

std::unexpected<Error> was_cancelled() {
    return fail(Errc::cancelled, "the consumer was cancelled");
}

}  // namespace

/// An answer that a coroutine waits for; shared, because either side may be gone first.
struct Consumer::Answer {
    explicit Answer(const Executor& executor) : arrived{executor} {}
    Notifier arrived;
    std::optional<Result<Reply>> value;
};

Consumer::Consumer(Client& client, ConsumerOptions options)
    : client_{&client}, options_{std::move(options)}, arrived_{client.executor()} {
    if (options_.tag.empty()) options_.tag = "lovage";
    client.add(*this);
}

Consumer::~Consumer() {
    if (client_ != nullptr) {
        client_->remove(*this);
        drop_all();
    }
    if (channel_ != nullptr) {
        write_settlements();
        channel_->close();
    }
}

// --- the channel -----------------------------------------------------------------------

void Consumer::on_connected(Session& session) {
    session_ = &session;
    if (closed_ || cancelled_) return;
    channel_ = session.open_channel(*this);
    if (channel_ == nullptr) return;
    if (client_->refuses_channel_qos()) options_.qos = QosScope::queue;
    epoch_ = next_epoch();
    next_source_ = kNobody + 1;
    apply_prefetch();
    for (Subscription& subscription : subscriptions_) {
        consume(subscription, std::exchange(subscription.asked, nullptr));
    }
}

void Consumer::on_channel_closed(const Error& why) {
    channel_ = nullptr;
    ledger_.clear();
    handed_out_ = 0;
    flushed_ = settlements_;
    for (Subscription& subscription : subscriptions_) {
        subscription.consuming = false;
        subscription.waiting.clear();
    }
    if (client_ != nullptr && asked_too_much(why)) client_->note_channel_qos_refused();
    std::string news = "the consumer's channel was closed: " + why.detail;
    // Wire: RabbitMQ's words when `consumer_timeout` has passed, 30 minutes by default.
    if (why.detail.contains("delivery acknowledgement on channel")) {
        news +=
            ". A message was held for longer than the server allows: its task is delivered again, "
            "and again after that, unless the server's consumer_timeout is raised above the "
            "longest "
            "task, or tasks get time limits below it";
    }
    news_.push_front({Errc::disconnected, std::move(news)});
    arrived_.notify_all();
    if (session_->open()) {
        on_connected(*session_);
    } else {
        session_ = nullptr;
    }
}

void Consumer::on_client_closed() {
    client_ = nullptr;
    closed_ = true;
    arrived_.notify_all();
}

void Consumer::apply_prefetch() {
    if (channel_ == nullptr) return;
    const bool global = options_.qos == QosScope::channel;
    channel_->call(
        Request::make(basic::Qos{.prefetch_count = granted(), .global = global}, basic::QosOk::kId),
        [](const Result<Reply>&) {});
}

std::uint16_t Consumer::granted() const noexcept {
    constexpr std::uint32_t kMost = std::numeric_limits<std::uint16_t>::max();
    if (options_.qos == QosScope::channel) return options_.prefetch;
    return static_cast<std::uint16_t>(
        std::min(std::bit_ceil<std::uint32_t>(options_.prefetch), kMost));
}

std::string Consumer::next_tag() {
    return fmt::format("{}.{}", options_.tag, next_tag_++);
}

/// Under the limit set last. The new consumer comes first: an auto-delete queue goes with its last.
void Consumer::consume_anew(Subscription& subscription) {
    const std::string former = subscription.tag;
    const Source source = subscription.source;
    consume(subscription);
    subscription.source = source;
    subscription.former_tag = former;
    channel_->call(Request::make(basic::Cancel{.consumer_tag = former}, basic::CancelOk::kId),
                   [](const Result<Reply>&) {});
}

void Consumer::consume(Subscription& subscription, std::shared_ptr<Answer> answer) {
    subscription.source = next_source_++;
    subscription.tag = next_tag();
    subscription.former_tag.clear();
    subscription.consuming = true;
    // Without it RabbitMQ (3.x) moves the consumer of a deleted queue to one of the same name that
    // was declared meanwhile, without a word, and then drops whatever that one delivers.
    Json arguments = Json::object();
    if (options_.qos == QosScope::channel) arguments.set(kCancelOnFailover, Json{true});
    channel_->call(Request::make(basic::Consume{.queue = subscription.queue,
                                                .consumer_tag = subscription.tag,
                                                .arguments = std::move(arguments)},
                                 basic::ConsumeOk::kId),
                   [this, queue = subscription.queue, answer](const Result<Reply>& reply) {
                       Subscription* const found = find_queue(queue);
                       if (!reply && found != nullptr && asked_too_much(reply.error())) {
                           found->asked = answer;  // the next channel asks for less
                           return;
                       }
                       if (!reply) refused(queue, reply.error());
                       if (answer) into(answer)(reply);
                   });
}

bool Consumer::asked_too_much(const Error& why) const {
    return options_.qos == QosScope::channel && is_of_quorum_queue(why);
}

/// The server does not let us consume a queue; the channel is about to be closed because of it.
void Consumer::refused(const std::string& queue, const Error& why) {
    // Another queue's failure, or a lost connection: it is consumed again on the next channel.
    if (why.code == Errc::cancelled || why.code == Errc::unknown_outcome) return;
    news_.push_back({why.code, fmt::format("queue '{}': {}", queue, why.detail)});
    drop(queue);
}

/// A queue that goes with its last consumer is not to come back with the next connection: whoever
/// wants it again declares it again.
void Consumer::drop(const std::string& queue) {
    std::erase_if(subscriptions_, [&](const Subscription& s) { return s.queue == queue; });
    if (client_ != nullptr) client_->consumer_gone(queue);
}

void Consumer::drop_all() {
    const auto gone = std::exchange(subscriptions_, {});
    if (client_ == nullptr) return;
    for (const Subscription& subscription : gone) client_->consumer_gone(subscription.queue);
}

bool Consumer::consumes(const std::string& queue) const {
    return std::ranges::find(subscriptions_, queue, &Subscription::queue) != subscriptions_.end();
}

Consumer::Subscription* Consumer::find_queue(std::string_view queue) noexcept {
    const auto found = std::ranges::find(subscriptions_, queue, &Subscription::queue);
    return found == subscriptions_.end() ? nullptr : &*found;
}

Consumer::Subscription* Consumer::find_tag(std::string_view tag) noexcept {
    const auto found = std::ranges::find_if(subscriptions_, [tag](const Subscription& s) {
        return s.tag == tag || s.former_tag == tag;
    });
    return found == subscriptions_.end() ? nullptr : &*found;
}

// --- deliveries ------------------------------------------------------------------------

void Consumer::on_delivered(Delivered message) {
    Subscription* const subscription = find_tag(message.consumer_tag);
    // Deliveries may cross our basic.cancel; they go back.
    const Source source = subscription == nullptr ? kNobody : subscription->source;
    if (!ledger_.delivered(message.tag, source)) {
        session_->fail({Errc::malformed, "the server's delivery tags have gaps"});
        return;
    }
    if (subscription == nullptr) {
        (void)ledger_.reject(message.tag, true);
        settled();
        return;
    }
    subscription->waiting.push_back(std::move(message));
    arrived_.notify_all();
}

void Consumer::on_consumer_cancelled(std::string_view consumer_tag) {
    Subscription* const subscription = find_tag(consumer_tag);
    if (subscription == nullptr) return;
    // What was handed out of the queue is gone with it, or is redelivered to others.
    const std::size_t lost = ledger_.requeue_all(subscription->source);
    handed_out_ -= lost - subscription->waiting.size();
    settled();
    const std::string queue = subscription->queue;
    news_.push_back({Errc::not_found, fmt::format("queue '{}' was deleted", queue)});
    drop(queue);
    arrived_.notify_all();
}

std::vector<Incoming> Consumer::hand_out() {
    std::vector<Incoming> deliveries;
    std::size_t room = options_.prefetch > handed_out_ ? options_.prefetch - handed_out_ : 0;
    std::size_t idle = 0;
    while (room > 0 && idle < subscriptions_.size()) {
        Subscription& subscription = subscriptions_[turn_++ % subscriptions_.size()];
        if (subscription.waiting.empty()) {
            ++idle;
            continue;
        }
        idle = 0;
        Delivered& message = subscription.waiting.front();
        const DeliveryId id{epoch_, message.tag};
        deliveries.push_back({id, subscription.queue, std::move(message)});
        subscription.waiting.pop_front();
        --room;
    }
    handed_out_ += deliveries.size();
    return deliveries;
}

Awaitable<Result<std::vector<Incoming>>> Consumer::receive(Deadline deadline) {
    while (true) {
        if (closed_ || cancelled_) co_return was_cancelled();
        if (!news_.empty()) {
            Error news = std::move(news_.front());
            news_.pop_front();
            co_return std::unexpected{std::move(news)};
        }
        if (auto deliveries = hand_out(); !deliveries.empty()) co_return deliveries;
        if (deadline.passed()) {
            co_return fail(Errc::deadline_exceeded, "no message came in time");
        }
        (void)co_await arrived_.wait(deadline);
    }
}

// --- settling --------------------------------------------------------------------------

bool Consumer::ack(DeliveryId id) {
    const bool ours = id.epoch == epoch_ || failpoint::left_out(failpoint::Line::epoch);
    if (!ours || !ledger_.ack(id.tag)) return false;
    --handed_out_;
    settled();
    return true;
}

bool Consumer::reject(DeliveryId id, bool requeue) {
    if (id.epoch != epoch_ || !ledger_.reject(id.tag, requeue)) return false;
    --handed_out_;
    settled();
    return true;
}

/// Something is to be written, and there may be room for a delivery that waits.
void Consumer::settled() {
    ++settlements_;
    if (channel_ != nullptr) channel_->want_flush();
    arrived_.notify_all();
}

void Consumer::on_flush() {
    write_settlements();
}

void Consumer::write_settlements() {
    using Kind = SettlementLedger::Settlement::Kind;
    for (const auto& [kind, tag] : ledger_.take()) {
        switch (kind) {
            case Kind::ack:
            case Kind::ack_multiple:
                (void)channel_->send(
                    basic::Ack{.delivery_tag = tag, .multiple = kind == Kind::ack_multiple});
                break;
            case Kind::requeue:
            case Kind::discard:
                (void)channel_->send(
                    basic::Reject{.delivery_tag = tag, .requeue = kind == Kind::requeue});
                break;
        }
    }
}

Channel::OnReply Consumer::into(const std::shared_ptr<Answer>& answer) {
    return [answer](Result<Reply> reply) {
        answer->value = std::move(reply);
        answer->arrived.notify_all();
    };
}

std::string Consumer::server() const {
    return client_ == nullptr ? "a server that was left" : client_->endpoint();
}

Awaitable<Result<Reply>> Consumer::answer(std::shared_ptr<Answer> answer, std::uint32_t method,
                                          Deadline deadline) {
    while (!answer->value) {
        if (!co_await answer->arrived.wait(deadline) && !answer->value) {
            co_return fail(Errc::deadline_exceeded, fmt::format("{} did not answer {} in time",
                                                                server(), method_name(method)));
        }
    }
    Result<Reply>& value = *answer->value;
    const bool lost = !value && (value.error().code == Errc::cancelled ||
                                 value.error().code == Errc::unknown_outcome);
    if (lost) {
        co_return fail(Errc::disconnected,
                       fmt::format("{} was lost before it answered {}: {}", server(),
                                   method_name(method), value.error().detail));
    }
    co_return std::move(value);
}

Awaitable<Result<void>> Consumer::flush(Deadline deadline) {
    if (channel_ == nullptr) {
        co_return fail(
            Errc::disconnected,
            fmt::format("acknowledgements for {} are lost with their connection, which is "
                        "being made again",
                        server()));
    }
    if (flushed_ == settlements_) co_return Result<void>{};
    write_settlements();
    // A channel does one thing after the other, and this is the cheapest that is answered.
    auto done = std::make_shared<Answer>(arrived_.executor());
    channel_->call(Request::make(channel::Flow{.active = true}, channel::FlowOk::kId),
                   [this, done, written = settlements_](Result<Reply> reply) {
                       if (reply) flushed_ = std::max(flushed_, written);
                       into(done)(std::move(reply));
                   });
    auto reply = co_await answer(std::move(done), channel::Flow::kId, deadline);
    if (!reply) co_return std::unexpected{std::move(reply.error())};
    co_return Result<void>{};
}

// --- queues ----------------------------------------------------------------------------

void Consumer::set_prefetch(std::uint16_t prefetch) {
    prefetch = std::max<std::uint16_t>(prefetch, 1);
    if (prefetch == options_.prefetch) return;
    const std::uint16_t before = granted();
    options_.prefetch = prefetch;
    arrived_.notify_all();
    if (granted() == before || channel_ == nullptr) return;
    apply_prefetch();
    if (options_.qos == QosScope::channel) return;
    for (Subscription& subscription : subscriptions_) {
        if (subscription.consuming) consume_anew(subscription);
    }
}

Awaitable<Result<void>> Consumer::add_queue(std::string queue, Deadline deadline) {
    if (closed_ || cancelled_) co_return fail(Errc::closed, "the consumer is closed");
    if (find_queue(queue) != nullptr) co_return Result<void>{};
    // A failing basic.consume would end the channel with everything on it: ask first.
    auto exists = co_await client_->look_up(queue, deadline);
    if (!exists) co_return std::unexpected{std::move(exists.error())};
    if (closed_ || cancelled_) co_return fail(Errc::closed, "the consumer is closed");
    if (find_queue(queue) != nullptr) co_return Result<void>{};
    subscriptions_.push_back({.queue = std::move(queue)});
    if (channel_ == nullptr) co_return Result<void>{};  // consumed with the next channel
    auto done = std::make_shared<Answer>(arrived_.executor());
    consume(subscriptions_.back(), done);
    auto reply = co_await answer(std::move(done), basic::Consume::kId, deadline);
    if (!reply) co_return std::unexpected{std::move(reply.error())};
    co_return Result<void>{};
}

/// What was not handed out goes back to its queue.
void Consumer::give_back(Subscription& subscription) {
    for (const Delivered& message : subscription.waiting) {
        (void)ledger_.reject(message.tag, true);
    }
    subscription.waiting.clear();
    settled();
}

Awaitable<Result<void>> Consumer::cancel_queue(std::string queue, Deadline deadline) {
    Subscription* const subscription = find_queue(queue);
    if (subscription == nullptr) {
        co_return fail(Errc::not_found, fmt::format("queue '{}' is not consumed", queue));
    }
    const std::string tag = subscription->tag;
    const bool consuming = std::exchange(subscription->consuming, false);
    give_back(*subscription);
    drop(queue);
    if (!consuming || channel_ == nullptr) co_return Result<void>{};
    auto done = std::make_shared<Answer>(arrived_.executor());
    channel_->call(Request::make(basic::Cancel{.consumer_tag = tag}, basic::CancelOk::kId),
                   into(done));
    auto reply = co_await answer(std::move(done), basic::Cancel::kId, deadline);
    // Without a connection it is consumed no longer either.
    if (!reply && reply.error().code == Errc::deadline_exceeded) {
        co_return std::unexpected{std::move(reply.error())};
    }
    co_return co_await flush(deadline);
}

Awaitable<Result<void>> Consumer::cancel(Deadline deadline) {
    cancelled_ = true;
    arrived_.notify_all();
    Result<void> outcome;
    while (!subscriptions_.empty() && outcome) {
        outcome = co_await cancel_queue(subscriptions_.front().queue, deadline);
    }
    co_return outcome;
}

Awaitable<Result<void>> Consumer::close(Deadline deadline) {
    if (closed_) co_return Result<void>{};
    closed_ = true;
    arrived_.notify_all();
    if (client_ != nullptr) client_->remove(*this);
    drop_all();
    handed_out_ = 0;
    Channel* const channel = std::exchange(channel_, nullptr);
    if (channel == nullptr) co_return Result<void>{};
    channel_ = channel;
    write_settlements();
    channel_ = nullptr;
    epoch_ = 0;
    auto done = std::make_shared<Answer>(arrived_.executor());
    channel->close(into(done));
    auto reply = co_await answer(std::move(done), channel::Close::kId, deadline);
    if (!reply) co_return std::unexpected{std::move(reply.error())};
    co_return Result<void>{};
}

std::size_t Consumer::unsettled_of(std::string_view queue) const noexcept {
    const auto found = std::ranges::find(subscriptions_, queue, &Subscription::queue);
    return found == subscriptions_.end() ? 0 : ledger_.size(found->source);
}

}  // namespace lovage::amqp
