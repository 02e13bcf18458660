#include <lovage/brokers/amqp/amqp_broker.hpp>

#include <lovage/brokers/amqp/conversion.hpp>
#include <lovage/brokers/amqp/delay_queues.hpp>
#include <lovage/brokers/declaration.hpp>
#include <lovage/brokers/stale_settlements.hpp>
#include <lovage/clients/amqp/options.hpp>
#include <lovage/runtime/notifier.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <unistd.h>

namespace lovage {

namespace {

/// How long a server may take to answer the end of a connection that is given up.
constexpr std::chrono::seconds kGoodbye{2};

class AmqpConsumer;
/// The living consumers of one broker, so that closing it closes them. All on one loop.
using Siblings = std::set<AmqpConsumer*>;

class AmqpConsumer final : public Consumer {
public:
    AmqpConsumer(amqp::Client& client, amqp::ConsumerOptions options,
                 std::shared_ptr<Siblings> siblings)
        : consumer_{client, std::move(options)}, siblings_{std::move(siblings)} {
        siblings_->insert(this);
    }
    ~AmqpConsumer() override { siblings_->erase(this); }

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        auto incoming = co_await consumer_.receive(deadline);
        if (!incoming) co_return std::unexpected{std::move(incoming.error())};
        std::vector<Delivery> deliveries;
        deliveries.reserve(incoming->size());
        for (amqp::Incoming& message : *incoming) {
            deliveries.push_back(amqp_broker::delivery(std::move(message)));
        }
        co_return deliveries;
    }

    void ack(DeliveryTag tag) override {
        if (!consumer_.ack({tag.epoch, tag.value})) count_stale();
    }
    void reject(DeliveryTag tag, Requeue requeue) override {
        if (!consumer_.reject({tag.epoch, tag.value}, requeue == Requeue::yes)) count_stale();
    }
    Awaitable<Result<void>> flush(Deadline deadline) override { return consumer_.flush(deadline); }

    void set_prefetch(std::uint32_t prefetch) override {
        consumer_.set_prefetch(limited(prefetch));
    }
    Awaitable<Result<void>> add_queue(std::string queue, Deadline deadline) override {
        return consumer_.add_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline) override {
        return consumer_.cancel_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> cancel(Deadline deadline) override {
        return consumer_.cancel(deadline);
    }
    Awaitable<Result<void>> close(Deadline deadline) override { return consumer_.close(deadline); }

    [[nodiscard]] std::size_t unsettled() const noexcept override { return consumer_.unsettled(); }
    [[nodiscard]] std::uint64_t stale_settlements() const noexcept override { return stale_; }
    [[nodiscard]] std::size_t unsettled_of(std::string_view queue) const noexcept {
        return consumer_.unsettled_of(queue);
    }

    [[nodiscard]] static std::uint16_t limited(std::uint32_t prefetch) {
        return static_cast<std::uint16_t>(
            std::min<std::uint32_t>(prefetch, std::numeric_limits<std::uint16_t>::max()));
    }

private:
    void count_stale() {
        ++stale_;
        count_stale_settlements("amqp", 1);
    }

    amqp::Consumer consumer_;
    std::shared_ptr<Siblings> siblings_;
    std::uint64_t stale_ = 0;
};

/// Names the connections of one broker, so that RabbitMQ's tools tell them apart.
amqp::ClientOptions named(amqp::ClientOptions options, const std::string& name,
                          std::string_view role) {
    for (amqp::Endpoint& endpoint : options.endpoints) {
        endpoint.session.name = fmt::format("{} ({})", name, role);
    }
    return options;
}

/// `delays` hears of queues that are consumed no longer.
amqp::ClientOptions telling(amqp::ClientOptions options,
                            std::shared_ptr<amqp_broker::DelayQueues> delays) {
    options.on_queue_left = [delays = std::move(delays)](const std::string& queue) {
        delays->consumer_gone(queue);
    };
    return options;
}

std::string display_of(const amqp::ClientOptions& options) {
    std::string urls;
    for (const amqp::Endpoint& endpoint : options.endpoints) {
        urls += (urls.empty() ? "" : ";") + endpoint.display();
    }
    return urls;
}

Result<void> without_value(Result<amqp::Reply> reply) {
    if (!reply) return std::unexpected{std::move(reply.error())};
    return {};
}

/// One at a time: whoever waits is told of the end, however it comes.
class Turn {
public:
    Turn(bool& taken, Notifier& ended) : taken_{taken}, ended_{ended} { taken_ = true; }
    ~Turn() {
        taken_ = false;
        ended_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

private:
    bool& taken_;
    Notifier& ended_;
};

class AmqpBroker final : public Broker {
public:
    AmqpBroker(Executor executor, amqp::ClientOptions options, const std::string& name)
        : display_{display_of(options)},
          declared_{executor},
          worker_{executor, telling(named(options, name, "consume"), delays_)},
          producer_{executor, named(options, name, "publish")},
          publisher_{producer_} {}

