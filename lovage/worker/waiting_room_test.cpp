#include <lovage/worker/waiting_room.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app.hpp>

#include <tests/support/memory_app.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What an operator, or a time server, does to the wall clock: the room is told the time.
class WaitingRoomTest : public ::testing::Test {
protected:
    ~WaitingRoomTest() override { (void)room_.withdraw(); }

    void add(const std::string& id, TimePoint due, TimePoint now) {
        auto request = std::make_shared<TaskRequest>();
        request->message.id = id;
        room_.add(std::move(request), due, now);
    }
    std::vector<std::string> due_at(TimePoint wall) {
        std::vector<std::string> ids;
        for (const auto& request : room_.pop_due(wall, steady_)) ids.push_back(request->message.id);
        return ids;
    }

    const TimePoint noon_{std::chrono::sys_days{std::chrono::year{2026} / 11 / 22} + 12h};
    const WaitingRoom::Clock::time_point steady_ = WaitingRoom::Clock::now();
    App app_{"test", memory_settings()};
    metrics::Registry registry_;
    TaskMetrics metrics_{registry_};
    WaitingRoom room_{*app_.core(), metrics_, {}, {[] { return nullptr; }, [] {}}};
};

TEST_F(WaitingRoomTest, AWallClockSetForwardMakesTasksDueOnce) {
    add("soon", noon_ + 20s, noon_);
    add("sooner", noon_ + 10s, noon_);
    EXPECT_THAT(due_at(noon_ + 1s), IsEmpty());
    EXPECT_THAT(due_at(noon_ + 1h), ElementsAre("sooner", "soon"));
    EXPECT_THAT(due_at(noon_ + 2h), IsEmpty());
    EXPECT_EQ(room_.held(), 0U);
}

TEST_F(WaitingRoomTest, AWallClockSetBackMakesTasksWaitForTheNewTime) {
    add("held", noon_ + 10s, noon_);
    add("came out", noon_ + 1s, noon_);
    EXPECT_THAT(due_at(noon_ + 1s), ElementsAre("came out"));
    const TimePoint set_back = noon_ - 1h;
    EXPECT_THAT(due_at(set_back), IsEmpty());
    EXPECT_EQ(room_.until_next(set_back, steady_), 1min)
        << "it looks again, should it be set again";
    EXPECT_THAT(due_at(set_back + 1h), IsEmpty()) << "what came out does not come a second time";
    EXPECT_THAT(due_at(noon_ + 10s), ElementsAre("held"));
}

}  // namespace
}  // namespace lovage
