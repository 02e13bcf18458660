// The server over real sockets on loopback.
#include <lovage/http/server.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <lovage/net/stream.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/notifier.hpp>

namespace lovage::http {
namespace {

namespace asio = boost::asio;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::HasSubstr;
using testing::StartsWith;

/// A blocking client on the test's own thread, by way of a loop of its own.
class Wire {
public:
    explicit Wire(std::uint16_t port)
        : Wire{net::connect_tcp("127.0.0.1", port, Deadline::in(10s))} {}
    explicit Wire(std::string unix_path) : Wire{net::connect_unix(std::move(unix_path))} {}
    ~Wire() {
        loop_.post(
            [stream = std::shared_ptr<net::Stream>{std::move(stream_)}] { stream->close(); });
    }

    void send(std::string text) { loop_.run_blocking(write(stream_.get(), std::move(text))); }
    /// Everything up to the end of the connection.
    std::string rest() {
        while (read_some()) {
        }
        return std::exchange(received_, {});
    }
    /// Everything up to and with `end`.
    std::string until(std::string_view end) {
        while (!received_.contains(end) && read_some()) {
        }
        const auto place = received_.find(end);
        const auto length = place == std::string::npos ? received_.size() : place + end.size();
        auto text = received_.substr(0, length);
        received_.erase(0, length);
        return text;
    }

private:
    explicit Wire(Awaitable<Result<std::unique_ptr<net::Stream>>> connecting) {
        loop_.start();
        stream_ = value_or_throw(loop_.run_blocking(std::move(connecting)));
    }
    static Awaitable<void> write(net::Stream* stream, std::string text) {
        const std::array<std::string_view, 1> parts{text};
        value_or_throw(co_await stream->write(parts));
    }
    bool read_some() {
        std::array<char, 65536> buffer{};
        const auto bytes = loop_.run_blocking(stream_->read_some(buffer));
        if (!bytes || *bytes == 0) return false;
        received_.append(buffer.data(), *bytes);
        return true;
    }

    Loop loop_{"client"};
    std::unique_ptr<net::Stream> stream_;
    std::string received_;
};

std::string get(std::string_view path, std::string_view fields = {}) {
    return "GET " + std::string{path} + " HTTP/1.1\r\nHost: a\r\n" + std::string{fields} + "\r\n";
}

class ServerTest : public testing::Test {
protected:
    ~ServerTest() override { stop(); }

    void start(ServerOptions options = {}, const std::string& unix_path = {}) {
        log::configure({.level = log::Level::warning});
        loop_.start();
        server_ = std::make_unique<Server>(loop_.executor(), api_, options);
        value_or_throw(server_->listen("127.0.0.1", 0));
        if (!unix_path.empty()) value_or_throw(server_->listen_unix(unix_path));
        ended_ = asio::co_spawn(loop_.executor(), server_->run(), asio::use_future);
    }
    /// Stops the server; false when it had to cut connections off.
    bool stop(std::chrono::milliseconds time = 10s) {
        if (!server_) return true;
        server_->request_stop();
        const bool graceful = loop_.run_blocking(server_->join(Deadline::in(time)));
        ended_.get();
        server_.reset();
        return graceful;
    }
    Wire connect() { return Wire{server_->port()}; }

