#include <lovage/runtime/url.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lovage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

Url parsed(std::string_view text) {
    auto url = parse_url(text);
    EXPECT_TRUE(url) << url.error().message();
    return url ? *url : Url{};
}

std::string problem_of(std::string_view text) {
    const auto url = parse_url(text);
    EXPECT_FALSE(url) << text;
    return url ? "" : url.error().detail;
}

TEST(Url, SplitsAndDecodesEveryPart) {
    const Url url =
        parsed("PyAMQP://us%40er:p%2Fw%25@Host.example:5672/%2Fprod?heartbeat=30&a=b+c%2B#x");
    EXPECT_EQ(url.scheme, "pyamqp");
    EXPECT_EQ(url.user, "us@er");
    EXPECT_EQ(url.password, "p/w%");
    EXPECT_EQ(url.host, "Host.example");
    EXPECT_EQ(url.port, 5672);
    EXPECT_EQ(url.path, "//prod");
    EXPECT_THAT(url.query, ElementsAre(Pair("heartbeat", "30"), Pair("a", "b c+")));
    EXPECT_EQ(*url.find_query("heartbeat"), "30");
    EXPECT_EQ(url.find_query("none"), nullptr);
}

TEST(Url, MostPartsMayBeMissing) {
    EXPECT_EQ(parsed("memory://").host, "");
    EXPECT_EQ(parsed("amqp://host").path, "");
    EXPECT_EQ(parsed("amqp://host:/x").port, std::nullopt);
    EXPECT_EQ(parsed("redis://:secret@host/0").user, "");
    EXPECT_EQ(parsed("redis://:secret@host/0").password, "secret");
    EXPECT_EQ(parsed("redis://token@host").user, "token");
    EXPECT_EQ(parsed("redis+socket:///run/redis.sock?db=1").path, "/run/redis.sock");
}

TEST(Url, UnderstandsIpv6Hosts) {
    EXPECT_EQ(parsed("amqp://[::1]:5673/x").host, "::1");
    EXPECT_EQ(parsed("amqp://[::1]:5673/x").port, 5673);
    EXPECT_EQ(parsed("amqp://[::1]").display(), "amqp://[::1]");
}

TEST(Url, APasswordMayHoldAnAtSign) {
    EXPECT_EQ(parsed("amqp://u:p@ss@host").password, "p@ss");
    EXPECT_EQ(parsed("amqp://u:p:w@host").password, "p:w");
}

TEST(Url, DisplayHidesSecretsOnly) {
    EXPECT_EQ(parsed("amqp://guest:guest@h:5672//").display(), "amqp://guest:********@h:5672//");
    EXPECT_EQ(parsed("redis://:s@h/0?password=abc&db=1").display(),
              "redis://:********@h/0?password=********&db=1");
    EXPECT_EQ(parsed("sqlite:///.lovage").display(), "sqlite:///.lovage");
    EXPECT_EQ(parsed("amqp://h/a%20b%1B").display(), "amqp://h/a%20b%1B");
}

TEST(Url, DisplayHidesSecretsOfAnyCharacters) {
    EXPECT_EQ(parsed("amqp://user:it's@h//").display(), "amqp://user:********@h//");
    EXPECT_EQ(parsed("redis://h?password=ab'cd'&db=1").display(),
              "redis://h?password=********&db=1");
    EXPECT_EQ(parsed("redis://h?password=").display(), "redis://h?password=");
    EXPECT_EQ(parsed("http://h?next=amqp://u:p@i").display(), "http://h?next=amqp://u:********@i");
}

TEST(DisplayUrls, ShowsSeveralAndHidesWhatCannotBeRead) {
    EXPECT_EQ(display_urls("amqp://u:it's@h;amqp://v:x y@i//"),
              "amqp://u:********@h;amqp://v:********@i//");
    EXPECT_EQ(display_urls("memory://"), "memory://");
    EXPECT_EQ(display_urls("amqp://u:a;b@h"), "amqp://u:********@h");
    EXPECT_EQ(display_urls("u:s3 cret@host:5672"), "u:********@host:5672");
    EXPECT_EQ(display_urls(""), "");
}

TEST(Url, ProblemsAreNamedWithoutThePassword) {
    EXPECT_THAT(problem_of("localhost:5672"), HasSubstr("no '://'"));
    EXPECT_THAT(problem_of("://host"), HasSubstr("no scheme"));
    EXPECT_THAT(problem_of("a b://host"), HasSubstr("no scheme"));
    EXPECT_THAT(problem_of("amqp://host:70000"), HasSubstr("no port"));
    EXPECT_THAT(problem_of("amqp://host:0"), HasSubstr("no port"));
    EXPECT_THAT(problem_of("amqp://[::1/x"), HasSubstr("no ']'"));
    EXPECT_THAT(problem_of("amqp://h/%zz"), HasSubstr("two hexadecimal digits"));
    EXPECT_THAT(problem_of("amqp://h/%4"), HasSubstr("two hexadecimal digits"));
    EXPECT_THAT(problem_of("amqp://u:s3/cret@host"), AllOf(HasSubstr("%2F"), Not(HasSubstr("s3"))));
    EXPECT_THAT(problem_of("amqp://u:s3cret%@host"), Not(HasSubstr("s3cret")));
    EXPECT_THAT(problem_of("amqp://u:it's@h:99999"), Not(HasSubstr("it's")));
    EXPECT_THAT(problem_of("amqp://u:it's@h:99999"), Not(HasSubstr("s@")));
    EXPECT_THAT(problem_of("amqp://u:my pass@h:99999"), Not(HasSubstr("my")));
    EXPECT_THAT(problem_of("u:s3cret@host"), Not(HasSubstr("s3cret")));
    EXPECT_THAT(problem_of("amqp://u:s3cret" + std::string(5000, 'x') + "@h"),
                Not(HasSubstr("s3cret")));
    EXPECT_THAT(problem_of("amqp://" + std::string(5000, 'x')), HasSubstr("4,096 bytes"));
}

TEST(UrlFolder, FollowsSqlAlchemysSlashes) {
    EXPECT_EQ(url_folder(parsed("sqlite:///.lovage")).value(), ".lovage");
    EXPECT_EQ(url_folder(parsed("sqlite:///a%20b/c")).value(), "a b/c");
    EXPECT_EQ(url_folder(parsed("sqlite:////var/lib/lovage")).value(), "/var/lib/lovage");
}

TEST(UrlFolder, RefusesTwoSlashesAndNoFolder) {
    EXPECT_THAT(url_folder(parsed("sqlite://folder")).error().detail,
                HasSubstr("sqlite:///folder"));
    EXPECT_THAT(url_folder(parsed("sqlite://")).error().detail, HasSubstr("names no folder"));
    EXPECT_THAT(url_folder(parsed("sqlite:///")).error().detail, HasSubstr("names no folder"));
}

}  // namespace
}  // namespace lovage
