#include <lovage/clients/redis/liveness.hpp>

#include <gtest/gtest.h>

namespace lovage::redis {
namespace {

using namespace std::chrono_literals;
using Verdict = Liveness::Verdict;

class LivenessTest : public testing::Test {
protected:
    static Liveness::Clock::time_point at(std::chrono::milliseconds since_start) {
        return Liveness::Clock::time_point{1h} + since_start;
    }
    Liveness liveness_{{.ping_after = 8s, .dead_after = 16s}, at(0s)};
};

TEST_F(LivenessTest, AsksOnceAndGivesUpWithinTwentySeconds) {
    auto finding = liveness_.look(at(0s), 0s);
    EXPECT_EQ(finding.verdict, Verdict::fine);
    EXPECT_EQ(finding.look_again, at(8s));
    finding = liveness_.look(at(8s), 0s);
    EXPECT_EQ(finding.verdict, Verdict::ping);
    EXPECT_EQ(finding.look_again, at(16s));
    EXPECT_EQ(liveness_.look(at(15s), 0s).verdict, Verdict::fine);
    EXPECT_EQ(liveness_.look(at(16s), 0s).verdict, Verdict::dead);
}

TEST_F(LivenessTest, AnyByteIsASignOfLife) {
    EXPECT_EQ(liveness_.look(at(8s), 0s).verdict, Verdict::ping);
    liveness_.received(at(9s));
    EXPECT_EQ(liveness_.look(at(16s), 0s).look_again, at(17s));
    EXPECT_EQ(liveness_.look(at(17s), 0s).verdict, Verdict::ping);
}

TEST_F(LivenessTest, SendingIsNone) {
    for (auto second = 0s; second < 16s; ++second) {
        liveness_.write_began(at(second));
        liveness_.write_ended();
    }
    EXPECT_EQ(liveness_.look(at(16s), 0s).verdict, Verdict::dead);
}

TEST_F(LivenessTest, AnUnfinishedWriteCountsFromItsLastProgress) {
    liveness_.write_began(at(12s));
    EXPECT_EQ(liveness_.look(at(16s), 0s).verdict, Verdict::fine);
    liveness_.write_ended();
    liveness_.write_began(at(18s));
    EXPECT_EQ(liveness_.look(at(33s), 0s).verdict, Verdict::ping);
    EXPECT_EQ(liveness_.look(at(34s), 0s).verdict, Verdict::dead);
}

TEST_F(LivenessTest, ABlockingCommandMayTakeItsTimeOnTop) {
    EXPECT_EQ(liveness_.look(at(20s), 15s).verdict, Verdict::fine);
    EXPECT_EQ(liveness_.look(at(23s), 15s).verdict, Verdict::ping);
    EXPECT_EQ(liveness_.look(at(31s), 15s).verdict, Verdict::dead);
}

}  // namespace
}  // namespace lovage::redis
