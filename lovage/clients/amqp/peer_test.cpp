// The client against a server that does what a test wants, also what RabbitMQ never would.

#include <lovage/clients/amqp/consumer.hpp>
#include <lovage/clients/amqp/publisher.hpp>
#include <lovage/clients/amqp/scripted_peer.hpp>
#include <lovage/net/detail/look_up.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <tests/support/soon.hpp>

#include <gmock/gmock.h>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lovage::amqp {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class AmqpPeer : public testing::Test {
protected:
    AmqpPeer() {
        loop_.start();
        peer_ = std::make_unique<ScriptedPeer>(loop_);
        scope_ = std::make_unique<TaskScope>(loop_.executor());
    }
    void SetUp() override {
        loop_.call([&] {
            client_ = std::make_unique<Client>(loop_.executor(), parse_urls(peer_->url()).value());
        });
        const auto connected = loop_.run_blocking(client_->connect(soon()));
        ASSERT_TRUE(connected) << connected.error().message();
    }
    void TearDown() override {
        loop_.run_blocking(client_->close(soon()));
        EXPECT_TRUE(loop_.run_blocking(scope_->join(soon())));
        loop_.call([&] {
            publisher_.reset();
            consumer_.reset();
            client_.reset();
            scope_.reset();
        });
        peer_.reset();
    }

    void consume() {
        loop_.call([&] {
            consumer_ = std::make_unique<Consumer>(*client_, ConsumerOptions{.prefetch = 10});
        });
        const auto added = loop_.run_blocking(consumer_->add_queue("q", soon()));
        ASSERT_TRUE(added) << added.error().message();
    }
    void publish_through(PublishWindow window) {
        loop_.call([&] { publisher_ = std::make_unique<Publisher>(*client_, window); });
    }
    static Awaitable<void> publish_one(Publisher* publisher, Outgoing message,
                                       Result<void>* ended) {
        *ended = co_await publisher->publish(std::move(message), soon());
    }
    /// Starts to publish; the outcome is there when scope_ is empty.
    void publish(Outgoing message) {
        loop_.call([&] {
            outcomes_.push_back(
                std::make_unique<Result<void>>(fail(Errc::internal, "not ended yet")));
            scope_->spawn("publish", publish_one(publisher_.get(), std::move(message),
                                                 outcomes_.back().get()));
        });
    }

    Loop loop_{"amqp-test"};
    std::unique_ptr<ScriptedPeer> peer_;
    std::unique_ptr<Client> client_;
    std::unique_ptr<Publisher> publisher_;
    std::unique_ptr<Consumer> consumer_;
    std::vector<std::unique_ptr<Result<void>>> outcomes_;
    std::unique_ptr<TaskScope> scope_;
};

TEST_F(AmqpPeer, AGapInTheDeliveryTagsEndsTheConnection) {
    consume();
    peer_->deliver(2, "the first was never sent");
    const auto told = loop_.run_blocking(consumer_->receive(soon()));
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::disconnected);
    EXPECT_THAT(told.error().detail, HasSubstr("gaps"));
}

TEST_F(AmqpPeer, RoomThatALargeMessageLeavesIsFilledAtOnce) {
    publish_through({.bytes = std::size_t{1} << 20U});
    publish({.routing_key = "q", .body = std::string(std::size_t{1} << 20U, 'x')});
    for (int i = 0; i < 500; ++i) publish({.routing_key = "q", .body = "small"});
    EXPECT_EQ(peer_->published(1, soon()), 1U);
    peer_->confirm(1);
    EXPECT_EQ(peer_->published(501, soon()), 501U) << "without a confirm for any of them";
    loop_.call([&] { EXPECT_EQ(publisher_->in_flight(), 500U); });
    peer_->confirm(501, true);
    EXPECT_TRUE(loop_.run_blocking(scope_->join(soon())));
    for (const auto& outcome : outcomes_) EXPECT_TRUE(*outcome) << outcome->error().message();
}

