// The client against a real RabbitMQ.

#include <lovage/clients/amqp/consumer.hpp>
#include <lovage/clients/amqp/publisher.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/loop.hpp>
#include <tests/support/services.hpp>
#include <tests/support/soon.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <gmock/gmock.h>

#include <future>
#include <memory>

namespace lovage::amqp {
namespace {

using namespace std::chrono_literals;
using lovage::testing_support::Ending;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A client on a loop of its own, called from the test's thread.
class AmqpClient : public testing::Test {
protected:
    void SetUp() override {
        loop_.start();
        if (url_.empty()) url_ = lovage::testing_support::service_url("LOVAGE_TEST_AMQP_URL");
        auto options = parse_urls(url_);
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
        loop_.call(std::move(action));
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
    std::string url_;
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

/// The same through a proxy that does harm.
class AmqpFaults : public AmqpClient {
protected:
    void SetUp() override {
        proxy_ = std::make_unique<lovage::testing_support::TcpProxy>(
            lovage::testing_support::service_url("LOVAGE_TEST_AMQP_URL"));
        url_ = proxy_->url() + "?heartbeat=2";
        AmqpClient::SetUp();
    }

    /// A queue with one message, which is handed out and not settled.
    Incoming take_one() {
        EXPECT_TRUE(loop_.run_blocking(client_->declare(QueueSpec{.name = queue_}, soon())));
        EXPECT_TRUE(publish({.routing_key = queue_, .body = "a"}));
        consume(10);
        auto got = loop_.run_blocking(consumer_->receive(soon()));
        EXPECT_TRUE(got) << got.error().message();
        return got ? got->front() : Incoming{};
    }
    /// The connection is gone: told once, stale acks are not sent, the message comes again.
    void expect_recovery(const Incoming& before) {
        const auto told = loop_.run_blocking(consumer_->receive(soon()));
        ASSERT_FALSE(told);
        EXPECT_EQ(told.error().code, Errc::disconnected);
        on_loop([&] { EXPECT_FALSE(consumer_->ack(before.id)); });
        proxy_->heal();
        const auto again = loop_.run_blocking(consumer_->receive(soon()));
        ASSERT_TRUE(again) << again.error().message();
        EXPECT_EQ(again->front().message.body, "a");
        EXPECT_TRUE(again->front().message.redelivered);
        EXPECT_NE(again->front().id.epoch, before.id.epoch);
        on_loop([&] {
            EXPECT_FALSE(consumer_->ack(before.id));
            EXPECT_TRUE(consumer_->ack(again->front().id));
        });
        EXPECT_TRUE(loop_.run_blocking(consumer_->flush(soon())));
        EXPECT_TRUE(publish({.routing_key = queue_, .body = "b"}));
        EXPECT_GE(client_->incarnation(), 2U);
    }

    std::unique_ptr<lovage::testing_support::TcpProxy> proxy_;
};

TEST_F(AmqpFaults, AResetConnectionIsReplaced) {
    const Incoming out = take_one();
    proxy_->end_connections(Ending::reset);
    expect_recovery(out);
}

TEST_F(AmqpFaults, AClosedConnectionIsReplaced) {
    const Incoming out = take_one();
    proxy_->end_connections(Ending::close);
    expect_recovery(out);
}

TEST_F(AmqpFaults, ASilentConnectionIsReplaced) {
    const Incoming out = take_one();
    proxy_->go_silent();
    expect_recovery(out);
    EXPECT_GE(proxy_->counts().broken, 1U);
}

TEST_F(AmqpFaults, SilenceTakesNoLongerThanTwoIntervals) {
    (void)take_one();
    const auto begun = std::chrono::steady_clock::now();
    proxy_->go_silent();
    EXPECT_EQ(loop_.run_blocking(consumer_->receive(soon())).error().code, Errc::disconnected);
    // After 3.6 s; the rest is for a busy machine. The moment itself is in session_test.cpp.
    EXPECT_LE(std::chrono::steady_clock::now() - begun, 20s);
    proxy_->heal();
}

TEST_F(AmqpFaults, APublishCutOffIsUnknownAndTheNextOneIsFine) {
    ASSERT_TRUE(loop_.run_blocking(client_->declare(QueueSpec{.name = queue_}, soon())));
    ASSERT_TRUE(publish({.routing_key = queue_, .body = "a"}));
    // The confirm stays in the proxy until the connection is gone.
    proxy_->set_flow(lovage::testing_support::Way::to_client, {.stalled = true});
    const auto sent = proxy_->counts().to_server_bytes;
    auto cut = std::async(std::launch::async,
                          [&] { return publish({.routing_key = queue_, .body = "b"}); });
    ASSERT_TRUE(proxy_->wait_until(
        [&](const auto& counts) { return counts.to_server_bytes > sent; }, soon()));
    proxy_->end_connections(Ending::reset);
    proxy_->heal();
    const auto outcome = cut.get();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::unknown_outcome);
    EXPECT_TRUE(publish({.routing_key = queue_, .body = "c"}));
}

TEST_F(AmqpFaults, AHandshakeCutAnywhereIsTriedAgain) {
    using lovage::testing_support::Way;
    for (std::size_t bytes = 0; bytes < 700; bytes += 23) {
        const auto accepted = proxy_->counts().accepted;
        proxy_->cut_after(Way::to_client, bytes, Ending::reset);
        Client fresh{loop_.executor(), parse_urls(url_).value()};
        auto connecting = std::async(std::launch::async,
                                     [&] { return loop_.run_blocking(fresh.connect(soon())); });
        ASSERT_TRUE(proxy_->wait_until(
            [&](const auto& counts) { return counts.accepted > accepted; }, soon()));
        proxy_->heal();
        const auto connected = connecting.get();
        EXPECT_TRUE(connected) << bytes << ": " << connected.error().message();
        loop_.run_blocking(fresh.close(soon()));
    }
}

TEST(AmqpConnect, AnotherHostIsTried) {
    Loop loop{"amqp-test"};
    loop.start();
    const std::string url = lovage::testing_support::service_url("LOVAGE_TEST_AMQP_URL");
    auto client =
        std::make_unique<Client>(loop.executor(), parse_urls("amqp://127.0.0.1:1/;" + url).value());
    const auto connected = loop.run_blocking(client->connect(soon()));
    EXPECT_TRUE(connected) << connected.error().message();
    loop.run_blocking(client->close(soon()));
}

TEST(AmqpConnect, NobodyThereIsToldAtTheDeadline) {
    Loop loop{"amqp-test"};
    loop.start();
    Client client{loop.executor(), parse_urls("amqp://u:secret@127.0.0.1:1/").value()};
    const auto refused = loop.run_blocking(client.connect(Deadline::in(1s)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::disconnected);
    EXPECT_THAT(refused.error().detail, HasSubstr("127.0.0.1:1"));
    EXPECT_THAT(refused.error().detail, testing::Not(HasSubstr("secret")));
    EXPECT_FALSE(client.running());
}

TEST(AmqpConnect, ARefusedLoginIsToldAtOnce) {
    Loop loop{"amqp-test"};
    loop.start();
    auto options = parse_urls(lovage::testing_support::service_url("LOVAGE_TEST_AMQP_URL")).value();
    options.endpoints[0].session.password = "wrong";
    Client client{loop.executor(), options};
    const auto refused = loop.run_blocking(client.connect(soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::rejected);
    EXPECT_THAT(refused.error().detail, HasSubstr("guest"));
}

}  // namespace
}  // namespace lovage::amqp
