// The client against a real RabbitMQ.

#include <lovage/clients/amqp/consumer.hpp>
#include <lovage/clients/amqp/publisher.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/loop.hpp>
#include <tests/support/services.hpp>

#include <gmock/gmock.h>

#include <future>
#include <memory>

namespace lovage::amqp {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Deadline soon() {
    return Deadline::in(30s);
}

/// A client on a loop of its own, called from the test's thread.
class AmqpClient : public testing::Test {
protected:
    void SetUp() override {
        loop_.start();
        auto options = parse_urls(lovage::testing_support::service_url("LOVAGE_TEST_AMQP_URL"));
        ASSERT_TRUE(options) << options.error().message();
        on_loop([&] { client_ = std::make_unique<Client>(loop_.executor(), std::move(*options)); });
        const auto connected = loop_.run_blocking(client_->connect(soon()));
        ASSERT_TRUE(connected) << connected.error().message();
    }
    void TearDown() override {
        if (!client_) return;
        (void)loop_.run_blocking(client_->delete_queue(queue_, soon()));
        loop_.run_blocking(client_->close(soon()));
        on_loop([&] {
            publisher_.reset();
            consumer_.reset();
            client_.reset();
        });
    }
    template <class F>
    void on_loop(F action) {
        std::promise<void> done;
        loop_.post([&] {
            action();
            done.set_value();
        });
        done.get_future().wait();
    }
    Result<void> publish(Outgoing message) {
        if (!publisher_) on_loop([&] { publisher_ = std::make_unique<Publisher>(*client_); });
        return loop_.run_blocking(publisher_->publish(std::move(message), soon()));
    }
    void consume(std::uint16_t prefetch) {
        on_loop([&] {
            consumer_ = std::make_unique<Consumer>(*client_, ConsumerOptions{.prefetch = prefetch});
        });
        const auto added = loop_.run_blocking(consumer_->add_queue(queue_, soon()));
        ASSERT_TRUE(added) << added.error().message();
    }

    Loop loop_{"amqp-test"};
    std::string queue_ = "lovage-test-" + uuid4();
    std::unique_ptr<Client> client_;
    std::unique_ptr<Publisher> publisher_;
    std::unique_ptr<Consumer> consumer_;
};

TEST_F(AmqpClient, DeclaresPublishesConsumesAndAcks) {
    ASSERT_TRUE(loop_.run_blocking(client_->declare(QueueSpec{.name = queue_}, soon())));
    Outgoing message{.routing_key = queue_, .body = "hello"};
    message.properties.content_type = "text/plain";
    message.properties.headers =
        parse_json(R"({"s": "ü", "i": 1, "big": 123456789012, "neg": -123456789012, "f": 0.5,
                       "n": null, "b": true, "a": [1, [2]], "o": {"x": {}}})")
            .value();
    const auto published = publish(message);
    ASSERT_TRUE(published) << published.error().message();
    consume(10);
    const auto got = loop_.run_blocking(consumer_->receive(soon()));
    ASSERT_TRUE(got) << got.error().message();
    ASSERT_EQ(got->size(), 1U);
    EXPECT_EQ(got->front().message.body, "hello");
    EXPECT_EQ(got->front().message.properties, message.properties);
    on_loop([&] { EXPECT_TRUE(consumer_->ack(got->front().id)); });
    EXPECT_TRUE(loop_.run_blocking(consumer_->flush(soon())));
    EXPECT_TRUE(loop_.run_blocking(consumer_->close(soon())));
    EXPECT_EQ(loop_.run_blocking(client_->look_up(queue_, soon()))->messages, 0U);
}

TEST_F(AmqpClient, AMessageNoQueueTakesIsUnroutable) {
    EXPECT_EQ(publish({.routing_key = queue_, .body = "x"}).error().code, Errc::unroutable);
    EXPECT_TRUE(publish({.routing_key = queue_, .mandatory = false, .body = "x"}));
    EXPECT_EQ(publish({.exchange = "nope-" + queue_, .body = "x"}).error().code, Errc::not_found);
    ASSERT_TRUE(loop_.run_blocking(client_->declare(QueueSpec{.name = queue_}, soon())));
    EXPECT_TRUE(publish({.routing_key = queue_, .body = "x"}));
}

TEST_F(AmqpClient, AChannelErrorEndsThatOperationOnly) {
    EXPECT_EQ(loop_.run_blocking(client_->look_up(queue_, soon())).error().code, Errc::not_found);
    ASSERT_TRUE(loop_.run_blocking(client_->declare(QueueSpec{.name = queue_}, soon())));
    const auto other =
        loop_.run_blocking(client_->declare(QueueSpec{.name = queue_, .durable = false}, soon()));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, Errc::conflict);
    EXPECT_THAT(other.error().detail, HasSubstr("durable"));
    EXPECT_TRUE(loop_.run_blocking(client_->look_up(queue_, soon())));
    EXPECT_EQ(client_->incarnation(), 1U);
}

}  // namespace
}  // namespace lovage::amqp
