#include <lovage/clients/redis/client.hpp>
#include <lovage/clients/redis/subscriber.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <lovage/net/listener.hpp>
#include <lovage/net/test_certificates.hpp>
#include <lovage/runtime/loop.hpp>
#include <tests/support/soon.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include <future>
#include <string>
#include <vector>

namespace lovage::redis {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// A client on a loop and thread of its own, used by blocking calls.
class BlockingClient {
public:
    explicit BlockingClient(Options options, Client::Hooks hooks = {}) {
        loop_.start();
        loop_.run_blocking(make(this, std::move(options), std::move(hooks)));
    }
    ~BlockingClient() { loop_.run_blocking(close(this)); }
    BlockingClient(const BlockingClient&) = delete;
    BlockingClient& operator=(const BlockingClient&) = delete;

    Result<void> connected(Deadline deadline = soon()) {
        return loop_.run_blocking(client_->connected(deadline));
    }
    Result<Reply> run(Commands command, Client::RunOptions options = {},
                      Deadline deadline = soon()) {
        return loop_.run_blocking(client_->run_one(std::move(command), options, deadline));
    }
    std::future<Result<Reply>> start(Commands command, Client::RunOptions options = {},
                                     Deadline deadline = soon()) {
        auto promise = std::make_shared<std::promise<Result<Reply>>>();
        boost::asio::co_spawn(loop_.executor(),
                              client_->run_one(std::move(command), options, deadline),
                              [promise](const std::exception_ptr&, Result<Reply> reply) {
                                  promise->set_value(std::move(reply));
                              });
        return promise->get_future();
    }
    std::string text(Commands command) {
        const auto reply = run(std::move(command));
        return reply ? reply->text : reply.error().message();
    }
    Loop& loop() { return loop_; }
    Client& client() { return *client_; }

private:
    static Awaitable<void> make(BlockingClient* self, Options options, Client::Hooks hooks) {
        self->client_ =
            std::make_unique<Client>(self->loop_.executor(), std::move(options), std::move(hooks));
        self->client_->start();
        co_return;
    }
    static Awaitable<void> close(BlockingClient* self) {
        co_await self->client_->close(Deadline::in(0s));
        self->client_.reset();
    }
    Loop loop_{"redis-test"};
    std::unique_ptr<Client> client_;
};

TEST(RedisClient, SendsAndReadsAnyBytes) {
    const TestServer server;
    BlockingClient client{server.options()};
    const std::string binary{"\0\r\n$5\r\n\xff", 9};
    EXPECT_EQ(client.text({"SET", binary, binary}), "OK");
    EXPECT_EQ(client.text({"GET", binary}), binary);
    const std::string large(20'000'000, 'x');
    EXPECT_EQ(client.text({"SET", "large", large}), "OK");
    EXPECT_TRUE(client.text({"GET", "large"}) == large);
    EXPECT_TRUE(client.run({"GET", "nothing"})->is_null());
    const auto refused = client.run({"INCR", "large"});
    ASSERT_TRUE(refused) << "an error of the command is its reply";
    EXPECT_EQ(refused->error_code(), "ERR");
}

TEST(RedisClient, AnswersAThousandCallersInOrder) {
    const TestServer server;
    BlockingClient client{server.options()};
    ASSERT_TRUE(client.connected());
    std::vector<std::future<Result<Reply>>> replies;
    for (int index = 0; index < 1'000; ++index) {
        replies.push_back(client.start({"ECHO", std::to_string(index)}));
    }
    for (int index = 0; index < 1'000; ++index) {
        EXPECT_EQ(replies[static_cast<std::size_t>(index)].get()->text, std::to_string(index));
    }
}

TEST(RedisClient, LoadsAScriptTheServerDoesNotKnow) {
    TestServer server;
    BlockingClient client{server.options()};
    const Script script{"return redis.call('INCRBY', KEYS[1], ARGV[1])"};
    const auto count = [&](int calls) {
        Commands commands;
        for (int call = 0; call < calls; ++call) commands.add_script(script, {"n"}, {"1"});
        auto replies =
            client.loop().run_blocking(client.client().run(std::move(commands), {}, soon()));
        std::vector<std::int64_t> values;
        for (const Reply& reply : value_or_throw(std::move(replies))) {
            values.push_back(reply.integer);
        }
        return values;
    };
    EXPECT_THAT(count(3), ElementsAre(1, 2, 3));
    EXPECT_EQ(server.cli("script flush"), "OK");
    EXPECT_THAT(count(2), ElementsAre(4, 5));
    server.kill();
    server.start();
    EXPECT_THAT(count(1), ElementsAre(1));
}

TEST(RedisClient, LogsInSelectsAndNamesItself) {
    const TestServer server{{"--requirepass", "secret"}};
    EXPECT_EQ(server.cli("-a secret --no-auth-warning acl setuser worker on '>pw' '~*' '+@all'"),
              "OK");
    auto options = server.options();
    options.user = "worker";
    options.password = "pw";
    options.database = 3;
    options.client_name = "lovage-test";
    BlockingClient worker{options};
    EXPECT_EQ(worker.text({"ACL", "WHOAMI"}), "worker");
    EXPECT_EQ(worker.text({"CLIENT", "GETNAME"}), "lovage-test");
    EXPECT_THAT(worker.text({"CLIENT", "INFO"}), HasSubstr(" db=3 "));

    options.user.clear();
    options.password = "wrong";
    BlockingClient wrong{options};
    // It asks again until its deadline: there may be a password by then.
    const auto refused = wrong.connected(Deadline::in(2s));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::rejected);
    EXPECT_THAT(refused.error().detail, HasSubstr("password"));

