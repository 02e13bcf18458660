#include <lovage/clients/redis/subscriber.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/notifier.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace lovage::redis {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;

/// A subscriber on a loop and thread of its own, and what it has heard.
class Listening {
public:
    explicit Listening(Options options) {
        loop_.start();
        loop_.run_blocking(make(this, std::move(options)));
    }
    ~Listening() { loop_.run_blocking(close(this)); }
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

    void add(std::vector<std::string> channels) {
        loop_.run_blocking(change(this, std::move(channels), &Subscriber::add));
    }
    void remove(std::vector<std::string> channels) {
        loop_.run_blocking(change(this, std::move(channels), &Subscriber::remove));
    }
    /// Waits until that many events have happened and returns them all: "+channel" for a
    /// subscription in force, "channel=payload" for a message.
    std::vector<std::string> events(std::size_t count) {
        return loop_.run_blocking(wait(this, count));
    }

private:
    void note(std::string event) {
        events_.push_back(std::move(event));
        changed_.notify_all();
    }
    static Awaitable<void> make(Listening* self, Options options) {
        Subscriber::Hooks hooks;
        hooks.message = [self](std::string_view channel, std::string payload) {
            self->note(std::string{channel} + "=" + payload);
        };
        hooks.subscribed = [self](std::vector<std::string> channels) {
            for (const auto& channel : channels) self->note("+" + channel);
        };
        self->subscriber_ = std::make_unique<Subscriber>(self->loop_.executor(), std::move(options),
                                                         std::move(hooks));
        co_return;
    }
    static Awaitable<void> change(Listening* self, std::vector<std::string> channels,
                                  void (Subscriber::*how)(const std::string&)) {
        for (const auto& channel : channels) (self->subscriber_.get()->*how)(channel);
        co_return;
    }
    static Awaitable<std::vector<std::string>> wait(Listening* self, std::size_t count) {
        const Deadline deadline = Deadline::in(30s);
        while (self->events_.size() < count) {
            if (!co_await self->changed_.wait(deadline)) break;
        }
        co_return self->events_;
    }
    static Awaitable<void> close(Listening* self) {
        co_await self->subscriber_->close();
        self->subscriber_.reset();
    }

    Loop loop_{"redis-test"};
    Notifier changed_{loop_.executor()};
    std::vector<std::string> events_;
    std::unique_ptr<Subscriber> subscriber_;
};

void hears_messages(const TestServer& server, const Options& options) {
    Listening listening{options};
    listening.add({"a", "b"});
    EXPECT_THAT(listening.events(2), ElementsAre("+a", "+b"));
    EXPECT_EQ(server.cli("publish a one"), "1");
    EXPECT_EQ(server.cli("publish elsewhere two"), "0");
    EXPECT_EQ(server.cli("publish b three"), "1");
    EXPECT_THAT(listening.events(4), ElementsAre("+a", "+b", "a=one", "b=three"));
    listening.remove({"a"});
    listening.add({"c"});
    EXPECT_THAT(listening.events(5), Contains("+c"));
    EXPECT_EQ(server.cli("publish a nobody"), "0");
}

TEST(RedisSubscriber, HearsTheChannelsThatAreWanted) {
    const TestServer server;
    hears_messages(server, server.options());
}

TEST(RedisSubscriber, SpeaksResp2) {
    const TestServer server{{"--rename-command", "HELLO", ""}};
    auto options = server.options();
    options.liveness = {.ping_after = 10ms, .dead_after = 10s};  // PING among subscriptions, too
    hears_messages(server, options);
}

TEST(RedisSubscriber, SubscribesAgainOnANewConnectionAndSaysSo) {
    TestServer server;
    Listening listening{server.options()};
    listening.add({"a"});
    (void)listening.events(1);
    EXPECT_EQ(server.cli("client kill type pubsub"), "1");
    EXPECT_THAT(listening.events(2), ElementsAre("+a", "+a"));
    server.kill();
    server.start();
    (void)listening.events(3);
    EXPECT_EQ(server.cli("publish a back"), "1");
    EXPECT_THAT(listening.events(4), ElementsAre("+a", "+a", "+a", "a=back"));
}

TEST(RedisSubscriber, TakesThousandsOfChannelsAtOnce) {
    const TestServer server;
    Listening listening{server.options()};
    std::vector<std::string> channels;
    for (int index = 0; index < 5'000; ++index) channels.push_back("c" + std::to_string(index));
    listening.add(channels);
    EXPECT_EQ(listening.events(5'000).size(), 5'000U);
    EXPECT_EQ(server.cli("publish c4999 last"), "1");
    EXPECT_EQ(listening.events(5'001).back(), "c4999=last");
}

}  // namespace
}  // namespace lovage::redis
