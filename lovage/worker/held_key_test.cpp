#include <lovage/worker/held_key.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using Step = HeldKey::Step;

constexpr HeldKey::Time moment(std::chrono::milliseconds time) {
    return HeldKey::Time{} + 1h + time;
}

std::optional<StateEntry> entry(std::string value, std::uint64_t version) {
    return StateEntry{std::move(value), version};
}

TEST(HeldKey, IsRenewedAfterAThirdOfItsLease) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    EXPECT_EQ(key.next(moment(9s)), Step::wait);
    EXPECT_EQ(key.wake_at(), moment(10s));
    EXPECT_EQ(key.next(moment(10s)), Step::renew);
    EXPECT_EQ(key.version(), 5U);
    key.renewed(6, moment(10s));
    EXPECT_EQ(key.next(moment(10s)), Step::wait);
    EXPECT_EQ(key.wake_at(), moment(20s));
    EXPECT_EQ(key.version(), 6U);
}

TEST(HeldKey, IsTriedAgainWhileTheStoreIsAway) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.failed(moment(10s));
    EXPECT_EQ(key.next(moment(10s)), Step::wait);
    EXPECT_EQ(key.wake_at(), moment(10'050ms));
    for (int i = 0; i < 100; ++i) key.failed(moment(29s));
    EXPECT_EQ(key.wake_at(), moment(30s));
    EXPECT_FALSE(key.may_have_lapsed(moment(29s)));
    EXPECT_TRUE(key.may_have_lapsed(moment(30s)));
    EXPECT_EQ(key.next(moment(30s)), Step::renew);
    key.renewed(6, moment(30s));
    EXPECT_FALSE(key.may_have_lapsed(moment(31s)));
}

TEST(HeldKey, OneThatWasRenewedUnheardIsRecognised) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.conflicted();
    EXPECT_EQ(key.next(moment(10s)), Step::look);
    key.found(entry("mine", 9));
    EXPECT_EQ(key.next(moment(10s)), Step::renew);
    EXPECT_EQ(key.version(), 9U);
}

TEST(HeldKey, OneThatLapsedIsTakenAnewWhenNobodyElseHas) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.conflicted();
    key.found(std::nullopt);
    EXPECT_EQ(key.next(moment(10s)), Step::renew);
    EXPECT_EQ(key.version(), 0U);
    EXPECT_FALSE(key.lost(moment(10s)));
}

TEST(HeldKey, OneThatIsAnothersIsLostAndNotGivenBack) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.conflicted();
    key.found(entry("another's", 9));
    EXPECT_TRUE(key.lost(moment(10s)));
    EXPECT_EQ(key.next(moment(1h)), Step::wait);
    EXPECT_EQ(key.wake_at(), std::nullopt);
    key.give_back(HeldKey::Last{"done", 1h}, moment(2h));
    EXPECT_EQ(key.next(moment(2h)), Step::done);
}

TEST(HeldKey, NobodyMindsWhatBecomesOfItFromItsEndOn) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s), moment(45s)}};
    EXPECT_EQ(key.wake_at(), moment(10s));
    key.renewed(6, moment(40s));
    EXPECT_EQ(key.wake_at(), std::nullopt);
    EXPECT_EQ(key.next(moment(60s)), Step::wait);
    EXPECT_FALSE(key.may_have_lapsed(moment(100s)));
    key.give_back(std::nullopt, moment(100s));
    EXPECT_EQ(key.next(moment(100s)), Step::erase);
    key.conflicted();
    key.found(entry("another's", 9));
    EXPECT_FALSE(key.lost(moment(100s)));
    EXPECT_EQ(key.next(moment(100s)), Step::done);
}

TEST(HeldKey, IsErasedWhenItIsGivenBack) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.give_back(std::nullopt, moment(1s));
    EXPECT_EQ(key.next(moment(1s)), Step::erase);
    key.given_back();
    EXPECT_EQ(key.next(moment(1s)), Step::done);
}

TEST(HeldKey, OneThatIsNotThereNeedsNoErasing) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.give_back(std::nullopt, moment(1s));
    key.conflicted();
    key.found(std::nullopt);
    EXPECT_EQ(key.next(moment(1s)), Step::done);
}

TEST(HeldKey, BecomesWhatShallBeLeftOfIt) {
    HeldKey key{"mine", 5, std::nullopt};
    EXPECT_EQ(key.next(moment(100h)), Step::wait);
    EXPECT_EQ(key.wake_at(), std::nullopt);
    key.give_back(HeldKey::Last{"done", 1h}, moment(1s));
    EXPECT_EQ(key.next(moment(1s)), Step::write_last);
    EXPECT_EQ(key.last().value, "done");
    key.conflicted();
    EXPECT_EQ(key.next(moment(1s)), Step::look);
    key.found(entry("mine", 9));
    EXPECT_EQ(key.next(moment(1s)), Step::write_last);
    EXPECT_EQ(key.version(), 9U);
    key.conflicted();
    key.found(entry("done", 10));
    EXPECT_EQ(key.next(moment(1s)), Step::done) << "written unheard";
}

TEST(HeldKey, IsLeftToLapseWhenTheStoreStaysAway) {
    HeldKey key{"mine", 5, HeldKey::Lease{30s, moment(0s)}};
    key.give_back(std::nullopt, moment(5s));
    key.failed(moment(5s));
    EXPECT_EQ(key.next(moment(5s)), Step::wait);
    EXPECT_EQ(key.wake_at(), moment(5'050ms));
    EXPECT_EQ(key.next(moment(34s)), Step::erase);
    EXPECT_EQ(key.next(moment(35s)), Step::done);
    EXPECT_FALSE(key.may_have_lapsed(moment(35s))) << "nobody holds it any more";
}

}  // namespace
}  // namespace lovage