    metrics::Registry registry_;
    Api api_{{.title = "Test"}, registry_};
    Loop loop_{"server"};
    std::unique_ptr<Server> server_;
    std::future<void> ended_;
};

TEST_F(ServerTest, AnswersPipelinedRequestsInOrderOnOneConnection) {
    api_.get("/n/{n}", [](int n) { return n; }, path<int>("n"));
    api_.get("/loop/{n}", [](int n) { return n; }, path<int>("n")).on_loop();
    start();
    auto wire = connect();
    wire.send(get("/n/1") + get("/loop/2") + get("/n/3") + "HEAD /n/4 HTTP/1.1\r\nHost: a\r\n\r\n" +
              get("/loop/5", "Connection: close\r\n"));
    const auto text = wire.rest();
    std::string order;
    for (std::size_t at = 0; (at = text.find("\r\n\r\n", at)) != std::string::npos; at += 4)
        order += text[at + 4];
    EXPECT_EQ(order, "123H5") << "HEAD has no body: the next reply follows at once";
    EXPECT_THAT(text, HasSubstr("connection: close"));
}

TEST_F(ServerTest, AReplyThatMayHaveNoBodyHasNone) {
    api_.delete_("/x", [] {}).status(204);
    api_.get("/n/{n}", [](int n) { return n; }, path<int>("n"));
    start();
    auto wire = connect();
    wire.send("DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n" + get("/n/7", "Connection: close\r\n"));
    EXPECT_THAT(wire.until("\r\n\r\n"), StartsWith("HTTP/1.1 204 "));
    EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 200 ")) << "a body would stand before it";
}

TEST_F(ServerTest, ServesOnAUnixSocket) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("lovage-http-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    const std::string socket = folder / "api.sock";
    api_.get("/n/{n}", [](int n) { return n; }, path<int>("n"));
    start(ServerOptions{}, socket);
    EXPECT_THAT(server_->urls(), testing::Contains("unix:" + socket));
    {
        Wire wire{socket};
        wire.send(get("/n/7", "Connection: close\r\n"));
        EXPECT_THAT(wire.rest(), testing::EndsWith("\r\n\r\n7"));
    }
    EXPECT_TRUE(stop());
    std::filesystem::remove_all(folder);
}

TEST_F(ServerTest, BodiesOfEverySizeComeBackWhole) {
    api_.post("/echo",
              [](RequestRef request) { return Response::text(std::string{request->body()}); })
        .body_limit(std::size_t{64} << 20U);
    start();
    auto wire = connect();
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{16384}, std::size_t{16385}, std::size_t{5} << 20U}) {
        const std::string body(size, 'x');
        wire.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) +
                  "\r\n\r\n" + body);
        EXPECT_THAT(wire.until("\r\n\r\n"), HasSubstr("content-length: " + std::to_string(size)));
        EXPECT_EQ(wire.until(body).size(), size);
    }
}

