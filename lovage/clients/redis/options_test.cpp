#include <lovage/clients/redis/options.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::redis {
namespace {

using testing::HasSubstr;
using testing::Not;

Result<Options> read(std::string_view url) {
    return options_from_url(value_or_throw(parse_url(url)));
}
std::string shown(std::string_view url) {
    const auto options = read(url);
    return options ? options->display_url() : options.error().message();
}

TEST(RedisOptions, HaveCelerysDefaults) {
    EXPECT_EQ(shown("redis://"), "redis://localhost:6379/0");
    EXPECT_EQ(shown("redis:///3"), "redis://localhost:6379/3");
    EXPECT_EQ(shown("redis://host"), "redis://host:6379/0");
    EXPECT_EQ(shown("redis://[::1]:7000/1"), "redis://[::1]:7000/1");
}

TEST(RedisOptions, ReadUserPasswordAndDatabase) {
    const auto options = value_or_throw(read("redis://worker:p%40ss%2Fword@host:7000/12"));
    EXPECT_EQ(options.user, "worker");
    EXPECT_EQ(options.password, "p@ss/word");
    EXPECT_EQ(options.host, "host");
    EXPECT_EQ(options.port, 7000);
    EXPECT_EQ(options.database, 12U);
    EXPECT_EQ(options.display_url(), "redis://worker:********@host:7000/12");

    EXPECT_EQ(value_or_throw(read("redis://:secret@host")).password, "secret");
    EXPECT_EQ(value_or_throw(read("redis://host?password=secret&username=me&db=4")).user, "me");
    EXPECT_EQ(shown("redis://host?password=secret&username=me&db=4"),
              "redis://me:********@host:6379/4");
    EXPECT_FALSE(value_or_throw(read("redis://host")).password);
}

TEST(RedisOptions, ReadUnixSocketsAsCeleryAndRedisPySpellThem) {
    const auto options =
        value_or_throw(read("redis+socket:///run/redis/redis.sock?virtual_host=2"));
    EXPECT_EQ(options.socket_path, "/run/redis/redis.sock");
    EXPECT_EQ(options.database, 2U);
    EXPECT_EQ(options.display_url(), "redis+socket:///run/redis/redis.sock?virtual_host=2");
    EXPECT_EQ(value_or_throw(read("unix:///run/redis.sock?db=5")).database, 5U);
    EXPECT_EQ(value_or_throw(read("socket://:pw@/run/redis.sock")).password, "pw");
    EXPECT_THAT(shown("redis+socket://run/redis.sock"), HasSubstr("three slashes"));
}

TEST(RedisOptions, ReadTlsAsCelerySpellsIt) {
    auto options =
        value_or_throw(read("rediss://host/0?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=/etc/ca.pem"
                            "&ssl_certfile=/etc/me.pem&ssl_keyfile=/etc/me.key"));
    ASSERT_TRUE(options.tls);
    EXPECT_EQ(options.tls->ca_file, "/etc/ca.pem");
    EXPECT_EQ(options.tls->certificate_file, "/etc/me.pem");
    EXPECT_EQ(options.tls->key_file, "/etc/me.key");
    EXPECT_EQ(options.tls->verify, net::TlsVerify::required);
    EXPECT_TRUE(options.tls->verify_host);

    for (const char* none : {"none", "CERT_NONE"}) {
        options = value_or_throw(read(std::string{"rediss://host?ssl_cert_reqs="} + none));
        EXPECT_EQ(options.tls->verify, net::TlsVerify::none);
    }
    for (const char* required : {"required", "optional", "CERT_OPTIONAL"}) {
        options = value_or_throw(read(std::string{"rediss://host?ssl_cert_reqs="} + required));
        EXPECT_EQ(options.tls->verify, net::TlsVerify::required);
    }
    EXPECT_EQ(value_or_throw(read("rediss://host")).tls->verify, net::TlsVerify::required)
        << "nothing said is not unverified";
    EXPECT_FALSE(value_or_throw(read("rediss://host?ssl_check_hostname=false")).tls->verify_host);
    EXPECT_EQ(shown("rediss://:pw@host"), "rediss://:********@host:6379/0");
}

TEST(RedisOptions, NameWhatIsWrongAndNoPassword) {
    for (const char* url :
         {"redis://:canary@host/first", "redis://:canary@host?db=-1",
          "redis://:canary@host?ssl_cert_reqs=none", "rediss://:canary@host?ssl_cert_reqs=maybe",
          "redis://:canary@host?socket_connect_timeout=0", "http://:canary@host"}) {
        SCOPED_TRACE(url);
        const auto options = read(url);
        ASSERT_FALSE(options);
        EXPECT_EQ(options.error().code, Errc::invalid_argument);
        EXPECT_THAT(options.error().detail, Not(HasSubstr("canary")));
    }
    EXPECT_THAT(shown("redis://host/first"), HasSubstr("'first'"));
}

TEST(RedisOptions, LeaveOthersSettingsAlone) {
    const auto options =
        value_or_throw(read("redis://host/1?health_check_interval=30&socket_connect_timeout=2.5"));
    EXPECT_EQ(options.connect_timeout.count(), 2500);
}

}  // namespace
}  // namespace lovage::redis
