// The client against a real RabbitMQ's TLS port.

#include <lovage/clients/amqp/consumer.hpp>
#include <lovage/clients/amqp/publisher.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/loop.hpp>
#include <tests/support/services.hpp>
#include <tests/support/soon.hpp>

#include <gmock/gmock.h>

#include <chrono>
#include <string>

namespace lovage::amqp {
namespace {

using lovage::testing_support::service_url;
using ::testing::HasSubstr;

class AmqpTls : public testing::Test {
protected:
    void SetUp() override { loop_.start(); }

    static std::string file(const std::string& name) {
        return service_url("LOVAGE_TEST_AMQPS_CERTIFICATES") + "/" + name;
    }
    static std::string url(const std::string& login, const std::string& query) {
        return "amqps://" + login + service_url("LOVAGE_TEST_AMQPS_HOST") + "//?" + query;
    }
    static std::string trusting() { return "cacertfile=" + file("ca.pem"); }
    static std::string showing_certificate() {
        return "&certfile=" + file("client.pem") + "&keyfile=" + file("client.key");
    }

    Result<void> connect(const std::string& to) {
        Client client{loop_.executor(), parse_urls(to).value()};
        auto connected = loop_.run_blocking(client.connect(soon()));
        loop_.run_blocking(client.close(soon()));
        return connected;
    }
    /// A message of several frames there and back.
    void expect_working(const std::string& to) {
        Client client{loop_.executor(), parse_urls(to).value()};
        const auto connected = loop_.run_blocking(client.connect(soon()));
        ASSERT_TRUE(connected) << connected.error().message();
        const std::string queue = "lovage-test-" + uuid4();
        ASSERT_TRUE(loop_.run_blocking(client.declare(QueueSpec{.name = queue}, soon())));
        const std::string body(300'000, 'x');
        std::optional<Publisher> publisher;
        std::optional<Consumer> consumer;
        loop_.call([&] {
            publisher.emplace(client);
            consumer.emplace(client, ConsumerOptions{.prefetch = 1});
        });
        EXPECT_TRUE(loop_.run_blocking(
            publisher->publish(Outgoing{.routing_key = queue, .body = body}, soon())));
        EXPECT_TRUE(loop_.run_blocking(consumer->add_queue(queue, soon())));
        const auto received = loop_.run_blocking(consumer->receive(soon()));
        EXPECT_TRUE(received && received->at(0).message.body == body);
        EXPECT_TRUE(loop_.run_blocking(client.delete_queue(queue, soon())));
        loop_.run_blocking(client.close(soon()));
        loop_.call([&] {
            publisher.reset();
            consumer.reset();
        });
    }

    Loop loop_{"amqp-test"};
};

TEST_F(AmqpTls, CarriesMessagesWithAPassword) {
    expect_working(url("guest:guest@", trusting()));
}

TEST_F(AmqpTls, CarriesMessagesOfWhomTheCertificateNames) {
    expect_working(url("", trusting() + showing_certificate() + "&auth_mechanism=EXTERNAL"));
}

TEST_F(AmqpTls, ExternalWithoutACertificateIsRefused) {
    const auto refused = connect(url("", trusting() + "&auth_mechanism=EXTERNAL"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::rejected) << refused.error().message();
    EXPECT_THAT(refused.error().detail, HasSubstr("EXTERNAL"));
}

TEST_F(AmqpTls, AServerOfAnotherAuthorityIsNotTrusted) {
    const auto refused = connect(url("guest:guest@", ""));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, HasSubstr("certificate"));
    EXPECT_THAT(refused.error().detail, testing::Not(HasSubstr("guest:guest")));
}

TEST_F(AmqpTls, VerificationCanBeSwitchedOff) {
    expect_working(url("guest:guest@", "verify=verify_none"));
}

}  // namespace
}  // namespace lovage::amqp