TEST_F(ServerTest, SaysContinueAndThenReadsTheBody) {
    api_.post("/", [](RequestRef request) { return std::string{request->body()}; });
    start();
    auto wire = connect();
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(wire.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send("hi");
    EXPECT_THAT(wire.until("\"hi\""), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, RefusesTooLargeABodyBeforeItIsSent) {
    api_.post("/", [] {}).body_limit(3);
    start();
    auto wire = connect();
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    EXPECT_THAT(wire.rest(),
                testing::AllOf(StartsWith("HTTP/1.1 413 "), HasSubstr("connection: close")));
}

TEST_F(ServerTest, ARequestThatDoesNotArriveWholeLeavesNothingInProgress) {
    api_.post("/", [] {});
    start();
    {
        auto wire = connect();
        wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
        auto other = connect();
        other.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
        EXPECT_THAT(other.rest(), StartsWith("HTTP/1.1 400 "));
    }
    EXPECT_TRUE(stop());
    const auto text = registry_.scrape();
    EXPECT_THAT(text,
                HasSubstr(R"(starlette_requests_in_progress{method="POST",path_template="/"} 0)"));
    EXPECT_THAT(text, HasSubstr(R"(status_code="400"} 1)"));
    EXPECT_THAT(text, testing::Not(HasSubstr(R"(status_code="200")")));
}

TEST_F(ServerTest, TheReplyToABadRequestArrivesAlthoughTheClientGoesOnSending) {
    start();
    auto wire = connect();
    wire.send("GET / HTTP/1.1\r\n\r\n" + std::string(100'000, 'x'));
    EXPECT_THAT(wire.rest(), testing::AllOf(StartsWith("HTTP/1.1 400 Bad Request\r\n"),
                                            HasSubstr("no Host field")));
}

TEST_F(ServerTest, ASlowHeadEndsInATimeout) {
    start({.header_time = 500ms});
    auto wire = connect();
    wire.send("GET / HTTP/1.1\r\nHos");
    EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 408 "));
    auto silent = connect();
    EXPECT_EQ(silent.rest(), "");
}

TEST_F(ServerTest, ABlockingHandlerDoesNotHoldUpTheLoop) {
    std::promise<void> go;
    api_.get("/wait", [future = go.get_future().share()] { future.wait(); });
    start();
    auto waiting = connect();
    waiting.send(get("/wait"));
    auto other = connect();
    other.send(get("/health/live"));
    EXPECT_THAT(other.until("ok\"}"), StartsWith("HTTP/1.1 200 OK\r\n"));
    go.set_value();
    EXPECT_THAT(waiting.until("null"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

/// A coroutine handler that waits until it is told, or cancelled.
struct Gate {
    explicit Gate(Executor executor) : opened{executor} {}
    static Awaitable<std::string> pass(Gate* gate) {
        gate->entered.set_value();
        co_await gate->opened.wait();
        co_return "passed";
    }
    Notifier opened;
    std::promise<void> entered;
};

TEST_F(ServerTest, StoppingFinishesWhatIsUnderWay) {
    Gate gate{loop_.executor()};
    api_.get("/gate", [&gate] { return Gate::pass(&gate); });
    start();
    auto idle = connect();
    idle.send(get("/health/live"));
    (void)idle.until("ok\"}");
    auto busy = std::make_unique<Wire>(server_->port());
    busy->send(get("/gate"));
    gate.entered.get_future().wait();

    const auto port = server_->port();
    server_->request_stop();
    EXPECT_EQ(idle.rest(), "") << "an idle connection is closed at once";
    EXPECT_THROW(Wire{port}, LovageError) << "nobody listens any more";
    loop_.post([&gate] { gate.opened.notify_all(); });
    EXPECT_THAT(busy->rest(), testing::AllOf(HasSubstr("connection: close"), HasSubstr("passed")));
    busy.reset();
    EXPECT_TRUE(stop());
}

TEST_F(ServerTest, WhatDoesNotEndInTimeIsCutOff) {
    Gate gate{loop_.executor()};
    api_.get("/gate", [&gate] { return Gate::pass(&gate); });
    start();
    auto busy = connect();
    busy.send(get("/gate"));
    gate.entered.get_future().wait();
    EXPECT_FALSE(stop(1ms));
    EXPECT_EQ(busy.rest(), "");
}

TEST_F(ServerTest, ConnectionsBeyondTheCapWaitTheirTurn) {
    start({.connections = 1});
    auto first = std::make_unique<Wire>(server_->port());
    first->send(get("/health/live"));
    (void)first->until("ok\"}");
    auto second = connect();
    second.send(get("/health/live"));
    first.reset();
    EXPECT_THAT(second.until("ok\"}"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, ManyClientsAtOnce) {
    api_.get("/double/{n}", [](int n) { return n * 2; }, path<int>("n"));
    start();
    std::atomic<int> right = 0;
    std::vector<std::thread> clients;
    for (int c = 0; c < 8; ++c) {
        clients.emplace_back([&, c] {
            auto wire = connect();
            for (int i = 0; i < 50; ++i) {
                wire.send(get("/double/" + std::to_string(c * 1000 + i)));
                (void)wire.until("\r\n\r\n");
                const auto expected = std::to_string(2 * (c * 1000 + i));
                if (wire.until(expected) == expected) ++right;
            }
        });
    }
    for (auto& client : clients) client.join();
    EXPECT_EQ(right, 400);
}

}  // namespace
}  // namespace lovage::http
