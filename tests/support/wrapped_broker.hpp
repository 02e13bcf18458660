#pragma once

#include <lovage/brokers/broker.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lovage {

/// A broker that passes everything on to another one, for tests to change a part of.
class WrappedBroker : public Broker {
public:
    explicit WrappedBroker(std::unique_ptr<Broker> inner) : inner_{std::move(inner)} {}

    Awaitable<Result<void>> connect(Deadline deadline) override {
        return inner_->connect(deadline);
    }
    Awaitable<void> close(Deadline deadline) override { return inner_->close(deadline); }
    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) override {
        return inner_->declare_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange,
                                             Deadline deadline) override {
        return inner_->declare_exchange(std::move(exchange), deadline);
    }
    Awaitable<Result<void>> bind(Binding binding, Deadline deadline) override {
        return inner_->bind(std::move(binding), deadline);
    }
    Awaitable<Result<void>> delete_queue(std::string queue, Deadline deadline) override {
        return inner_->delete_queue(std::move(queue), deadline);
    }
    void forget_queue(const std::string& queue) override { inner_->forget_queue(queue); }
    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        return inner_->publish(std::move(publication), deadline);
    }
    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override {
        return inner_->consume(std::move(options), deadline);
    }
    Awaitable<Result<std::uint64_t>> purge(std::string queue, Deadline deadline) override {
        return inner_->purge(std::move(queue), deadline);
    }
    Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline deadline) override {
        return inner_->queue_status(std::move(queue), deadline);
    }
    Awaitable<Result<std::vector<std::string>>> list_queues(Deadline deadline) override {
        return inner_->list_queues(deadline);
    }
    [[nodiscard]] bool lists_all_queues() const noexcept override {
        return inner_->lists_all_queues();
    }
    Awaitable<Result<void>> ping(Deadline deadline) override { return inner_->ping(deadline); }
    Awaitable<Result<void>> renew(Deadline deadline) override { return inner_->renew(deadline); }
    [[nodiscard]] std::string display_url() const override { return inner_->display_url(); }
    [[nodiscard]] bool delays_natively() const noexcept override {
        return inner_->delays_natively();
    }

protected:
    [[nodiscard]] Broker& inner() noexcept { return *inner_; }

private:
    std::unique_ptr<Broker> inner_;
};

/// The same for a consumer.
class WrappedConsumer : public Consumer {
public:
    explicit WrappedConsumer(std::unique_ptr<Consumer> inner) : inner_{std::move(inner)} {}

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        return inner_->receive(deadline);
    }
    void ack(DeliveryTag tag) override { inner_->ack(tag); }
    void reject(DeliveryTag tag, Requeue requeue) override { inner_->reject(tag, requeue); }
    Awaitable<Result<void>> flush(Deadline deadline) override { return inner_->flush(deadline); }
    void set_prefetch(std::uint32_t prefetch) override { inner_->set_prefetch(prefetch); }
    Awaitable<Result<void>> add_queue(std::string queue, Deadline deadline) override {
        return inner_->add_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline) override {
        return inner_->cancel_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> cancel(Deadline deadline) override { return inner_->cancel(deadline); }
    Awaitable<Result<void>> close(Deadline deadline) override { return inner_->close(deadline); }
    [[nodiscard]] std::size_t unsettled() const noexcept override { return inner_->unsettled(); }
    [[nodiscard]] std::uint64_t stale_settlements() const noexcept override {
        return inner_->stale_settlements();
    }

private:
    std::unique_ptr<Consumer> inner_;
};

}  // namespace lovage
