#include <lovage/clients/redis/handshake.hpp>
#include <lovage/clients/redis/test_replies.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::redis {
namespace {

using testing::HasSubstr;

/// What Redis 7 answers to HELLO 3, shortened.
Reply hello() {
    return {.kind = Reply::Kind::map,
            .items = {bulk("server"),
                      bulk("redis"),
                      bulk("version"),
                      bulk("7.0.15"),
                      bulk("proto"),
                      {.kind = Reply::Kind::integer, .integer = 3}}};
}
std::string wire(std::initializer_list<std::initializer_list<std::string_view>> commands) {
    Commands all;
    for (const auto& command : commands) all.add(command);
    return all.wire();
}

TEST(Handshake, GreetsInResp3AndEndsWithAPing) {
    Handshake handshake{{}};
    EXPECT_EQ(handshake.commands().wire(), wire({{"HELLO", "3"}}));
    ASSERT_TRUE(handshake.on_replies({hello()}));
    EXPECT_EQ(handshake.commands().wire(), wire({{"PING"}}));
    ASSERT_TRUE(handshake.on_replies({ok()}));
    EXPECT_TRUE(handshake.done());
    EXPECT_EQ(handshake.protocol(), 3);
    EXPECT_EQ(handshake.server_version(), "7.0.15");
}

TEST(Handshake, LogsInNamesItselfAndSelectsTheDatabase) {
    Handshake handshake{{.password = "secret", .database = 7, .client_name = "worker@host"}};
    EXPECT_EQ(handshake.commands().wire(), wire({{"HELLO", "3", "AUTH", "default", "secret"}}));
    ASSERT_TRUE(handshake.on_replies({hello()}));
    EXPECT_EQ(handshake.commands().wire(),
              wire({{"CLIENT", "SETNAME", "worker@host"}, {"SELECT", "7"}, {"PING"}}));
    ASSERT_TRUE(handshake.on_replies({error("NOPERM no CLIENT for you"), ok(), ok()}));
    EXPECT_TRUE(handshake.done()) << "a name is not worth a connection";
}

TEST(Handshake, FallsBackToResp2) {
    for (const char* answer : {"ERR unknown command `HELLO`, with args beginning with: `3`, ",
                               "NOPROTO unsupported protocol version",
                               "ERR Protocol version is not an integer or out of range"}) {
        Handshake handshake{{.user = "me", .password = "secret", .database = 1}};
        ASSERT_TRUE(handshake.on_replies({error(answer)}));
        EXPECT_EQ(handshake.commands().wire(),
                  wire({{"AUTH", "me", "secret"}, {"SELECT", "1"}, {"PING"}}));
        ASSERT_TRUE(handshake.on_replies({ok(), ok(), ok()}));
        EXPECT_TRUE(handshake.done());
        EXPECT_EQ(handshake.protocol(), 2);
    }
    Handshake only_password{{.password = "secret"}};
    ASSERT_TRUE(only_password.on_replies({error("ERR unknown command 'HELLO'")}));
    EXPECT_EQ(only_password.commands().wire(), wire({{"AUTH", "secret"}, {"PING"}}))
        << "servers before Redis 6 know no users";
}

TEST(Handshake, ExplainsRefusals) {
    Handshake wrong{{.user = "me", .password = "canary"}};
    auto outcome =
        wrong.on_replies({error("WRONGPASS invalid username-password pair or user is disabled.")});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::rejected);
    EXPECT_THAT(outcome.error().detail, HasSubstr("'me'"));
    EXPECT_THAT(outcome.error().detail, testing::Not(HasSubstr("canary")));

    Handshake missing{{}};
    outcome =
        missing.on_replies({error("NOAUTH HELLO must be called with the client already "
                                  "authenticated, otherwise the HELLO <proto> AUTH <user> "
                                  "<pass> option can be used to authenticate the client")});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::rejected);
    EXPECT_THAT(outcome.error().detail, HasSubstr("asks for a password"));

    Handshake loading{{}};
    ASSERT_TRUE(loading.on_replies({hello()}));
    outcome = loading.on_replies({error("LOADING Redis is loading the dataset in memory")});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::unavailable);

    Handshake beyond{{.database = 99}};
    ASSERT_TRUE(beyond.on_replies({hello()}));
    outcome = beyond.on_replies({error("ERR DB index is out of range"), ok()});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::invalid_argument);
    EXPECT_THAT(outcome.error().detail, HasSubstr("99"));

    Handshake stranger{{}};
    EXPECT_EQ(stranger.on_replies({ok()}).error().code, Errc::malformed);
}

}  // namespace
}  // namespace lovage::redis