    Awaitable<Result<void>> connect(Deadline deadline) override {
        auto connected = co_await worker_.connect(deadline);
        if (connected) connected = co_await producer_.connect(deadline);
        const bool never = !connected && !producer_.running() && worker_.running();
        if (never && worker_.incarnation() == 1) co_await worker_.close(deadline);
        co_return connected;
    }
    Awaitable<void> close(Deadline deadline) override {
        const std::vector<AmqpConsumer*> consumers(siblings_->begin(), siblings_->end());
        for (AmqpConsumer* const consumer : consumers) {
            if (siblings_->contains(consumer)) (void)co_await consumer->close(deadline);
        }
        co_await producer_.close(deadline);
        co_await worker_.close(deadline);
    }

    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) override {
        if (auto valid = check_declaration(queue); !valid) co_return valid;
        auto declared = co_await worker_.declare(amqp_broker::queue_spec(queue), deadline);
        if (!declared) {
            co_return std::unexpected{
                amqp_broker::declaration_error(std::move(declared.error()), "queue", queue.name)};
        }
        delays_->work_queue(queue);
        co_return Result<void>{};
    }
    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange,
                                             Deadline deadline) override {
        if (exchange.name.empty()) {
            co_return fail(Errc::invalid_argument,
                           "the default exchange (empty name) cannot be declared");
        }
        const std::string name = exchange.name;
        auto declared =
            co_await worker_.declare(amqp_broker::exchange_spec(std::move(exchange)), deadline);
        if (declared) co_return declared;
        co_return std::unexpected{
            amqp_broker::declaration_error(std::move(declared.error()), "exchange", name)};
    }
    Awaitable<Result<void>> bind(Binding binding, Deadline deadline) override {
        amqp::BindingSpec spec{.queue = std::move(binding.queue),
                               .exchange = std::move(binding.exchange),
                               .routing_key = std::move(binding.routing_key)};
        co_return co_await worker_.bind(std::move(spec), deadline);
    }
    Awaitable<Result<void>> delete_queue(std::string queue, Deadline deadline) override {
        // RabbitMQ deletes what is not there without a word.
        auto exists = co_await worker_.look_up(queue, deadline);
        if (!exists) co_return std::unexpected{std::move(exists.error())};
        if (delays_->may_delay(queue)) {
            auto delayed = co_await drop_delayed(queue, deadline);
            if (!delayed) co_return std::unexpected{std::move(delayed.error())};
        }
        auto deleted = co_await worker_.delete_queue(queue, deadline);
        if (deleted) delays_->forget(queue);
        co_return without_value(std::move(deleted));
    }

    void forget_queue(const std::string& queue) override { worker_.forget_queue(queue); }

    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        if (auto fits = check_publication(publication, 0, {}); !fits) return refused(fits.error());
        if (const auto rung = amqp_broker::rung_for(publication.delay)) {
            return publish_delayed(std::move(publication), *rung, deadline);
        }
        if (publication.aside) return publish_aside(std::move(publication), deadline);
        return publisher_.publish(amqp_broker::outgoing(std::move(publication)), deadline);
    }

    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        if (auto valid = check_consume(options); !valid) co_return std::unexpected{valid.error()};
        amqp::ConsumerOptions consumer_options{.prefetch = AmqpConsumer::limited(options.prefetch),
                                               .tag = std::move(options.tag)};
        const auto is_quorum = [this](const std::string& q) { return delays_->is_quorum(q); };
        if (std::ranges::any_of(options.queues, is_quorum)) {
            consumer_options.qos = amqp::QosScope::queue;
        }
        auto consumer =
            std::make_unique<AmqpConsumer>(worker_, std::move(consumer_options), siblings_);
        for (std::string& queue : options.queues) {
            auto added = co_await consumer->add_queue(std::move(queue), deadline);
            if (!added) co_return std::unexpected{std::move(added.error())};
        }
        co_return consumer;
    }

    Awaitable<Result<std::uint64_t>> purge(std::string queue, Deadline deadline) override {
        auto purged = co_await worker_.purge(queue, deadline);
        if (!purged) co_return std::unexpected{std::move(purged.error())};
        auto delayed = co_await drop_delayed(std::move(queue), deadline);
        if (!delayed) co_return delayed;
        co_return purged->messages + *delayed;
    }
    Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline deadline) override {
        auto found = co_await worker_.look_up(queue, deadline);
        if (!found) co_return std::unexpected{std::move(found.error())};
        QueueStatus status{.ready = found->messages, .consumers = found->consumers};
        for (const AmqpConsumer* const consumer : *siblings_) {
            status.unsettled += consumer->unsettled_of(queue);
        }
        co_return status;
    }
    Awaitable<Result<std::vector<std::string>>> list_queues(Deadline deadline) override {
        std::vector<std::string> names;
        for (std::string& name : worker_.topology().queue_names()) {
            auto found = co_await worker_.look_up(name, deadline);
            if (found) {
                names.push_back(std::move(name));
            } else if (found.error().code != Errc::not_found &&
                       found.error().code != Errc::conflict) {
                co_return std::unexpected{std::move(found.error())};
            }
        }
        co_return names;
    }

    [[nodiscard]] bool lists_all_queues() const noexcept override { return false; }

    Awaitable<Result<void>> ping(Deadline) override {
        // Heartbeats notice a silent server, so that the connections' states are the answer.
        if (!worker_.connected() || !producer_.connected()) {
            co_return fail(Errc::disconnected, display_ + ": connecting again");
        }
        if (const std::string why = producer_.blocked_reason(); !why.empty()) {
            co_return fail(Errc::unavailable, display_ + " takes no messages now: " + why);
        }
        co_return Result<void>{};
    }

    Awaitable<Result<void>> renew(Deadline deadline) override {
        // In order, if the server still answers.
        co_await worker_.close(deadline.no_later_than(kGoodbye));
        co_return co_await worker_.connect(deadline);
    }

    [[nodiscard]] std::string display_url() const override { return display_; }
    [[nodiscard]] bool delays_natively() const noexcept override { return false; }

