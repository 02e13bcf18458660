#pragma once

#include <lovage/brokers/broker.hpp>
#include <lovage/runtime/loop.hpp>
#include <tests/support/soon.hpp>

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lovage::conformance {

class TestConsumer;

/// A Broker on a loop of its own, called from the test's thread.
class TestClient {
public:
    template <class Make>
    explicit TestClient(Make make) : loop_{"broker-test"} {
        loop_.start();
        broker_ = make(loop_.executor());
        const auto connected = run(broker_->connect(soon()));
        EXPECT_TRUE(connected) << connected.error().message();
    }
    ~TestClient() {
        close();
        on_loop([this] { broker_.reset(); });
    }
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;

    void close() { run(broker_->close(soon())); }
    [[nodiscard]] Broker& broker() { return *broker_; }
    [[nodiscard]] Loop& loop() { return loop_; }

    template <class T>
    T run(Awaitable<T> work) {
        return loop_.run_blocking(std::move(work));
    }
    void run(Awaitable<void> work) { loop_.run_blocking(std::move(work)); }
    /// Starts it now; the future has its result.
    template <class T>
    std::future<T> start(Awaitable<T> work) {
        auto promise = std::make_shared<std::promise<T>>();
        auto future = promise->get_future();
        boost::asio::co_spawn(
            loop_.executor(), std::move(work), [promise](const std::exception_ptr& error, T value) {
                error ? promise->set_exception(error) : promise->set_value(std::move(value));
            });
        return future;
    }
    template <class F>
    void on_loop(F action) {
        loop_.call(std::move(action));
    }

    Result<void> declare(QueueDeclaration queue) {
        return run(broker_->declare_queue(std::move(queue), soon()));
    }
    void queue(std::string name) {
        const auto declared = declare({.name = std::move(name)});
        EXPECT_TRUE(declared) << declared.error().message();
    }
    Result<void> publish(Publication publication, Deadline deadline = soon()) {
        return run(broker_->publish(std::move(publication), deadline));
    }
    /// To a queue by its name.
    void send(std::string queue, std::string body) {
        const auto sent =
            publish({.routing_key = std::move(queue), .message = {.body = std::move(body)}});
        EXPECT_TRUE(sent) << sent.error().message();
    }
    QueueStatus status(std::string queue) {
        const auto status = run(broker_->queue_status(queue, soon()));
        EXPECT_TRUE(status) << status.error().message();
        return status.value_or(QueueStatus{});
    }
    [[nodiscard]] std::unique_ptr<TestConsumer> consume(std::vector<std::string> queues,
                                                        std::uint32_t prefetch);

private:
    Loop loop_;
    std::unique_ptr<Broker> broker_;
};

/// A Consumer of a TestClient. Destroying it drops the consumer: its death.
class TestConsumer {
public:
    TestConsumer(TestClient& client, std::unique_ptr<Consumer> consumer)
        : client_{client}, consumer_{std::move(consumer)} {}
    ~TestConsumer() {
        client_.on_loop([this] { consumer_.reset(); });
    }
    TestConsumer(const TestConsumer&) = delete;
    TestConsumer& operator=(const TestConsumer&) = delete;

    [[nodiscard]] Consumer& consumer() { return *consumer_; }

    Result<std::vector<Delivery>> receive(Deadline deadline = soon()) {
        return client_.run(consumer_->receive(deadline));
    }
    /// Receives until there are `count` deliveries; fewer only after a failure, which it reports.
    std::vector<Delivery> receive_many(std::size_t count) {
        std::vector<Delivery> all;
        while (all.size() < count) {
            auto some = receive();
            if (!some) {
                ADD_FAILURE() << some.error().message() << " after " << all.size() << " deliveries";
                break;
            }
            std::move(some->begin(), some->end(), std::back_inserter(all));
        }
        return all;
    }
    Delivery receive_one() {
        auto deliveries = receive_many(1);
        EXPECT_EQ(deliveries.size(), 1U);
        return deliveries.empty() ? Delivery{} : std::move(deliveries.front());
    }
    /// True when nothing arrives although everything that was sent is there.
    bool nothing_comes() {
        const auto got = receive(Deadline::in(std::chrono::milliseconds{50}));
        return !got && got.error().code == Errc::deadline_exceeded;
    }
    void ack(const Delivery& delivery) {
        client_.on_loop([&] { consumer_->ack(delivery.tag); });
    }
    void reject(const Delivery& delivery, Requeue requeue) {
        client_.on_loop([&] { consumer_->reject(delivery.tag, requeue); });
    }
    void flush() {
        const auto flushed = client_.run(consumer_->flush(soon()));
        EXPECT_TRUE(flushed) << flushed.error().message();
    }
    void ack_all(const std::vector<Delivery>& deliveries) {
        client_.on_loop([&] {
            for (const Delivery& delivery : deliveries) consumer_->ack(delivery.tag);
        });
        flush();
    }

private:
    TestClient& client_;
    std::unique_ptr<Consumer> consumer_;
};

inline std::unique_ptr<TestConsumer> TestClient::consume(std::vector<std::string> queues,
                                                         std::uint32_t prefetch) {
    auto consumer =
        run(broker_->consume({.queues = std::move(queues), .prefetch = prefetch}, soon()));
    if (!consumer) throw LovageError{consumer.error()};
    return std::make_unique<TestConsumer>(*this, std::move(*consumer));
}

inline std::vector<std::string> bodies(const std::vector<Delivery>& deliveries) {
    std::vector<std::string> texts;
    for (const Delivery& delivery : deliveries) texts.push_back(delivery.message.body);
    return texts;
}

}  // namespace lovage::conformance
