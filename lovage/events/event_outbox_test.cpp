#include <lovage/events/event_outbox.hpp>

#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/events/event.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/loop.hpp>
#include <tests/support/soon.hpp>
#include <tests/support/wrapped_broker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace lovage {
namespace {

using ::testing::ElementsAre;

/// Notes what is published, and keeps it waiting when told so.
class NotingBroker final : public WrappedBroker {
public:
    explicit NotingBroker(const Executor& executor)
        : WrappedBroker{make_memory_broker(executor, "outbox-test")}, released_{executor} {}

    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange, Deadline) override {
        declared.push_back(std::move(exchange));
        co_return declare_fails ? fail(declare_error, "no") : Result<void>{};
    }
    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        published.push_back(publication.routing_key + ":" + publication.message.body);
        mandatory = mandatory || publication.mandatory;
        while (held) {
            if (!co_await released_.wait(deadline)) co_return fail(Errc::deadline_exceeded, "slow");
        }
        co_return publish_fails ? fail(Errc::unavailable, "full") : Result<void>{};
    }
    void release() {
        held = false;
        released_.notify_all();
    }

    std::vector<ExchangeDeclaration> declared;
    std::vector<std::string> published;
    bool mandatory = false;
    bool held = false;
    bool declare_fails = false;
    Errc declare_error = Errc::disconnected;
    bool publish_fails = false;

private:
    Notifier released_;
};

/// An outbox on a loop of its own; what a test does is done on that loop.
class Outbox : public ::testing::Test {
protected:
    Outbox() {
        log::configure({.level = log::Level::off});
        loop_.start();
    }
    ~Outbox() override { loop_.run_blocking(end()); }
    void make(EventOutbox::Limits limits = {}) {
        loop_.call([&] {
            broker_ = std::make_unique<NotingBroker>(loop_.executor());
            outbox_ = std::make_unique<EventOutbox>(
                loop_.executor(), "celeryev", [this] { return broker_.get(); }, limits);
        });
    }
    template <class F>
    void on_loop(F action) {
        loop_.call(std::move(action));
    }
    void send(const std::string& key, const std::string& body, std::size_t events = 1) {
        outbox_->send(key, event_message("w@h", body), events);
    }
    Awaitable<void> end() {
        if (broker_) broker_->release();
        if (outbox_) co_await outbox_->finish(soon());
        outbox_.reset();
        broker_.reset();
    }

    Loop loop_{"outbox-test"};
    std::unique_ptr<NotingBroker> broker_;
    std::unique_ptr<EventOutbox> outbox_;
};

TEST_F(Outbox, PublishesInOrderToADeclaredExchange) {
    make();
    on_loop([&] {
        send("worker.online", "1");
        send("task.multi", "2", 24);
        EXPECT_THAT(broker_->published, ElementsAre("worker.online:1", "task.multi:2"));
        EXPECT_EQ(broker_->declared.size(), 1U);
        EXPECT_EQ(broker_->declared.at(0).name, "celeryev");
        EXPECT_EQ(broker_->declared.at(0).type, ExchangeType::topic);
        EXPECT_TRUE(broker_->declared.at(0).durable);
        EXPECT_FALSE(broker_->mandatory);
        EXPECT_EQ(outbox_->held(), 0U);
    });
}

TEST_F(Outbox, ASlowBrokerCostsEventsNotTime) {
    make({.in_flight = 2, .messages = 4});
    on_loop([&] {
        broker_->held = true;
        for (const char* body : {"1", "2", "3", "4", "5", "6"}) send("task.multi", body, 10);
        EXPECT_THAT(broker_->published, ElementsAre("task.multi:1", "task.multi:2"));
        EXPECT_EQ(outbox_->held(), 4U);
        EXPECT_EQ(outbox_->dropped(), 20U);
        broker_->release();
    });
    on_loop([] {});  // what was woken has run
    loop_.run_blocking(outbox_->finish(soon()));
    EXPECT_THAT(broker_->published,
                ElementsAre("task.multi:1", "task.multi:2", "task.multi:3", "task.multi:4"));
    EXPECT_EQ(outbox_->dropped(), 20U);
}

TEST_F(Outbox, HoldsNoMoreBytesThanItMay) {
    make({.bytes = 100});
    on_loop([&] {
        broker_->held = true;
        send("task.multi", std::string(60, 'x'));
        send("task.multi", std::string(60, 'x'));
        EXPECT_EQ(outbox_->dropped(), 1U);
        send("task.multi", std::string(40, 'x'));
        EXPECT_EQ(outbox_->dropped(), 1U);
    });
}

TEST_F(Outbox, ABrokerThatIsAwayIsAskedAgainWithTheNextEvent) {
    make();
    on_loop([&] {
        broker_->declare_fails = true;
        send("worker.online", "1");
        send("worker.heartbeat", "2");
        EXPECT_EQ(outbox_->dropped(), 2U);
        broker_->declare_fails = false;
        send("worker.heartbeat", "3");
        EXPECT_THAT(broker_->published, ElementsAre("worker.heartbeat:3"));
        EXPECT_EQ(broker_->declared.size(), 3U);
    });
}

TEST_F(Outbox, ABrokerThatRefusesTheExchangeIsLeftAlone) {
    make();
    on_loop([&] {
        broker_->declare_fails = true;
        broker_->declare_error = Errc::conflict;
        send("worker.online", "1");
        send("worker.heartbeat", "2");
        EXPECT_EQ(outbox_->dropped(), 2U);
        EXPECT_EQ(broker_->declared.size(), 1U);
    });
}

TEST_F(Outbox, WhatTheBrokerRefusesIsCounted) {
    make();
    on_loop([&] {
        broker_->publish_fails = true;
        send("task.multi", "1", 7);
        EXPECT_EQ(outbox_->dropped(), 7U);
        EXPECT_EQ(outbox_->held(), 0U);
    });
}

TEST_F(Outbox, NothingIsTakenAfterTheEnd) {
    make();
    loop_.run_blocking(outbox_->finish(soon()));
    on_loop([&] {
        send("task.multi", "1", 3);
        EXPECT_EQ(outbox_->dropped(), 3U);
        EXPECT_TRUE(broker_->published.empty());
    });
}

}  // namespace
}  // namespace lovage
