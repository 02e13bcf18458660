#include <lovage/results/conformance.hpp>

#include <gmock/gmock.h>

#include <thread>

namespace lovage::conformance {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StateConformance);

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

Errc error_of(const auto& result) {
    return result ? Errc::internal : result.error().code;
}

}  // namespace

TEST_P(StateConformance, HasNothingUnderAnUnknownKey) {
    const auto connection = open();
    const auto found = connection->get("nothing");
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_FALSE(found->has_value());
}

TEST_P(StateConformance, CreatesOnlyWhatDoesNotExist) {
    const auto connection = open();
    const auto other = open();
    const auto version = connection->set("lease", 0, "mine");
    ASSERT_TRUE(version) << version.error().message();
    EXPECT_GT(*version, 0U);
    EXPECT_EQ(error_of(other->set("lease", 0, "yours")), Errc::conflict);

    const auto found = other->get("lease");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->value, "mine");
    EXPECT_EQ((*found)->version, *version);
}

TEST_P(StateConformance, UpdatesOnlyTheVersionItWasTold) {
    const auto connection = open();
    const auto first = connection->set("count", 0, "1");
    ASSERT_TRUE(first);
    const auto second = connection->set("count", *first, "2");
    ASSERT_TRUE(second);
    EXPECT_GT(*second, *first);
    EXPECT_EQ(error_of(connection->set("count", *first, "3")), Errc::conflict);
    EXPECT_EQ(error_of(connection->set("absent", *first, "3")), Errc::conflict);
    const auto found = connection->get("count");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->value, "2");
    EXPECT_FALSE(connection->get("absent")->has_value());
}

TEST_P(StateConformance, ErasesOnlyTheVersionItWasTold) {
    const auto connection = open();
    const auto version = connection->set("key", 0, "value");
    ASSERT_TRUE(version);
    EXPECT_EQ(error_of(connection->erase("key", *version + 1)), Errc::conflict);
    ASSERT_TRUE(connection->erase("key", *version));
    EXPECT_FALSE(connection->get("key")->has_value());
    EXPECT_EQ(error_of(connection->erase("key", *version)), Errc::conflict);
}

TEST_P(StateConformance, NeverUsesAVersionTwice) {
    const auto connection = open();
    const auto other = open();
    std::uint64_t last = 0;
    for (int round = 0; round < 10; ++round) {
        for (auto* const writer : {connection.get(), other.get()}) {
            const auto version = writer->set("fence", 0, "held");
            ASSERT_TRUE(version);
            EXPECT_GT(*version, last);
            last = *version;
            const auto elsewhere = writer->set("other" + std::to_string(*version), 0, "");
            ASSERT_TRUE(elsewhere);
            EXPECT_GT(*elsewhere, last);
            last = *elsewhere;
            ASSERT_TRUE(writer->erase("fence", *version));
        }
    }
}

TEST_P(StateConformance, EntriesEndWithTheirTimeToLive) {
    const auto connection = open();
    const auto other = open();
    const auto version = connection->set("lease", 0, "mine", 15s);
    ASSERT_TRUE(version);
    clock_.advance(14s);
    EXPECT_TRUE(other->get("lease")->has_value());
    EXPECT_EQ(error_of(other->set("lease", 0, "yours", 15s)), Errc::conflict);

    clock_.advance(2s);
    EXPECT_FALSE(other->get("lease")->has_value());
    EXPECT_THAT(other->keys("lease"), IsEmpty());
    EXPECT_EQ(error_of(connection->set("lease", *version, "still mine?", 15s)), Errc::conflict);
    EXPECT_EQ(error_of(connection->erase("lease", *version)), Errc::conflict);
    const auto taken = other->set("lease", 0, "yours", 15s);
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_GT(*taken, *version);
}

TEST_P(StateConformance, EveryWriteGivesANewTimeToLive) {
    const auto connection = open();
    auto version = connection->set("lease", 0, "mine", 15s);
    ASSERT_TRUE(version);
    for (int renewal = 0; renewal < 5; ++renewal) {
        clock_.advance(10s);
        version = connection->set("lease", *version, "mine", 15s);
        ASSERT_TRUE(version) << version.error().message();
    }
    version = connection->set("lease", *version, "for good");
    ASSERT_TRUE(version);
    clock_.advance(1h);
    EXPECT_TRUE(connection->get("lease")->has_value());
}

TEST_P(StateConformance, ListsByPrefixInOrder) {
    const auto connection = open();
    for (const auto* const key : {"crash:b", "crash:a", "crash:c", "crasH:x", "crash;", "cras",
                                  "crash:a%", "crash:a_", "zebra"}) {
        ASSERT_TRUE(connection->set(key, 0, key));
    }
    ASSERT_TRUE(connection->set("crash:gone", 0, "", 1s));
    clock_.advance(2s);
    EXPECT_THAT(connection->keys("crash:"),
                ElementsAre("crash:a", "crash:a%", "crash:a_", "crash:b", "crash:c"));
    EXPECT_THAT(connection->keys("crash:a%"), ElementsAre("crash:a%"));
    EXPECT_THAT(connection->keys("crash:", 2), ElementsAre("crash:a", "crash:a%"));
    EXPECT_THAT(connection->keys("nothing"), IsEmpty());
    EXPECT_EQ(connection->keys("").size(), 9U);
}

TEST_P(StateConformance, KeepsValuesByteForByte) {
    const auto connection = open();
    const std::string binary{"\0\xff\x80 ü\n", 7};
    const std::string key = "key 'with' \"quotes\" 漢";
    ASSERT_TRUE(connection->set(key, 0, binary));
    ASSERT_TRUE(connection->set("empty", 0, ""));
    const auto found = connection->get(key);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->value, binary);
    const auto empty = connection->get("empty");
    ASSERT_TRUE(empty && *empty);
    EXPECT_EQ((*empty)->value, "");
}

TEST_P(StateConformance, RefusesValuesBeyondItsLimit) {
    const auto connection = open();
    ASSERT_TRUE(connection->set("full", 0, std::string(StateStoreUnderTest::kValueBytesMax, 'x')));
    EXPECT_EQ(error_of(connection->set("over", 0,
                                       std::string(StateStoreUnderTest::kValueBytesMax + 1, 'x'))),
              Errc::too_large);
    EXPECT_FALSE(connection->get("over")->has_value());
}

TEST_P(StateConformance, LosesNoUpdateBetweenRivals) {
    constexpr int kRounds = 50;
    const auto count_up = [](StateConnection& connection) {
        for (int done = 0; done < kRounds;) {
            const auto entry = connection.get("count");
            ASSERT_TRUE(entry) << entry.error().message();
            const bool exists = entry->has_value();
            const int value = exists ? std::stoi((*entry)->value) : 0;
            const auto written =
                connection.set("count", exists ? (*entry)->version : 0, std::to_string(value + 1));
            if (written) ++done;
            if (!written) ASSERT_EQ(written.error().code, Errc::conflict);
        }
    };
    const auto first = open();
    const auto second = open();
    std::thread rival{[&] { count_up(*second); }};
    count_up(*first);
    rival.join();
    EXPECT_EQ((*first->get("count"))->value, std::to_string(2 * kRounds));
}

}  // namespace lovage::conformance
