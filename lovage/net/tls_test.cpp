#include <lovage/net/listener.hpp>
#include <lovage/net/test_certificates.hpp>
#include <lovage/net/test_streams.hpp>
#include <lovage/net/tls.hpp>
#include <lovage/runtime/loop.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace lovage::net {
namespace {

using namespace boost::asio::experimental::awaitable_operators;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::AllOf;
using testing::HasSubstr;

using StreamResult = Result<std::unique_ptr<Stream>>;

struct Pair {
    StreamResult client;
    StreamResult server;
};

Awaitable<StreamResult> accept(Listener* listener, TlsServerOptions options) {
    auto plain = co_await listener->accept();
    if (!plain) co_return std::unexpected{plain.error()};
    co_return co_await accept_tls(std::move(*plain), std::move(options), Deadline::in(10s));
}

Awaitable<Pair> connect_both(Listener* listener, std::string host, TlsOptions client,
                             TlsServerOptions server) {
    auto [accepted, connected] = co_await (
        accept(listener, std::move(server)) &&
        connect_tls(std::move(host), listener->port(), std::move(client), Deadline::in(10s)));
    co_return Pair{std::move(connected), std::move(accepted)};
}

Awaitable<Result<std::string>> duplex(Stream* stream, std::vector<std::string_view> buffers) {
    co_return co_await (read_to_end(stream) && write_then_end(stream, std::move(buffers)));
}

class Tls : public testing::Test {
protected:
    Tls() { loop_.start(); }

    Pair connect(TlsOptions client, TlsServerOptions server, std::string host = "localhost") {
        return loop_.run_blocking(
            connect_both(&listener_, std::move(host), std::move(client), std::move(server)));
    }
    static const TestCertificates& certificates() {
        static const TestCertificates certificates;
        return certificates;
    }
    static TlsOptions trusting() { return {.ca_file = certificates().file("ca.pem")}; }
    static TlsServerOptions serving() {
        return {.certificate_file = certificates().file("server.pem"),
                .key_file = certificates().file("server.key")};
    }

    Loop loop_{"tls-test"};
    Listener listener_ = value_or_throw(Listener::tcp(loop_.executor(), "127.0.0.1", 0));
};

TEST_F(Tls, CarriesMegabytesBothWaysAtOnceAndEndsInOrder) {
    auto pair = connect(trusting(), serving());
    ASSERT_TRUE(pair.client) << pair.client.error().message();
    ASSERT_TRUE(pair.server) << pair.server.error().message();
    const std::string up(3'000'000, 'u');
    const std::string down(5'000'000, 'd');
    const auto exchange = [](Pair* on, std::string_view to_server, std::string_view to_client,
                             std::string* got_up, std::string* got_down) -> Awaitable<void> {
        auto [at_server, at_client] = co_await (duplex(on->server->get(), {to_client}) &&
                                                duplex(on->client->get(), {"head", "", to_server}));
        *got_up = value_or_throw(std::move(at_server));
        *got_down = value_or_throw(std::move(at_client));
    };
    std::string got_up;
    std::string got_down;
    loop_.run_blocking(exchange(&pair, up, down, &got_up, &got_down));
    EXPECT_EQ(got_up, "head" + up);
    EXPECT_EQ(got_down, down);
}

TEST_F(Tls, ACertificateOfAnUnknownAuthorityIsRefusedWithTheReason) {
    const auto pair = connect({.ca_file = certificates().file("other-ca.pem")}, serving());
    ASSERT_FALSE(pair.client);
    EXPECT_EQ(pair.client.error().code, Errc::rejected);
    EXPECT_THAT(pair.client.error().detail,
                AllOf(HasSubstr("127.0.0.1:"), HasSubstr("the certificate is not accepted: "),
                      HasSubstr("unable to get local issuer certificate")));
    ASSERT_FALSE(pair.server);
    EXPECT_EQ(pair.server.error().code, Errc::rejected) << "the server hears the client's alert";
}

TEST_F(Tls, ACertificateForAnotherHostIsRefusedUnlessHostsAreNotVerified) {
    auto options = trusting();
    options.server_name = "elsewhere.example";
    const auto strict = connect(options, serving());
    ASSERT_FALSE(strict.client);
    EXPECT_EQ(strict.client.error().code, Errc::rejected);
    EXPECT_THAT(strict.client.error().detail, HasSubstr("hostname mismatch"));

    options.verify_host = false;
    EXPECT_TRUE(connect(options, serving()).client);
}

TEST_F(Tls, AnAddressIsVerifiedAsAnAddress) {
    EXPECT_TRUE(connect(trusting(), serving(), "127.0.0.1").client);
}

TEST_F(Tls, WithoutVerificationAnyCertificateWillDo) {
    EXPECT_TRUE(connect({.verify = TlsVerify::none}, serving()).client);
}

TEST_F(Tls, AServerMayAskForTheClientsCertificate) {
    auto strict = serving();
    strict.client_ca_file = certificates().file("ca.pem");
    auto known = trusting();
    known.certificate_file = certificates().file("client.pem");
    known.key_file = certificates().file("client.key");
    EXPECT_TRUE(connect(known, strict).server);

    auto pair = connect(trusting(), strict);
    ASSERT_FALSE(pair.server);
    EXPECT_EQ(pair.server.error().code, Errc::rejected);
    // With TLS 1.3 the client is done before the server has judged; it learns from its first read.
    ASSERT_TRUE(pair.client);
    const auto answer = loop_.run_blocking(read_to_end(pair.client->get()));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::rejected);
    EXPECT_THAT(answer.error().detail, HasSubstr("certificate required"));
}

