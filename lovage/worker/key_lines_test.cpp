#include <lovage/worker/key_lines.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class KeyLinesTest : public testing::Test {
protected:
    using Lines = KeyLines<std::string>;

    static Lines::Time at(std::chrono::milliseconds time) { return Lines::Time{} + 100h + time; }
    std::uint64_t push(const std::string& key, const std::string& task,
                       std::chrono::milliseconds now = 0s,
                       std::chrono::milliseconds leave_at = 10min) {
        const std::uint64_t ticket = lines_.next_ticket();
        lines_.push(key, ticket, task, at(now), at(leave_at));
        return ticket;
    }

    Lines lines_;
};

TEST_F(KeyLinesTest, TheFirstOfEachLineAsksOnceASecond) {
    push("a", "a1");
    push("a", "a2");
    push("b", "b1");
    EXPECT_EQ(lines_.next_due(), at(1s));
    EXPECT_THAT(lines_.pop_due(at(999ms)), IsEmpty());
    EXPECT_THAT(lines_.pop_due(at(1s)), UnorderedElementsAre("a1", "b1"));
    EXPECT_THAT(lines_.pop_due(at(1s)), IsEmpty());
    EXPECT_EQ(lines_.next_due(), at(2s));
    EXPECT_THAT(lines_.pop_due(at(2s)), ElementsAre("a2"));
    EXPECT_EQ(lines_.next_due(), std::nullopt);
    EXPECT_EQ(lines_.size(), 0U);
}

TEST_F(KeyLinesTest, WhoAskedInVainIsFirstAgain) {
    const std::uint64_t ticket = push("a", "a1");
    push("a", "a2");
    EXPECT_THAT(lines_.pop_due(at(1s)), ElementsAre("a1"));
    lines_.push("a", ticket, "a1", at(1s), at(10min));
    EXPECT_THAT(lines_.pop_due(at(1500ms)), IsEmpty());
    EXPECT_THAT(lines_.pop_due(at(2s)), ElementsAre("a1"));
}

TEST_F(KeyLinesTest, APlaceThatIsGivenBackWakesTheFirst) {
    push("a", "a1");
    push("a", "a2");
    push("b", "b1");
    lines_.wake("a", at(300ms));
    lines_.wake("nobody waits for this", at(0s));
    EXPECT_EQ(lines_.next_due(), at(300ms));
    EXPECT_THAT(lines_.pop_due(at(300ms)), ElementsAre("a1"));
    EXPECT_TRUE(lines_.waits("a"));
    lines_.wake("a", at(400ms));
    lines_.wake("a", at(2500ms));  // others first
    EXPECT_THAT(lines_.pop_due(at(2s)), ElementsAre("b1"));
    EXPECT_THAT(lines_.pop_due(at(2500ms)), ElementsAre("a2"));
    EXPECT_FALSE(lines_.waits("a"));
}

TEST_F(KeyLinesTest, WhoHasWaitedForAsLongAsItMayComesOut) {
    push("a", "a1");
    push("a", "a2", 0s, 500ms);
    EXPECT_EQ(lines_.next_due(), at(500ms));
    EXPECT_THAT(lines_.pop_due(at(500ms)), ElementsAre("a2"));
    EXPECT_EQ(lines_.size(), 1U);
    EXPECT_EQ(lines_.next_due(), at(1s));
}

TEST_F(KeyLinesTest, ManyLinesAskAboutAThousandTimesASecondAtMost) {
    for (int i = 0; i < 5'000; ++i) push("key " + std::to_string(i), "task");
    (void)lines_.pop_due(at(1h));
    for (int i = 0; i < 5'000; ++i) push("key " + std::to_string(i), "task", 1h, 2h);
    std::size_t asked = 0;
    for (int second = 0; second < 20; ++second) {
        for (const std::string& task : lines_.pop_due(at(1h + second * 1s))) {
            push("key " + std::to_string(asked % 5'000), task, 1h + second * 1s, 2h);
            ++asked;
        }
    }
    EXPECT_GT(asked, 10'000U);
    EXPECT_LT(asked, 30'000U);
    EXPECT_EQ(lines_.size(), 5'000U);
}

TEST_F(KeyLinesTest, EverybodyIsGivenBackInTheOrderTheyCame) {
    push("b", "1");
    push("a", "2");
    push("b", "3");
    EXPECT_THAT(lines_.take_all(), ElementsAre("1", "2", "3"));
    EXPECT_EQ(lines_.size(), 0U);
    EXPECT_EQ(lines_.next_due(), std::nullopt);
    push("a", "4", 5s);
    EXPECT_THAT(lines_.pop_due(at(6s)), ElementsAre("4"));
}

}  // namespace
}  // namespace lovage
