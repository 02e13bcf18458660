#include <lovage/brokers/memory/memory_broker.hpp>

#include <lovage/brokers/declaration.hpp>
#include <lovage/brokers/memory/memory_store.hpp>
#include <lovage/runtime/notifier.hpp>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace lovage {

namespace {

using Clock = MemoryStore::Clock;

std::unexpected<Error> not_connected() {
    return fail(Errc::disconnected, "the broker is not connected: call connect() first");
}

class MemoryConsumer;
/// The living consumers of one broker, so that closing it closes them. Both sides run on the same
/// loop.
using MemorySiblings = std::set<MemoryConsumer*>;

class MemoryConsumer final : public Consumer {
public:
    MemoryConsumer(const Executor& executor, std::shared_ptr<MemoryStore> store,
                   std::uint32_t prefetch, std::shared_ptr<MemorySiblings> siblings)
        : store_{std::move(store)},
          siblings_{std::move(siblings)},
          ready_{executor},
          waker_{std::make_shared<MemoryStore::Waker>()},
          prefetch_{prefetch} {
        waker_->executor = executor;
        waker_->wake = [this] { ready_.notify_all(); };
        siblings_->insert(this);
    }
    ~MemoryConsumer() override {
        waker_->wake = nullptr;
        siblings_->erase(this);
        if (registered_) store_->remove_consumer(id_, Clock::now());
    }

    Result<void> start(MemoryStore::ConnectionId connection,
                       const std::vector<std::string>& queues) {
        auto id = store_->add_consumer(connection, queues, waker_, Clock::now());
        if (!id) return std::unexpected{id.error()};
        id_ = *id;
        registered_ = true;
        return {};
    }

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        while (true) {
            if (!registered_ || cancelled_)
                co_return fail(Errc::cancelled, "the consumer was cancelled");
            auto wake_at = deadline;
            if (prefetch_ > held_.size()) {
                auto taken = store_->take(id_, prefetch_ - held_.size(), Clock::now());
                if (taken.deleted_queue) {
                    co_return fail(Errc::not_found,
                                   "queue '" + *taken.deleted_queue + "' was deleted");
                }
                if (!taken.items.empty()) co_return hand_out(std::move(taken));
                if (taken.next_due)
                    wake_at = Deadline::at(std::min(deadline.time(), *taken.next_due));
            }
            if (deadline.passed())
                co_return fail(Errc::deadline_exceeded, "no message came in time");
            (void)co_await ready_.wait(wake_at);
        }
    }

    void ack(DeliveryTag tag) override {
        if (const auto id = settle(tag); id && !store_->discard(id_, *id)) ++stale_;
    }
    void reject(DeliveryTag tag, Requeue requeue) override {
        const auto id = settle(tag);
        if (!id) return;
        const bool held = requeue == Requeue::yes ? store_->requeue(id_, *id, Clock::now())
                                                  : store_->discard(id_, *id);
        if (!held) ++stale_;
    }
    Awaitable<Result<void>> flush(Deadline) override { co_return Result<void>{}; }

    void set_prefetch(std::uint32_t prefetch) override {
        prefetch_ = std::max<std::uint32_t>(prefetch, 1);
        ready_.notify_all();
    }
    Awaitable<Result<void>> add_queue(std::string queue, Deadline) override {
        if (!registered_) co_return fail(Errc::closed, "the consumer is closed");
        auto added = store_->add_queue(id_, queue, Clock::now());
        ready_.notify_all();
        co_return added;
    }
    Awaitable<Result<void>> cancel_queue(std::string queue, Deadline) override {
        if (!registered_) co_return fail(Errc::closed, "the consumer is closed");
        co_return store_->cancel_queue(id_, queue, Clock::now());
    }
    Awaitable<Result<void>> cancel(Deadline) override {
        if (registered_ && !cancelled_) store_->cancel(id_, Clock::now());
        cancelled_ = true;
        ready_.notify_all();
        co_return Result<void>{};
    }
    Awaitable<Result<void>> close(Deadline) override {
        close_now();
        co_return Result<void>{};
    }
    void close_now() {
        if (registered_) store_->remove_consumer(id_, Clock::now());
        registered_ = false;
        held_.clear();
        ready_.notify_all();
    }