    options.password.reset();
    BlockingClient nobody{options};
    EXPECT_EQ(nobody.connected(Deadline::in(2s)).error().code, Errc::rejected);

    options.password = "secret";
    options.database = 99;
    BlockingClient beyond{options};
    EXPECT_EQ(beyond.connected().error().code, Errc::invalid_argument)
        << "no retry can mend it, so it ends before its deadline";
}

TEST(RedisClient, SpeaksResp2WithServersThatKnowNoOther) {
    const TestServer server{{"--rename-command", "HELLO", "", "--requirepass", "secret"}};
    auto options = server.options();
    options.password = "secret";
    BlockingClient client{options};
    EXPECT_EQ(client.text({"PING"}), "PONG");
    EXPECT_THAT(client.text({"CLIENT", "INFO"}), HasSubstr("resp=2"));
}

TEST(RedisClient, SpeaksTlsWithACertificateOfItsOwn) {
    // A port that was free a moment ago: redis-server cannot choose one itself.
    std::uint16_t port = 0;
    {
        Loop loop{"port"};
        port = value_or_throw(net::Listener::tcp(loop.executor(), "127.0.0.1", 0)).port();
    }
    const net::TestCertificates certificates;
    const TestServer server{{"--tls-port", std::to_string(port), "--tls-cert-file",
                             certificates.file("server.pem"), "--tls-key-file",
                             certificates.file("server.key"), "--tls-ca-cert-file",
                             certificates.file("ca.pem")}};
    const std::string url = "rediss://localhost:" + std::to_string(port) +
                            "/1?ssl_cert_reqs=required&ssl_ca_certs=" + certificates.file("ca.pem");
    const std::string identity = "&ssl_certfile=" + certificates.file("client.pem") +
                                 "&ssl_keyfile=" + certificates.file("client.key");
    const auto options = [](const std::string& text) {
        return value_or_throw(options_from_url(value_or_throw(parse_url(text))));
    };
    BlockingClient client{options(url + identity)};
    const std::string large(5'000'000, 'x');
    EXPECT_EQ(client.text({"SET", "large", large}), "OK");
    EXPECT_TRUE(client.text({"GET", "large"}) == large);

    BlockingClient without_identity{options(url)};
    const auto refused = without_identity.connected(Deadline::in(2s));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::rejected);
    EXPECT_THAT(refused.error().detail, HasSubstr("certificate required"));
}