TEST_F(AmqpPeer, APlaceThatIsNotUsedGoesToTheNextInLine) {
    publish_through({.messages = 1});
    publish({.routing_key = "q", .body = "first"});
    Outgoing impossible{.routing_key = "q", .body = "second"};
    impossible.properties.headers = Json::object({{"huge", std::string(200'000, 'x')}});
    publish(std::move(impossible));
    publish({.routing_key = "q", .body = "third"});
    EXPECT_EQ(peer_->published(1, soon()), 1U);
    peer_->confirm(1);
    EXPECT_EQ(peer_->published(2, soon()), 2U);
    peer_->confirm(2);
    EXPECT_TRUE(loop_.run_blocking(scope_->join(soon())));
    EXPECT_TRUE(*outcomes_[0]);
    EXPECT_EQ(outcomes_[1]->error().code, Errc::too_large);
    EXPECT_TRUE(*outcomes_[2]);
}

TEST_F(AmqpPeer, AFlushThatWasNotAnsweredIsNotTakenForOneThatWas) {
    consume();
    peer_->deliver(1, "a");
    const auto got = loop_.run_blocking(consumer_->receive(soon()));
    ASSERT_TRUE(got) << got.error().message();
    peer_->answer_flow(false);
    loop_.call([&] { EXPECT_TRUE(consumer_->ack(got->front().id)); });
    for (int i = 0; i < 2; ++i) {
        const auto flushed = loop_.run_blocking(consumer_->flush(Deadline::in(500ms)));
        ASSERT_FALSE(flushed);
        EXPECT_EQ(flushed.error().code, Errc::deadline_exceeded);
        EXPECT_THAT(flushed.error().detail, HasSubstr("127.0.0.1"));
        EXPECT_THAT(flushed.error().detail, HasSubstr("channel.flow"));
    }
    peer_->answer_flow(true);
    EXPECT_TRUE(loop_.run_blocking(consumer_->flush(soon())));
}

TEST_F(AmqpPeer, AMessageHeldTooLongCostsItsChannelOnlyAndTheLogSaysWhatToDo) {
    consume();
    peer_->deliver(1, "a");
    const auto got = loop_.run_blocking(consumer_->receive(soon()));
    ASSERT_TRUE(got) << got.error().message();
    // RabbitMQ 3.10's text.
    peer_->close_channel(406,
                         "PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. "
                         "Timeout value used: 1800000 ms. This timeout value can be configured, "
                         "see consumers doc guide to learn more");
    const auto told = loop_.run_blocking(consumer_->receive(soon()));
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::disconnected);
    EXPECT_THAT(told.error().detail, HasSubstr("consumer_timeout is raised above"));
    EXPECT_EQ(client_->incarnation(), 1U) << "the connection goes on";
    loop_.call([&] { EXPECT_FALSE(consumer_->ack(got->front().id)); });
    // The next channel's tags begin anew.
    EXPECT_TRUE(loop_.run_blocking(client_->look_up("q", soon())));
    peer_->deliver(1, "a");
    EXPECT_TRUE(loop_.run_blocking(consumer_->receive(soon())));
}

/// A name server that never answers.
class AmqpNameServer : public testing::Test {
protected:
    AmqpNameServer() {
        net::detail::resolver_for_tests() = [](const std::string&, const auto&) {};
        loop_.start();
        loop_.call([&] {
            client_ = std::make_unique<Client>(loop_.executor(),
                                               parse_urls("amqp://silent.test/").value());
        });
    }
    ~AmqpNameServer() override {
        loop_.run_blocking(client_->close(soon()));
        loop_.call([&] { client_.reset(); });
        net::detail::resolver_for_tests() = nullptr;
    }
    static Awaitable<void> connect_for(Client* client, std::chrono::milliseconds length) {
        using namespace boost::asio::experimental::awaitable_operators;
        boost::asio::steady_timer timer{client->executor(), length};
        (void)co_await (client->connect(soon()) || timer.async_wait(boost::asio::use_awaitable));
    }

    Loop loop_{"amqp-test"};
    std::unique_ptr<Client> client_;
};

TEST_F(AmqpNameServer, IsWaitedForUntilTheDeadlineOnly) {
    const auto refused = loop_.run_blocking(client_->connect(Deadline::in(500ms)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::disconnected);
    EXPECT_THAT(refused.error().detail, HasSubstr("silent.test"));
    EXPECT_FALSE(client_->running());
}

TEST_F(AmqpNameServer, DoesNotKeepACancelledConnectFromEnding) {
    loop_.run_blocking(connect_for(client_.get(), 20ms));
    EXPECT_TRUE(client_->running()) << "until close()";
    // Who was cancelled is not taken for somebody who still waits.
    EXPECT_FALSE(loop_.run_blocking(client_->connect(Deadline::in(20ms))));
    EXPECT_FALSE(client_->running());
}

}  // namespace
}  // namespace lovage::amqp
