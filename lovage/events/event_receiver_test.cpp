#include <lovage/events/event_receiver.hpp>

#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/brokers/test_client.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lovage {
namespace {

using conformance::TestClient;
using ::testing::ElementsAre;
using ::testing::StartsWith;

class Receiver : public ::testing::Test {
protected:
    ~Receiver() override { client_.run(receiver_.close(soon())); }

    void open() {
        const auto opened = client_.run(receiver_.open(soon()));
        ASSERT_TRUE(opened) << opened.error().message();
    }
    void send(std::string key, std::string body) {
        Publication publication;
        publication.exchange = "celeryev";
        publication.routing_key = std::move(key);
        publication.message = event_message("w@h", std::move(body));
        publication.mandatory = false;
        const auto sent = client_.publish(std::move(publication));
        EXPECT_TRUE(sent) << sent.error().message();
    }
    std::vector<std::string> types(std::size_t count) {
        std::vector<std::string> seen;
        while (seen.size() < count) {
            const auto events = client_.run(receiver_.receive(soon()));
            if (!events) {
                ADD_FAILURE() << events.error().message();
                break;
            }
            for (const Event& event : *events) {
                seen.push_back(event.type);
                last_ = event;
            }
        }
        return seen;
    }
    static std::string event(const std::string& type, int clock) {
        return R"({"hostname": "w@h", "clock": )" + std::to_string(clock) +
               R"(, "timestamp": 1.5, "type": ")" + type + R"("})";
    }

    TestClient client_{
        [](const Executor& executor) { return make_memory_broker(executor, "receiver-test"); }};
    LamportClock clock_;
    EventReceiver receiver_{client_.broker(), clock_, {}};
    Event last_;
};

TEST_F(Receiver, HearsWhatComesUnderAnyKeyAloneOrInLists) {
    open();
    EXPECT_THAT(receiver_.queue(), StartsWith("celeryev."));
    send("worker.online", event("worker-online", 1));
    send("task.multi", "[" + event("task-started", 2) + ", " + event("task-succeeded", 3) + "]");
    EXPECT_THAT(types(3), ElementsAre("worker-online", "task-started", "task-succeeded"));
}

TEST_F(Receiver, MovesItsClockAndGivesProducersAValueOfIt) {
    open();
    send("worker.online", event("worker-online", 41));
    send("task.sent", event("task-sent", 9'999));
    EXPECT_THAT(types(2), ElementsAre("worker-online", "task-sent"));
    EXPECT_EQ(last_.clock, 43);
    EXPECT_EQ(clock_.now(), 43U);
}

TEST_F(Receiver, CountsWhatItCannotRead) {
    open();
    send("task.multi", "{");
    send("task.multi", "[7, " + event("task-started", 1) + "]");
    EXPECT_THAT(types(1), ElementsAre("task-started"));
    EXPECT_EQ(receiver_.refused(), 2U);
}

TEST_F(Receiver, MustBeOpenToReceive) {
    EXPECT_EQ(client_.run(receiver_.receive(soon())).error().code, Errc::closed);
}

TEST_F(Receiver, ItsQueueGoesWithIt) {
    open();
    const std::string queue = receiver_.queue();
    client_.run(receiver_.close(soon()));
    const auto status = client_.run(client_.broker().queue_status(queue, soon()));
    EXPECT_EQ(status.error().code, Errc::not_found);
}

}  // namespace
}  // namespace lovage