TEST(RedisClient, WaitsForAServerThatIsDownAndGoesOnWhenItIsBack) {
    TestServer server;
    server.kill();
    BlockingClient client{server.options()};
    const auto down = client.connected(Deadline::in(20ms));
    ASSERT_FALSE(down);
    EXPECT_EQ(down.error().code, Errc::disconnected);
    const auto refused = client.run({"PING"}, {}, Deadline::in(20ms));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::disconnected) << "nothing was sent";

    auto waiting = client.start({"SET", "key", "value"});
    server.start();
    EXPECT_EQ(waiting.get()->text, "OK");
    server.kill();
    server.start();
    EXPECT_TRUE(client.run({"GET", "key"})->is_null());
}

TEST(RedisClient, ABlockingCommandMayOutlastTheLimitOfSilence) {
    const TestServer server;
    auto options = server.options();
    options.liveness = {.ping_after = 20ms, .dead_after = 60ms};
    BlockingClient client{options};
    auto popped = client.start({"BLPOP", "list", "5"}, {.blocks_for = 5s});
    BlockingClient other{server.options()};
    EXPECT_EQ(other.text({"BLPOP", "nothing", "0.2"}), "");
    EXPECT_EQ(other.run({"RPUSH", "list", "item"})->integer, 1);
    const auto reply = popped.get();
    ASSERT_TRUE(reply) << reply.error().message();
    ASSERT_EQ(reply->items.size(), 2U);
    EXPECT_EQ(reply->items[1].text, "item");
}

TEST(RedisClient, ClosingAnswersWhatIsUnderWay) {
    const TestServer server;
    BlockingClient client{server.options()};
    ASSERT_TRUE(client.connected());
    auto blocked = client.start({"BLPOP", "list", "0"}, {.blocks_for = 1h});
    EXPECT_EQ(client.loop().run_blocking([](Client* on) -> Awaitable<std::size_t> {
        co_return on->calls();
    }(&client.client())),
              1U);
    client.loop().run_blocking(client.client().close(Deadline::in(20ms)));
    const auto reply = blocked.get();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Errc::unknown_outcome);
    EXPECT_EQ(client.run({"PING"}).error().code, Errc::closed);
}

/// A server that greets as Redis does and then follows a script.
class FakeServer {
public:
    explicit FakeServer(Loop& loop)
        : listener_{value_or_throw(net::Listener::tcp(loop.executor(), "127.0.0.1", 0))} {}

    [[nodiscard]] Options options() const {
        Options options;
        options.host = "127.0.0.1";
        options.port = listener_.port();
        return options;
    }
    /// Accepts and greets.
    Awaitable<std::unique_ptr<net::Stream>> greet() {
        auto stream = value_or_throw(co_await listener_.accept());
        (void)co_await read(stream.get());
        co_await write(stream.get(), "%1\r\n+server\r\n+redis\r\n");
        (void)co_await read(stream.get());
        co_await write(stream.get(), "+PONG\r\n");
        co_return stream;
    }
    /// The same as a server that speaks RESP2 only.
    Awaitable<std::unique_ptr<net::Stream>> greet_in_resp2() {
        auto stream = value_or_throw(co_await listener_.accept());
        (void)co_await read(stream.get());
        co_await write(stream.get(), "-ERR unknown command 'HELLO'\r\n");
        (void)co_await read(stream.get());
        co_await write(stream.get(), "+PONG\r\n");
        co_return stream;
    }
    static Awaitable<std::string> read(net::Stream* stream) {
        std::string buffer(65'536, '\0');
        const auto bytes = co_await stream->read_some(buffer);
        co_return bytes ? buffer.substr(0, *bytes) : std::string{};
    }
    static Awaitable<void> write(net::Stream* stream, std::string text) {
        const std::array<std::string_view, 1> buffers{text};
        (void)co_await stream->write(buffers);
    }

private:
    net::Listener listener_;
};

Commands echo(std::string_view text) {
    return {"ECHO", text};
}

/// Text of a reply, or what went wrong.
std::string shown(const Result<Reply>& reply) {
    return reply ? reply->text : std::string{to_string(reply.error().code)};
}

/// Runs the server's part of a conversation and the client's side by side. Both get the client and
/// the fake server; the client is started before and closed afterwards.
class RedisClientAndFake : public testing::Test {
protected:
    using Part = Awaitable<void> (*)(FakeServer*, Client*);

