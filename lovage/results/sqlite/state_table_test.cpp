#include <lovage/results/sqlite/state_table.hpp>

#include <lovage/clients/sqlite/test_folder.hpp>

#include <gtest/gtest.h>

#include <memory>

namespace lovage::detail {
namespace {

using namespace std::chrono_literals;

/// The table, with both clocks in hand.
class StateTable : public testing::Test {
protected:
    StateTable() { value_or_throw(sqlite::migrate(*connection_, state_table::schema())); }
    std::uint64_t set(std::string_view key, std::optional<std::chrono::milliseconds> ttl) {
        return value_or_throw(
            state_table::compare_and_set(*connection_, key, 0, "value", ttl, now_));
    }
    bool exists(std::string_view key) {
        return value_or_throw(state_table::get(*connection_, key, now_)).has_value();
    }
    std::int64_t rows() {
        return connection_->integer("SELECT count(*) FROM state").value().value();
    }

    state_table::Moment now_{
        .boot_id = "first boot",
        .since_boot = 100s,
        .wall = TimePoint{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21}}};
    sqlite::TestFolder folder_;
    std::unique_ptr<sqlite::Connection> connection_ =
        value_or_throw(sqlite::Connection::open(folder_.path() / "state.sqlite3"));
};

TEST_F(StateTable, SettingTheWallClockNeitherEndsNorStretchesALease) {
    set("lease", 15s);
    now_.wall += 24h;
    now_.since_boot += 14s;
    EXPECT_TRUE(exists("lease"));
    now_.wall -= 48h;
    now_.since_boot += 2s;
    EXPECT_FALSE(exists("lease"));
}

TEST_F(StateTable, AfterARestartOfTheMachineTheWallClockDecides) {
    set("short", 15s);
    set("long", 72h);
    now_ = {.boot_id = "second boot", .since_boot = 5s, .wall = now_.wall + 1min};
    EXPECT_FALSE(exists("short"));
    EXPECT_TRUE(exists("long"));
}

TEST_F(StateTable, WithoutABootIdTheWallClockDecides) {
    now_.boot_id.reset();
    set("lease", 15s);
    now_.since_boot = 0s;
    now_.wall += 14s;
    EXPECT_TRUE(exists("lease"));
    now_.wall += 2s;
    EXPECT_FALSE(exists("lease"));
}

TEST_F(StateTable, WritesRemoveWhatHasExpired) {
    for (int index = 0; index < 10; ++index) set("lease" + std::to_string(index), 15s);
    set("kept", 72h);
    now_.wall += 1min;
    now_.since_boot += 1min;
    set("new", std::nullopt);
    EXPECT_EQ(rows(), 2);
}

TEST_F(StateTable, AWallClockSetForwardRemovesNoLivingEntry) {
    set("lease", 15s);
    now_.wall += 24h;
    now_.since_boot += 1s;
    set("new", std::nullopt);
    EXPECT_TRUE(exists("lease"));
}

TEST_F(StateTable, VersionsOfANewFileExceedThoseOfAnOldOne) {
    // Any file made after 2020 starts beyond what a million writes a second since then could have
    // reached from zero; see the schema.
    EXPECT_GT(set("key", std::nullopt), 1'577'836'800'000'000U);
}

}  // namespace
}  // namespace lovage::detail
