#include <lovage/worker/prefork/claims.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace lovage::slot {
namespace {

TEST(Claims, AnAttemptThatHasBegunIsNotTakenBack) {
    Claims claims{};
    EXPECT_EQ(claims.begun(), 0U);
    claims.give(1);
    EXPECT_EQ(claims.begin(1), Claims::Answer::begin);
    EXPECT_EQ(claims.begun(), 1U);
    EXPECT_FALSE(claims.take_back(1));
}

TEST(Claims, AnAttemptTakenBackIsNotBegun) {
    Claims claims{};
    for (const std::uint64_t attempt : {1U, 2U, 3U}) claims.give(attempt);
    EXPECT_TRUE(claims.take_back(2));
    EXPECT_EQ(claims.begin(1), Claims::Answer::begin);
    EXPECT_EQ(claims.begin(2), Claims::Answer::taken_back);
    EXPECT_EQ(claims.begin(3), Claims::Answer::begin);
    EXPECT_EQ(claims.begun(), 3U);
}

TEST(Claims, ACellThatIsGivenAnewSaysThatTheOldAttemptIsOver) {
    Claims claims{};
    claims.give(5);
    EXPECT_TRUE(claims.take_back(5));
    claims.give(5 + Claims::kOpen);
    EXPECT_EQ(claims.begin(5), Claims::Answer::taken_back);
    EXPECT_EQ(claims.begin(5 + Claims::kOpen), Claims::Answer::begin);
}

TEST(Claims, NonsenseIsToldFromAnAttemptTakenBack) {
    Claims claims{};
    claims.give(3);
    EXPECT_EQ(claims.begin(3 + Claims::kOpen), Claims::Answer::nonsense) << "nobody has given it";
}

TEST(Claims, EachAttemptIsBegunOrTakenBackAndNeverBoth) {
    constexpr std::uint64_t kAttempts = 100'000;
    constexpr std::uint64_t kGroup = 8;
    Claims claims{};
    std::atomic<std::uint64_t> given{0};
    std::atomic<std::uint64_t> seen{0};
    std::vector<int> begun(kAttempts + 1, 0);
    std::thread slot{[&] {
        for (std::uint64_t attempt = 1; attempt <= kAttempts; ++attempt) {
            while (given.load() < attempt) std::this_thread::yield();
            if (claims.begin(attempt) == Claims::Answer::begin) begun[attempt] = 1;
            seen = attempt;
        }
    }};
    std::vector<int> taken_back(kAttempts + 1, 0);
    for (std::uint64_t last = kGroup; last <= kAttempts; last += kGroup) {
        for (std::uint64_t attempt = last - kGroup + 1; attempt <= last; ++attempt) {
            claims.give(attempt);
        }
        given = last;
        for (std::uint64_t attempt = last; attempt > last - kGroup; --attempt) {
            if (claims.take_back(attempt)) taken_back[attempt] = 1;
        }
        while (seen.load() < last) std::this_thread::yield();
    }
    slot.join();
    for (std::uint64_t attempt = 1; attempt <= kAttempts; ++attempt) {
        ASSERT_EQ(begun[attempt] + taken_back[attempt], 1) << attempt;
    }
}

}  // namespace
}  // namespace lovage::slot