private:
    /// Its channel is opened when it is first needed: on the loop, like everything that awaits.
    Awaitable<Result<void>> publish_aside(Publication publication, Deadline deadline) {
        if (!aside_) aside_.emplace(producer_);
        co_return co_await aside_->publish(amqp_broker::outgoing(std::move(publication)), deadline);
    }
    static Awaitable<Result<void>> refused(Error why) { co_return std::unexpected{std::move(why)}; }

    Awaitable<Result<void>> publish_delayed(Publication publication, std::chrono::seconds rung,
                                            Deadline deadline) {
        if (!publication.exchange.empty()) {
            co_return fail(Errc::invalid_argument,
                           "RabbitMQ delays only what goes through the default exchange");
        }
        auto there = co_await make_delay_queue(publication.routing_key, rung, deadline);
        if (!there) co_return there;
        const std::string queue = amqp_broker::delay_queue_name(publication.routing_key, rung);
        publication.routing_key = queue;
        publication.mandatory = true;  // somebody may have deleted it
        auto done =
            co_await publisher_.publish(amqp_broker::outgoing(std::move(publication)), deadline);
        if (!done && done.error().code == Errc::unroutable) delays_->gone(queue);
        co_return done;
    }
    /// One declaration at a time, however many messages wait for it.
    Awaitable<Result<void>> make_delay_queue(std::string work, std::chrono::seconds rung,
                                             Deadline deadline) {
        using Clock = std::chrono::steady_clock;
        while (auto wanted = delays_->to_declare(work, rung, Clock::now())) {
            if (declaring_) {
                if (!co_await declared_.wait(deadline))
                    co_return fail(Errc::deadline_exceeded,
                                   "the delay queue was not declared in time");
                continue;
            }
            const std::string name = wanted->name;
            const auto now = Clock::now();
            const Turn turn{declaring_, declared_};
            auto declared =
                co_await worker_.declare(amqp_broker::queue_spec(std::move(*wanted)), deadline);
            if (!declared) {
                co_return std::unexpected{
                    amqp_broker::declaration_error(std::move(declared.error()), "queue", name)};
            }
            delays_->declared(name, now);
        }
        co_return Result<void>{};
    }
    /// Deletes the delay queues of a work queue; returns how many messages were in them. RabbitMQ
    /// deletes what is not there without a word.
    Awaitable<Result<std::uint64_t>> drop_delayed(std::string work, Deadline deadline) {
        std::uint64_t messages = 0;
        for (const std::chrono::seconds rung : amqp_broker::all_rungs()) {
            std::string queue = amqp_broker::delay_queue_name(work, rung);
            delays_->gone(queue);
            auto deleted = co_await worker_.delete_queue(std::move(queue), deadline);
            if (!deleted) co_return std::unexpected{std::move(deleted.error())};
            messages += deleted->messages;
        }
        co_return messages;
    }

    std::string display_;
    std::shared_ptr<amqp_broker::DelayQueues> delays_ =
        std::make_shared<amqp_broker::DelayQueues>();
    Notifier declared_;  ///< A delay queue was declared, or could not be.
    bool declaring_ = false;
    std::shared_ptr<Siblings> siblings_ = std::make_shared<Siblings>();
    amqp::Client worker_;
    amqp::Client producer_;
    amqp::Publisher publisher_;
    std::optional<amqp::Publisher> aside_;
};

}  // namespace

std::unique_ptr<Broker> make_amqp_broker(Executor executor, AmqpBrokerOptions options) {
    auto client = value_or_throw(amqp::parse_urls(options.url));
    if (options.name.empty()) options.name = fmt::format("lovage pid {}", ::getpid());
    return std::make_unique<AmqpBroker>(std::move(executor), std::move(client), options.name);
}

}  // namespace lovage