    RedisClientAndFake() { loop_.start(); }
    void talk(Part server_part, Part client_part, Options options) {
        loop_.run_blocking(run(&loop_, &server_, server_part, client_part, std::move(options)));
    }
    void talk(Part server_part, Part client_part) {
        talk(server_part, client_part, server_.options());
    }

    Loop loop_{"fake-redis"};
    FakeServer server_{loop_};

private:
    static Awaitable<void> run(Loop* loop, FakeServer* server, Part server_part, Part client_part,
                               Options options) {
        using namespace boost::asio::experimental::awaitable_operators;
        Client client{loop->executor(), std::move(options)};
        client.start();
        co_await (server_part(server, &client) && client_part(server, &client));
        co_await client.close(Deadline::in(0s));
    }
};

TEST_F(RedisClientAndFake, WhatIsAskedForInOneTurnGoesOutInOneWrite) {
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet();
            EXPECT_EQ(co_await FakeServer::read(stream.get()), echo("a").wire() + echo("b").wire());
            co_await FakeServer::write(stream.get(), "$1\r\na\r\n$1");
            co_await FakeServer::write(stream.get(), "\r\nb\r\n");
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            using namespace boost::asio::experimental::awaitable_operators;
            value_or_throw(co_await client->connected(soon()));
            auto [a, b] = co_await (client->run_one(echo("a"), {}, soon()) &&
                                    client->run_one(echo("b"), {}, soon()));
            EXPECT_EQ(shown(a), "a");
            EXPECT_EQ(shown(b), "b");
        });
}

TEST_F(RedisClientAndFake, AnAnswerLostWithTheConnectionLeavesTheOutcomeUnknown) {
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet();
            (void)co_await FakeServer::read(stream.get());
            stream.reset();
            stream = co_await server->greet();
            EXPECT_EQ(co_await FakeServer::read(stream.get()), echo("safe").wire())
                << "only what may be repeated is";
            co_await FakeServer::write(stream.get(), "+safe\r\n");
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            using namespace boost::asio::experimental::awaitable_operators;
            value_or_throw(co_await client->connected(soon()));
            auto [unsafe, safe] =
                co_await (client->run_one(echo("unsafe"), {}, soon()) &&
                          client->run_one(echo("safe"), {.resend = Resend::when_unsure}, soon()));
            EXPECT_EQ(shown(unsafe), "unknown_outcome");
            EXPECT_EQ(shown(safe), "safe");
        });
}

TEST_F(RedisClientAndFake, CloseDoesNotWaitForAnswersThatWereLost) {
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet();
            (void)co_await FakeServer::read(stream.get());
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            using namespace boost::asio::experimental::awaitable_operators;
            value_or_throw(co_await client->connected(soon()));
            const Deadline hours = Deadline::in(2h);
            const Deadline closing = soon();
            const Commands pop{"BLPOP", "list", "0"};
            const auto popped = co_await (client->run_one(pop, {.blocks_for = 1h}, hours) &&
                                          client->close(closing));
            EXPECT_EQ(shown(popped), "unknown_outcome");
            EXPECT_FALSE(closing.passed());
            EXPECT_EQ(client->calls(), 0U);
        });
}