TEST_F(Tls, FilesThatCannotBeUsedAreNamedBeforeConnecting) {
    const auto check = [this](TlsOptions options) {
        return loop_.run_blocking(
            connect_tls("localhost", 1, std::move(options), Deadline::in(10s)));
    };
    const auto no_ca = check({.ca_file = "/nowhere/ca.pem"});
    ASSERT_FALSE(no_ca);
    EXPECT_EQ(no_ca.error().code, Errc::invalid_argument);
    EXPECT_THAT(no_ca.error().detail, HasSubstr("/nowhere/ca.pem"));

    auto wrong_key = trusting();
    wrong_key.certificate_file = certificates().file("client.pem");
    wrong_key.key_file = certificates().file("server.key");
    const auto mismatch = check(wrong_key);
    ASSERT_FALSE(mismatch);
    EXPECT_EQ(mismatch.error().code, Errc::invalid_argument);
    EXPECT_THAT(mismatch.error().detail, HasSubstr("key values mismatch"));
}

/// The listener's side of a conversation that does not speak TLS.
Awaitable<void> answer_in_plain_text(Listener* listener, std::string text) {
    auto stream = value_or_throw(co_await listener->accept());
    std::array<char, 4096> buffer{};
    value_or_throw(co_await stream->read_some(buffer));
    const std::array<std::string_view, 1> buffers{text};
    value_or_throw(co_await stream->write(buffers));
}

TEST_F(Tls, AServerThatSpeaksNoTlsIsRecognised) {
    const auto talk = [](Listener* on, TlsOptions options, StreamResult* out) -> Awaitable<void> {
        *out =
            co_await (answer_in_plain_text(on, "-ERR unknown command\r\n") &&
                      connect_tls("localhost", on->port(), std::move(options), Deadline::in(10s)));
    };
    StreamResult client = fail(Errc::internal, "not tried");
    loop_.run_blocking(talk(&listener_, trusting(), &client));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, Errc::malformed);
    EXPECT_THAT(client.error().detail, HasSubstr("does not speak TLS"));
}

TEST_F(Tls, ASilentServerCostsTheDeadlineAndNoMore) {
    const auto client = loop_.run_blocking(
        connect_tls("localhost", listener_.port(), trusting(), Deadline::in(50ms)));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, Errc::deadline_exceeded);
}

TEST_F(Tls, AnEndThatWasNotAnnouncedIsAnError) {
    // Cut below TLS, as an attacker could: the server's TCP side ends without close_notify.
    const auto talk = [](Listener* on, TlsOptions client, TlsServerOptions server,
                         Result<std::string>* out) -> Awaitable<void> {
        auto pair = co_await connect_both(on, "localhost", std::move(client), std::move(server));
        auto stream = value_or_throw(std::move(pair.client));
        auto other = value_or_throw(std::move(pair.server));
        other.reset();
        *out = co_await read_to_end(stream.get());
    };
    Result<std::string> read = fail(Errc::internal, "not tried");
    loop_.run_blocking(talk(&listener_, trusting(), serving(), &read));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Errc::disconnected);
    EXPECT_THAT(read.error().detail, HasSubstr("hung up"));
}

TEST_F(Tls, CancelEndsTheReadAndLeavesTheStreamOpen) {
    const auto talk = [](Pair* on, Errc* seen, std::string* text) -> Awaitable<void> {
        const auto cancel = [](Stream* stream) -> Awaitable<void> {
            stream->cancel();
            co_return;
        };
        std::array<char, 16> buffer{};
        auto outcome = co_await ((*on->server)->read_some(buffer) && cancel(on->server->get()));
        *seen = outcome ? Errc{} : outcome.error().code;
        co_await write_then_end(on->client->get(), std::vector<std::string_view>{"still here"});
        *text = value_or_throw(co_await read_to_end(on->server->get()));
    };
    auto pair = connect(trusting(), serving());
    ASSERT_TRUE(pair.client && pair.server);
    Errc code{};
    std::string text;
    loop_.run_blocking(talk(&pair, &code, &text));
    EXPECT_EQ(code, Errc::cancelled);
    EXPECT_EQ(text, "still here");
}

}  // namespace
}  // namespace lovage::net
