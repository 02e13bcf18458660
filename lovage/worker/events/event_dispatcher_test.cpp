#include <lovage/worker/events/event_dispatcher.hpp>

#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/events/event.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/metrics.hpp>
#include <lovage/runtime/notifier.hpp>
#include <tests/support/fixture.hpp>
#include <tests/support/soon.hpp>
#include <tests/support/wrapped_broker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// Keeps what is published.
class KeepingBroker final : public WrappedBroker {
public:
    explicit KeepingBroker(const Executor& executor)
        : WrappedBroker{make_memory_broker(executor, "dispatcher-test")}, came_{executor} {}

    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration, Deadline) override {
        co_return Result<void>{};
    }
    Awaitable<Result<void>> publish(Publication publication, Deadline) override {
        published.push_back(std::move(publication));
        times.push_back(std::chrono::steady_clock::now());
        came_.notify_all();
        co_return Result<void>{};
    }
    Awaitable<void> wait_for(std::size_t count) {
        while (published.size() < count && co_await came_.wait(soon())) {
        }
    }
    std::vector<Publication> published;
    std::vector<std::chrono::steady_clock::time_point> times;

private:
    Notifier came_;
};

/// A counter of this process as Prometheus is told of it.
double total(const std::string& name) {
    const std::string text = "\n" + metrics::default_registry().scrape();
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
}

class Dispatcher : public ::testing::Test {
protected:
    Dispatcher() {
        loop_.start();
        loop_.call([this] { broker_ = std::make_unique<KeepingBroker>(loop_.executor()); });
        definition_.name = "add";
        request_.definition = &definition_;
        request_.message.id = "an-id";
    }
    ~Dispatcher() override {
        if (dispatcher_) finish();
        loop_.call([this] {
            dispatcher_.reset();
            broker_.reset();
        });
    }
    void make(EventDispatcher::Options options) {
        options.hostname = "w@h";
        loop_.call([&] {
            dispatcher_ = std::make_unique<EventDispatcher>(
                loop_.executor(), clock_, options, [this] { return broker_.get(); },
                [] { return EventDispatcher::Load{.active = 2, .processed = 15}; });
        });
    }
    void finish() { loop_.run_blocking(dispatcher_->finish(soon())); }
    /// What was published once so many messages were.
    const std::vector<Publication>& published(std::size_t count) {
        loop_.run_blocking(broker_->wait_for(count));
        EXPECT_THAT(broker_->published, SizeIs(count));
        return broker_->published;
    }
    static std::vector<Event> events_of(const Publication& publication) {
        return value_or_throw(decode_events(publication.message)).events;
    }

    Loop loop_{"dispatch-test"};
    std::unique_ptr<KeepingBroker> broker_;
    LamportClock clock_;
    TaskDefinition definition_;
    TaskRequest request_;
    std::unique_ptr<EventDispatcher> dispatcher_;
};

TEST_F(Dispatcher, TasksEventsOfOneTurnLeaveAsOneList) {
    make({.task_events = true});
    loop_.call([this] {
        dispatcher_->received(request_);
        dispatcher_->started(request_);
        EXPECT_TRUE(broker_->published.empty());
    });
    const Publication& publication = published(1).at(0);
    EXPECT_EQ(publication.exchange, "celeryev");
    EXPECT_EQ(publication.routing_key, "task.multi");
    EXPECT_FALSE(publication.mandatory);
    EXPECT_EQ(publication.message.properties.delivery_mode, 1);
    const auto events = events_of(publication);
    ASSERT_THAT(events, SizeIs(2));
    EXPECT_EQ(events[0].type, "task-received");
    EXPECT_EQ(events[0].clock, 1);
    EXPECT_EQ(events[1].type, "task-started");
    EXPECT_EQ(events[1].clock, 2);
    EXPECT_EQ(events[1].hostname, "w@h");
}

TEST_F(Dispatcher, ASingleTaskEventIsAListToo) {
    make({.task_events = true});
    loop_.call([this] { dispatcher_->started(request_); });
    EXPECT_EQ(published(1).at(0).message.body.front(), '[');
}

TEST_F(Dispatcher, ListsFollowEachOtherAfterTwoMilliseconds) {
    make({.task_events = true});
    for (std::size_t lists = 1; lists <= 5; ++lists) {
        loop_.call([this] { dispatcher_->started(request_); });
        (void)published(lists);
    }
    for (std::size_t i = 1; i < broker_->times.size(); ++i) {
        EXPECT_GE(broker_->times[i] - broker_->times[i - 1], EventDispatcher::kGather);
    }
}

TEST_F(Dispatcher, AFullListLeavesAtOnce) {
    make({.task_events = true});
    loop_.call([this] {
        for (std::size_t i = 0; i < EventDispatcher::kBatch; ++i) dispatcher_->started(request_);
        ASSERT_THAT(broker_->published, SizeIs(1));
        EXPECT_THAT(events_of(broker_->published[0]), SizeIs(EventDispatcher::kBatch));
    });
}

TEST_F(Dispatcher, SaysNothingOfTasksUnlessAsked) {
    make({});
    loop_.call([this] {
        dispatcher_->received(request_);
        dispatcher_->unknown_task("an-id", "x");
        EXPECT_FALSE(dispatcher_->wants(definition_));
        EXPECT_TRUE(dispatcher_->enable_task_events());
        EXPECT_TRUE(dispatcher_->wants(definition_));
        dispatcher_->received(request_);
    });
    EXPECT_THAT(events_of(published(1).at(0)), SizeIs(1));
}

TEST_F(Dispatcher, SaysNothingOfTasksThatDoNotWantIt) {
    definition_.options.send_events = false;
    make({.task_events = true});
    loop_.call([this] { dispatcher_->received(request_); });
    finish();
    EXPECT_TRUE(broker_->published.empty());
}

