#include <lovage/clients/amqp/options.hpp>

#include <gmock/gmock.h>

namespace lovage::amqp {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

Endpoint endpoint(std::string_view url) {
    auto options = parse_urls(url);
    EXPECT_TRUE(options) << options.error().message();
    return options.value().endpoints.at(0);
}

TEST(AmqpUrl, VirtualHostsAreReadAsKombuDoes) {
    EXPECT_EQ(endpoint("amqp://h").session.vhost, "/");
    EXPECT_EQ(endpoint("amqp://h/").session.vhost, "/");
    EXPECT_EQ(endpoint("amqp://h//").session.vhost, "/");
    EXPECT_EQ(endpoint("amqp://h/%2F").session.vhost, "/");
    EXPECT_EQ(endpoint("amqp://h/v").session.vhost, "v");
    EXPECT_EQ(endpoint("amqp://h/a%2Fb").session.vhost, "a/b");
    EXPECT_EQ(endpoint("amqp://h//v").session.vhost, "/v");
}

TEST(AmqpUrl, EverythingElseHasItsDefault) {
    const Endpoint plain = endpoint("pyamqp://");
    EXPECT_EQ(plain.host, "localhost");
    EXPECT_EQ(plain.port, 5672);
    EXPECT_EQ(plain.session.user, "guest");
    EXPECT_EQ(plain.session.password, "guest");
    EXPECT_EQ(plain.session.heartbeat, 10s);
    EXPECT_FALSE(plain.tls);
    const Endpoint secure = endpoint("amqps://u%40x:p%3Aw@[::1]/v");
    EXPECT_EQ(secure.host, "::1");
    EXPECT_EQ(secure.port, 5671);
    EXPECT_EQ(secure.session.user, "u@x");
    EXPECT_EQ(secure.session.password, "p:w");
    EXPECT_TRUE(secure.tls);
    EXPECT_EQ(secure.display(), "amqps://u@x@[::1]:5671/v");
}

TEST(AmqpUrl, ParametersAreKombusAndRabbitMqs) {
    const auto options = parse_urls(
        "amqp://h/v?ssl=true&ssl_ca_certs=/ca.pem&verify=verify_none&heartbeat=30&login_method="
        "EXTERNAL&connect_timeout=2.5&frame_max=8192&channel_max=7");
    ASSERT_TRUE(options) << options.error().message();
    const Endpoint& to = options->endpoints[0];
    EXPECT_EQ(to.port, 5671);
    ASSERT_TRUE(to.tls);
    EXPECT_EQ(to.tls->ca_file, "/ca.pem");
    EXPECT_EQ(to.tls->verify, net::TlsVerify::none);
    EXPECT_EQ(to.session.heartbeat, 30s);
    EXPECT_EQ(to.session.mechanism, Mechanism::external);
    EXPECT_EQ(to.session.frame_bytes_max, 8192U);
    EXPECT_EQ(to.session.channel_max, 7);
    EXPECT_EQ(options->connect_timeout, 2500ms);
}

TEST(AmqpUrl, SeveralHostsAreAlternatives) {
    const auto options = parse_urls("amqp://a/v;amqp://b:1234/v");
    ASSERT_TRUE(options);
    ASSERT_EQ(options->endpoints.size(), 2U);
    EXPECT_EQ(options->endpoints[1].host, "b");
    EXPECT_EQ(options->endpoints[1].port, 1234);
}

TEST(AmqpUrl, ProblemsAreNamedWithoutThePassword) {
    for (const char* url :
         {"http://u:secret@h", "amqp://u:secret@h?heartbeat=soon", "amqp://u:secret@h?nope=1",
          "amqp://u:secret@h:99999", "amqp://u:secret@h;", "amqp://u:secret@h?ssl=perhaps",
          "amqp://u:secret@h?verify=maybe", "amqp://u:secret@h?frame_max=1"}) {
        const auto refused = parse_urls(url);
        ASSERT_FALSE(refused) << url;
        EXPECT_THAT(refused.error().detail, Not(HasSubstr("secret")));
    }
    EXPECT_THAT(parse_urls("amqp://h?nope=1").error().detail, HasSubstr("'nope'"));
    EXPECT_THAT(parse_urls("amqp://h?heartbeat=soon").error().detail,
                HasSubstr("heartbeat='soon': it takes 0 to 65535 whole seconds"));
}

}  // namespace
}  // namespace lovage::amqp
