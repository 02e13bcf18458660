#include <lovage/results/sqlite/result_table.hpp>

#include <lovage/clients/sqlite/test_folder.hpp>

#include <gmock/gmock.h>

#include <memory>

namespace lovage::detail {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TimePoint at(std::chrono::seconds after) {
    return TimePoint{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21}} + after;
}

class ResultTable : public testing::Test {
protected:
    ResultTable() {
        value_or_throw(sqlite::migrate(*connection_, result_table::schema()));
        value_or_throw(connection_->script("BEGIN"));  // As the operations always find it.
    }

    StoreOutcome store(std::string_view task_id, std::string_view status = states::kSuccess,
                       std::optional<TimePoint> expires_at = at(3600s),
                       std::string_view json = "{}") {
        return value_or_throw(result_table::store(
            *connection_,
            {.task_id = task_id, .status = status, .json = json, .expires_at = expires_at},
            at(0s)));
    }
    result_table::Changes changes_since(std::int64_t seq, std::size_t limit = 100) {
        return value_or_throw(result_table::changes_since(*connection_, seq, limit));
    }
    std::int64_t last_seq() { return value_or_throw(result_table::last_seq(*connection_)); }
    std::int64_t rows() {
        return value_or_throw(connection_->integer("SELECT count(*) FROM result")).value();
    }
    void sweep(TimePoint now) { value_or_throw(result_table::sweep(*connection_, now)); }

    sqlite::TestFolder folder_;
    std::unique_ptr<sqlite::Connection> connection_ =
        value_or_throw(sqlite::Connection::open(folder_.path() / "results.sqlite3"));
};

TEST_F(ResultTable, ChangesAreWhatWasWrittenSince) {
    store("a");
    const auto seen = last_seq();
    EXPECT_THAT(changes_since(0).ready_ids, ElementsAre("a"));
    EXPECT_THAT(changes_since(seen).ready_ids, IsEmpty());
    store("b");
    store("c", states::kStarted);
    EXPECT_THAT(changes_since(seen).ready_ids, ElementsAre("b"));
    EXPECT_EQ(changes_since(seen).last_seq, last_seq());
}

TEST_F(ResultTable, ARecordWrittenAgainIsAChange) {
    store("a", states::kStarted);
    store("b");
    const auto seen = last_seq();
    store("a");
    EXPECT_THAT(changes_since(seen).ready_ids, ElementsAre("a"));
    EXPECT_EQ(rows(), 2);
}

TEST_F(ResultTable, ARefusedRecordIsNoChange) {
    store("a");
    const auto changes = changes_since(0);
    EXPECT_EQ(store("a", states::kFailure), StoreOutcome::kept_existing);
    EXPECT_THAT(changes_since(changes.last_seq).ready_ids, IsEmpty());
}

TEST_F(ResultTable, NumbersOfRemovedRowsAreNotGivenAgain) {
    store("a");
    store("b");
    const auto seen = last_seq();
    value_or_throw(result_table::forget(*connection_, "b"));
    value_or_throw(result_table::forget(*connection_, "a"));
    store("c");
    EXPECT_THAT(changes_since(seen).ready_ids, ElementsAre("c"));
}

TEST_F(ResultTable, ManyChangesAreReadInPieces) {
    for (const auto* const id : {"a", "b", "c", "d", "e"}) store(id);
    const auto first = changes_since(0, 3);
    EXPECT_THAT(first.ready_ids, ElementsAre("a", "b", "c"));
    EXPECT_FALSE(first.complete);
    const auto second = changes_since(first.last_seq, 3);
    EXPECT_THAT(second.ready_ids, ElementsAre("d", "e"));
    EXPECT_TRUE(second.complete);
}

TEST_F(ResultTable, SweepRemovesWhatHasExpiredAndNothingElse) {
    store("past", states::kSuccess, at(10s));
    store("future", states::kSuccess, at(20s));
    store("forever", states::kSuccess, std::nullopt);
    value_or_throw(result_table::mark_sent(*connection_, "mark", at(10s)));
    sweep(at(15s));
    EXPECT_EQ(rows(), 2);
    EXPECT_TRUE(value_or_throw(result_table::get(*connection_, "future", at(15s))).has_value());
    EXPECT_TRUE(value_or_throw(result_table::get(*connection_, "forever", at(15s))).has_value());
    EXPECT_EQ(connection_->integer("SELECT count(*) FROM sent").value(), 0);
}

TEST_F(ResultTable, SweepStopsAtABoundedAmountOfRows) {
    for (int task = 0; task < 300; ++task) {
        store("task" + std::to_string(task), states::kSuccess, at(10s));
    }
    sweep(at(15s));
    EXPECT_EQ(rows(), 300 - 256);
    sweep(at(15s));
    EXPECT_EQ(rows(), 0);
}

TEST_F(ResultTable, SweepStopsAtABoundedAmountOfBytes) {
    const std::string big(3U << 20U, 'x');
    for (const auto* const id : {"a", "b", "c", "d"}) store(id, states::kSuccess, at(10s), big);
    sweep(at(15s));
    EXPECT_EQ(rows(), 2);
}

}  // namespace
}  // namespace lovage::detail