TEST_F(Dispatcher, HeartbeatsHaveTheFieldsThatCeleryWasRecordedSending) {
    make({.heartbeat = 1ms});
    loop_.call([this] { dispatcher_->start(); });
    loop_.run_blocking(broker_->wait_for(3));
    finish();
    const auto& all = broker_->published;
    EXPECT_EQ(all.front().routing_key, "worker.online");
    EXPECT_EQ(all[1].routing_key, "worker.heartbeat");
    EXPECT_EQ(all[2].routing_key, "worker.heartbeat");
    EXPECT_EQ(all.back().routing_key, "worker.offline");

    Json recorded;
    const Json fixture = testing_support::load_fixture("celery_events.json");
    for (const Json& recording : fixture.find("events")->as_array()) {
        const Json& event = *recording.find("event");
        if (event.find("type")->as_string() == "worker-heartbeat") recorded = event;
    }
    const Json ours = value_or_throw(parse_json(all[1].message.body));
    ASSERT_THAT(ours.as_object(), SizeIs(recorded.as_object().size()));
    for (std::size_t i = 0; i < recorded.as_object().size(); ++i) {
        EXPECT_EQ(ours.as_object()[i].first, recorded.as_object()[i].first);
        EXPECT_EQ(ours.as_object()[i].second.kind(), recorded.as_object()[i].second.kind());
    }
    EXPECT_EQ(ours.find("freq")->as_real(), 0.001);
    EXPECT_EQ(ours.find("active")->as_int64(), 2);
    EXPECT_EQ(ours.find("processed")->as_int64(), 15);
    EXPECT_EQ(ours.find("loadavg")->as_array().size(), 3U);
}

TEST_F(Dispatcher, WithoutHeartbeatNoWorkersEventsAreSent) {
    make({.heartbeat = std::nullopt});
    loop_.call([this] { dispatcher_->start(); });
    finish();
    EXPECT_TRUE(broker_->published.empty());
}

TEST_F(Dispatcher, ACommandedHeartbeatTellsLess) {
    make({.heartbeat = std::nullopt});
    loop_.call([this] { dispatcher_->send_heartbeat(); });
    const auto events = events_of(published(1).at(0));
    EXPECT_EQ(events.at(0).type, "worker-heartbeat");
    EXPECT_EQ(events.at(0).fields.find("freq")->as_int64(), 5);
    EXPECT_EQ(events.at(0).fields.find("active"), nullptr);
}

TEST_F(Dispatcher, WhatIsGatheredLeavesBeforeTheWorkersLastWord) {
    make({.task_events = true, .heartbeat = 1h});
    loop_.call([this] {
        dispatcher_->start();
        dispatcher_->started(request_);
    });
    finish();
    std::vector<std::string> keys;
    for (const Publication& publication : broker_->published) {
        keys.push_back(publication.routing_key);
    }
    EXPECT_THAT(keys, ElementsAre("worker.online", "task.multi", "worker.offline"));
    loop_.call([this] { dispatcher_->started(request_); });  // nobody is there any more
    EXPECT_THAT(broker_->published, SizeIs(3));
}

/// Also without -E: whoever sends them wants them.
TEST_F(Dispatcher, TheProgramsOwnEventsTravelAsCelerysDo) {
    make({});
    loop_.call([this] {
        dispatcher_->custom()->send("an-id", "cache-warmed", Json::object({{"entries", 7}}));
        dispatcher_->custom()->send("an-id", "task-progress", Json::object({{"done", 0.5}}));
    });
    const auto& both = published(2);
    EXPECT_TRUE(both[0].aside);  // tasks' messages do not suffer from it
    EXPECT_EQ(both[0].routing_key, "cache.warmed");
    EXPECT_EQ(events_of(both[0]).at(0).fields.find("entries")->as_int64(), 7);
    EXPECT_EQ(both[1].routing_key, "task.progress");
    EXPECT_THAT(both[1].message.body, Not(StartsWith("[")));
    const Event progress = events_of(both[1]).at(0);
    EXPECT_EQ(progress.type, "task-progress");
    EXPECT_EQ(progress.fields.find("done")->as_real(), 0.5);
    EXPECT_EQ(progress.fields.find("uuid")->as_string(), "an-id");
}

TEST_F(Dispatcher, TheProgramsOwnEventsKeepTheirPlaceAmongTheWorkers) {
    make({.task_events = true});
    loop_.call([this] {
        dispatcher_->started(request_);
        dispatcher_->custom()->send("an-id", "task-progress", Json::object());
        dispatcher_->ended(request_, {.ending = Ending::succeeded});
    });
    std::vector<std::string> types;
    for (const Publication& publication : published(3)) {
        types.push_back(events_of(publication).at(0).type);
    }
    EXPECT_THAT(types, ElementsAre("task-started", "task-progress", "task-succeeded"));
}

TEST_F(Dispatcher, AFloodOfTheProgramsOwnEventsIsCountedWhereTheOthersAre) {
    make({});
    const double before = total("lovage_events_dropped_total");
    const double sent = total("lovage_events_sent_total");
    loop_.call([this] {
        for (std::size_t i = 0; i < CustomEvents::kEventsMost + 3; ++i) {
            dispatcher_->custom()->send("an-id", "flood", Json::object());
        }
    });
    (void)published(CustomEvents::kEventsMost);
    EXPECT_GE(total("lovage_events_dropped_total") - before, 3);
    EXPECT_GE(total("lovage_events_sent_total") - sent, CustomEvents::kEventsMost - 1);
}

}  // namespace
}  // namespace lovage