    [[nodiscard]] std::size_t unsettled() const noexcept override { return held_.size(); }
    [[nodiscard]] std::uint64_t stale_settlements() const noexcept override { return stale_; }

private:
    std::vector<Delivery> hand_out(MemoryStore::Taken taken) {
        std::vector<Delivery> deliveries;
        deliveries.reserve(taken.items.size());
        for (auto& [id, delivery] : taken.items) {
            delivery.tag = {.epoch = id_, .value = next_tag_};
            held_.emplace(next_tag_++, id);
            deliveries.push_back(std::move(delivery));
        }
        return deliveries;
    }
    std::optional<MemoryStore::MessageId> settle(DeliveryTag tag) {
        const auto held = tag.epoch == id_ ? held_.find(tag.value) : held_.end();
        if (held == held_.end()) {
            ++stale_;
            return std::nullopt;
        }
        const auto id = held->second;
        held_.erase(held);
        ready_.notify_all();  // there is room for another delivery
        return id;
    }

    std::shared_ptr<MemoryStore> store_;
    std::shared_ptr<MemorySiblings> siblings_;
    Notifier ready_;
    std::shared_ptr<MemoryStore::Waker> waker_;
    std::uint32_t prefetch_;
    MemoryStore::ConsumerId id_ = 0;
    bool registered_ = false;
    bool cancelled_ = false;
    std::unordered_map<std::uint64_t, MemoryStore::MessageId> held_;  ///< By tag.
    std::uint64_t next_tag_ = 1;
    std::uint64_t stale_ = 0;
};

class MemoryBroker final : public Broker {
public:
    MemoryBroker(Executor executor, std::string name)
        : executor_{std::move(executor)}, name_{std::move(name)} {}
    ~MemoryBroker() override { disconnect(); }

    Awaitable<Result<void>> connect(Deadline) override {
        if (!store_) {
            store_ = MemoryStore::shared(name_);
            connection_ = store_->connect();
        }
        co_return Result<void>{};
    }
    Awaitable<void> close(Deadline) override {
        disconnect();
        co_return;
    }

    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->declare_queue(queue, connection_, Clock::now());
    }
    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange, Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->declare_exchange(exchange);
    }
    Awaitable<Result<void>> bind(Binding binding, Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->bind(binding, Clock::now());
    }
    Awaitable<Result<void>> delete_queue(std::string queue, Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->delete_queue(queue, Clock::now());
    }
    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        if (!store_) co_return not_connected();
        if (deadline.passed())
            co_return fail(Errc::deadline_exceeded, "the deadline had passed already");
        const std::size_t header_bytes = to_json_text(publication.message.headers).size();
        if (auto fits = check_publication(publication, header_bytes, {}); !fits) co_return fits;
        co_return store_->publish(std::move(publication), Clock::now());
    }
    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline) override {
        if (!store_) co_return not_connected();
        if (auto valid = check_consume(options); !valid) co_return std::unexpected{valid.error()};
        auto consumer =
            std::make_unique<MemoryConsumer>(executor_, store_, options.prefetch, consumers_);
        if (auto started = consumer->start(connection_, options.queues); !started) {
            co_return std::unexpected{started.error()};
        }
        co_return consumer;
    }

    Awaitable<Result<std::uint64_t>> purge(std::string queue, Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->purge(queue, Clock::now());
    }
    Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->status(queue, Clock::now());
    }
    Awaitable<Result<std::vector<std::string>>> list_queues(Deadline) override {
        if (!store_) co_return not_connected();
        co_return store_->queue_names(Clock::now());
    }

    Awaitable<Result<void>> ping(Deadline) override {
        if (!store_) co_return not_connected();
        co_return Result<void>{};
    }
    [[nodiscard]] std::string display_url() const override { return "memory://" + name_; }
    [[nodiscard]] bool delays_natively() const noexcept override { return true; }

private:
    void disconnect() {
        if (!store_) return;
        for (MemoryConsumer* consumer : *consumers_) consumer->close_now();
        store_->disconnect(connection_, Clock::now());
        store_.reset();
    }

    Executor executor_;
    std::string name_;
    std::shared_ptr<MemoryStore> store_;
    std::shared_ptr<MemorySiblings> consumers_ = std::make_shared<MemorySiblings>();
    MemoryStore::ConnectionId connection_ = 0;
};

}  // namespace

std::unique_ptr<Broker> make_memory_broker(Executor executor, std::string name) {
    return std::make_unique<MemoryBroker>(std::move(executor), std::move(name));
}

}  // namespace lovage