TEST_F(RedisClientAndFake, WithoutSubscriptionsAnyArrayIsAnAnswer) {
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet_in_resp2();
            (void)co_await FakeServer::read(stream.get());
            co_await FakeServer::write(
                stream.get(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n$4\r\nnext\r\n");
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            using namespace boost::asio::experimental::awaitable_operators;
            const Commands range{"LRANGE", "list", "0", "-1"};
            auto [list, next] = co_await (client->run_one(range, {}, soon()) &&
                                          client->run_one(echo("next"), {}, soon()));
            EXPECT_EQ(list ? list->items.size() : 0U, 3U);
            EXPECT_EQ(shown(next), "next");
        });
}

TEST_F(RedisClientAndFake, SilenceEndsTheConnection) {
    auto options = server_.options();
    options.liveness = {.ping_after = 100ms, .dead_after = 2s};
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet();
            std::string received;
            for (std::string piece = "-"; !piece.empty(); received += piece) {
                piece = co_await FakeServer::read(stream.get());
            }
            EXPECT_EQ(received, echo("hello").wire() + Commands{"PING"}.wire());
            stream = co_await server->greet();
            (void)co_await FakeServer::read(stream.get());
            co_await FakeServer::write(stream.get(), "+hello\r\n");
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            EXPECT_EQ(shown(co_await client->run_one(echo("hello"), {.resend = Resend::when_unsure},
                                                     soon())),
                      "hello");
        },
        options);
}

TEST_F(RedisClientAndFake, AnAnswerThatComesTooLateReachesNobody) {
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet();
            (void)co_await FakeServer::read(stream.get());
            (void)co_await FakeServer::read(stream.get());
            co_await FakeServer::write(stream.get(), "+late\r\n+second\r\n");
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            value_or_throw(co_await client->connected(soon()));
            EXPECT_EQ(shown(co_await client->run_one(echo("first"), {}, Deadline::in(20ms))),
                      "unknown_outcome");
            EXPECT_EQ(shown(co_await client->run_one(echo("second"), {}, soon())), "second");
            EXPECT_EQ(client->calls(), 0U);
            EXPECT_EQ(client->bytes(), 0U);
        });
}

TEST_F(RedisClientAndFake, AFullQueueRefusesAtOnce) {
    auto options = server_.options();
    options.queue.calls = 1;
    talk(
        [](FakeServer* server, Client*) -> Awaitable<void> {
            auto stream = co_await server->greet();
            (void)co_await FakeServer::read(stream.get());
            co_await FakeServer::write(stream.get(), "+first\r\n");
            (void)co_await FakeServer::read(stream.get());
        },
        [](FakeServer*, Client* client) -> Awaitable<void> {
            using namespace boost::asio::experimental::awaitable_operators;
            auto [first, second] = co_await (client->run_one(echo("first"), {}, soon()) &&
                                             client->run_one(echo("second"), {}, soon()));
            EXPECT_EQ(shown(first), "first");
            EXPECT_EQ(shown(second), "unavailable");
            co_await client->close(soon());
        },
        options);
}

TEST_F(RedisClientAndFake, WhatNobodyAskedForEndsTheConnection) {
    talk(
        [](FakeServer* server, Client* client) -> Awaitable<void> {
            using namespace boost::asio::experimental::awaitable_operators;
            auto stream = co_await server->greet();
            co_await FakeServer::write(stream.get(), "+surprise\r\n");
            EXPECT_EQ(co_await FakeServer::read(stream.get()), "");
            const auto answer = [](FakeServer* on) -> Awaitable<void> {
                auto next = co_await on->greet();
                (void)co_await FakeServer::read(next.get());
                co_await FakeServer::write(next.get(), "+hello\r\n");
            };
            const auto reply =
                co_await (client->run_one(echo("hello"), {}, soon()) && answer(server));
            EXPECT_EQ(shown(reply), "hello");
        },
        [](FakeServer*, Client*) -> Awaitable<void> { co_return; });
}

}  // namespace
}  // namespace lovage::redis
