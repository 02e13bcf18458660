#include <lovage/clients/sqlite/database.hpp>
#include <lovage/clients/sqlite/detail/reserve.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/runtime/loop.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <future>
#include <latch>
#include <optional>
#include <thread>

namespace lovage::sqlite {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::array<Sql, 1> kSteps{
    "CREATE TABLE fact(id INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT"};
constexpr Schema kSchema{"test", 0x54455354, kSteps};
constexpr Sql kInsert{"INSERT INTO fact(name) VALUES (?)"};

auto insert(std::string name) {
    return
        [name = std::move(name)](Connection& connection) { return connection.run(kInsert, name); };
}

auto count() {
    return [](Connection& connection) { return connection.integer("SELECT count(*) FROM fact"); };
}

class SqliteDatabase : public ::testing::Test {
protected:
    void SetUp() override {
        loop_.start();
        open();
    }
    void TearDown() override { close(); }

    void open() {
        database_ = Database::open({.file = file(), .schema = kSchema});
        loop_.run_blocking(make_session());
    }
    void close() {
        loop_.run_blocking(drop_session());
        database_.reset();
    }
    Awaitable<void> make_session() {
        session_ = std::make_unique<Session>(database_, loop_.executor());
        co_return;
    }
    Awaitable<void> drop_session() {
        session_.reset();
        co_return;
    }
    [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "facts.sqlite3"; }

    template <class F>
    auto run(F op, Deadline deadline = Deadline::in(10s)) {
        return loop_.run_blocking(run_on_loop(std::move(op), deadline));
    }
    template <class F>
    Awaitable<std::invoke_result_t<F&, Connection&>> run_on_loop(F op, Deadline deadline) {
        co_return co_await session_->run(std::move(op), deadline);
    }
    Result<void> flush() { return loop_.run_blocking(session_->flush(Deadline::in(10s))); }
    std::int64_t rows() { return run(count())->value(); }

    /// Keeps the writer's thread busy until the returned latch is counted down.
    std::shared_ptr<std::latch> hold_writer() {
        auto release = std::make_shared<std::latch>(1);
        auto started = std::make_shared<std::latch>(1);
        post([release, started, first = true](Connection&) mutable -> Result<void> {
            if (std::exchange(first, false)) {
                started->count_down();
                release->wait();
            }
            return {};
        });
        started->wait();
        return release;
    }
    template <class F>
    void post(F op) {
        on_loop([this, op = std::move(op)]() mutable { session_->post(std::move(op)); });
    }
    /// Submits now; the outcome arrives in the future.
    template <class F>
    auto submit(F op, Deadline deadline = Deadline::in(10s)) {
        using R = std::invoke_result_t<F&, Connection&>;
        auto promise = std::make_shared<std::promise<R>>();
        auto future = promise->get_future();
        on_loop([this, op = std::move(op), deadline, promise]() mutable {
            session_->submit(std::move(op), deadline,
                             [promise](R outcome) { promise->set_value(std::move(outcome)); });
        });
        return future;
    }
    template <class F>
    void on_loop(F action) {
        loop_.call(std::move(action));
    }

    TestFolder folder_;
    Loop loop_{"test"};
    std::shared_ptr<Database> database_;
    std::unique_ptr<Session> session_;
};

TEST_F(SqliteDatabase, RunsAnOperationAndReturnsItsOutcome) {
    EXPECT_EQ(run(insert("a")).value(), 1);
    EXPECT_EQ(rows(), 1);
}

TEST_F(SqliteDatabase, IsSharedByEverybodyInTheProcessWhoOpensTheSameFile) {
    EXPECT_EQ(Database::open({.file = folder_.path() / "." / "facts.sqlite3", .schema = kSchema}),
              database_);
}

TEST_F(SqliteDatabase, CommitsWhatIsQueuedTogetherAndInOrder) {
    ASSERT_EQ(rows(), 0);
    auto release = hold_writer();
    std::vector<std::future<Result<std::int64_t>>> outcomes;
    for (int i = 0; i < 100; ++i) outcomes.push_back(submit(insert(std::to_string(i))));
    const auto before = database_->counters();
    release->count_down();
    for (auto& outcome : outcomes) EXPECT_TRUE(outcome.get());
    EXPECT_LE(database_->counters().commits - before.commits, 3U);
    EXPECT_EQ(
        run([](Connection& c) { return c.integer("SELECT max(id - name) FROM fact"); })->value(),
        1);
}

TEST_F(SqliteDatabase, AFailureThatChangedNothingCostsTheOthersNothing) {
    ASSERT_TRUE(run(insert("taken")));
    auto release = hold_writer();
    auto first = submit(insert("first"));
    auto doubled = submit(insert("taken"));
    auto last = submit(insert("last"));
    release->count_down();
    EXPECT_TRUE(first.get());
    EXPECT_EQ(doubled.get().error().code, Errc::conflict);
    EXPECT_TRUE(last.get());
    EXPECT_EQ(database_->counters().isolated, 0U);
    EXPECT_EQ(rows(), 3);
}

TEST_F(SqliteDatabase, AFailureAfterAChangeLeavesNoTraceAndDoesNotPoisonItsBatch) {
    ASSERT_TRUE(run(insert("taken")));
    auto release = hold_writer();
    auto first = submit(insert("first"));
    auto half = submit([](Connection& connection) -> Result<std::int64_t> {
        if (auto done = connection.run(kInsert, "half"); !done) return done;
        return connection.run(kInsert, "taken");
    });
    auto thrown = submit([](Connection& connection) -> Result<void> {
        (void)connection.run(kInsert, "thrown");
        throw std::runtime_error{"out of luck"};
    });
    auto last = submit(insert("last"));
    release->count_down();
    EXPECT_TRUE(first.get());
    EXPECT_EQ(half.get().error().code, Errc::conflict);
    const auto error = thrown.get().error();
    EXPECT_EQ(error.code, Errc::internal);
    EXPECT_EQ(error.detail, "out of luck");
    EXPECT_TRUE(last.get());
    EXPECT_EQ(rows(), 3);
    EXPECT_GE(database_->counters().isolated, 1U);
}

TEST_F(SqliteDatabase, AnOperationWithdrawnAtItsDeadlineIsNotRun) {
    ASSERT_EQ(rows(), 0);
    auto release = hold_writer();
    EXPECT_EQ(submit(insert("late"), Deadline::in(1ms)).get().error().code,
              Errc::deadline_exceeded);
    release->count_down();
    EXPECT_TRUE(flush());
    EXPECT_EQ(rows(), 0);
}

TEST_F(SqliteDatabase, AnOperationUnderWayAtItsDeadlineHasAnUnknownOutcome) {
    ASSERT_EQ(rows(), 0);
    auto started = std::make_shared<std::latch>(1);
    auto release = std::make_shared<std::latch>(1);
    auto outcome = submit(
        [=](Connection& connection) {
            started->count_down();
            release->wait();
            return connection.run(kInsert, "slow");
        },
        Deadline::in(2s));
    started->wait();
    EXPECT_EQ(outcome.get().error().code, Errc::unknown_outcome);
    release->count_down();
    EXPECT_TRUE(flush());
    EXPECT_EQ(rows(), 1);
}

TEST_F(SqliteDatabase, FlushWaitsForPostsAndReportsTheirFirstError) {
    ASSERT_TRUE(run(insert("taken")));
    post(insert("taken"));
    post(insert("free"));
    const auto flushed = flush();
    ASSERT_FALSE(flushed);
    EXPECT_EQ(flushed.error().code, Errc::conflict);
    EXPECT_TRUE(flush());
    EXPECT_EQ(rows(), 2);
}

TEST_F(SqliteDatabase, RefusesMoreThanItsQueueHoldsButNeverAPost) {
    close();
    database_ = Database::open({.file = file(), .schema = kSchema, .queue_max = 2});
    loop_.run_blocking(make_session());
    ASSERT_EQ(rows(), 0);
    auto release = hold_writer();
    auto first = submit(insert("1"));
    auto second = submit(insert("2"));
    EXPECT_EQ(submit(insert("3")).get().error().code, Errc::unavailable);
    post(insert("4"));
    release->count_down();
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
    EXPECT_TRUE(flush());
    EXPECT_EQ(rows(), 3);
}

TEST_F(SqliteDatabase, ClosingASessionEndsItsWaitersAndStillRunsItsPosts) {
    ASSERT_EQ(rows(), 0);
    auto release = hold_writer();
    auto outcome = submit(insert("withdrawn"));
    post(insert("posted"));
    loop_.run_blocking(drop_session());
    EXPECT_EQ(outcome.get().error().code, Errc::closed);
    release->count_down();
    loop_.run_blocking(make_session());
    EXPECT_EQ(rows(), 1);
}

TEST_F(SqliteDatabase, AnOutcomeMayEndTheSessionBeforeTheOthersOfItsBatchWereHeard) {
    ASSERT_EQ(rows(), 0);
    auto release = hold_writer();
    on_loop([this] {
        session_->submit(insert("first"), Deadline::in(10s),
                         [this](const Result<std::int64_t>&) { session_.reset(); });
    });
    auto second = submit(insert("second"));
    auto third = submit(insert("third"));
    post(insert("posted"));
    release->count_down();
    EXPECT_TRUE(second.get());
    EXPECT_TRUE(third.get());
    loop_.run_blocking(make_session());
    EXPECT_EQ(rows(), 4);
}

TEST_F(SqliteDatabase, WhatWasCommittedIsThereAfterReopening) {
    ASSERT_TRUE(run(insert("kept")));
    close();
    open();
    EXPECT_EQ(rows(), 1);
}

TEST_F(SqliteDatabase, ReportsWhyTheFileCannotBeOpenedAndTriesAgain) {
    close();
    const auto folder = folder_.path() / "blocked";
    {
        std::ofstream{folder} << "a file where the folder should be";
    }
    database_ = Database::open({.file = folder / "facts.sqlite3", .schema = kSchema});
    loop_.run_blocking(make_session());
    const auto refused = run(count());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_THAT(refused.error().detail, HasSubstr("blocked"));
    std::filesystem::remove(folder);
    EXPECT_TRUE(run(count()));
}

TEST_F(SqliteDatabase, RefusesEverythingOnceItsFileIsNotInItsPlaceAnyMore) {
    close();
    const auto folder = folder_.path() / "project";
    const auto moved = folder_.path() / "moved";
    const auto live = folder / "facts.sqlite3";
    database_ = Database::open({.file = live, .schema = kSchema});
    loop_.run_blocking(make_session());
    ASSERT_TRUE(run(insert("a")));

    std::filesystem::rename(folder, moved);
    const auto refused = run(insert("gone"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_THAT(refused.error().detail,
                HasSubstr("facts.sqlite3' was removed while it was in use: restart this program"));
    EXPECT_FALSE(std::filesystem::exists(folder));

    std::filesystem::create_directories(folder);
    {
        auto other = Connection::open(live);
        ASSERT_TRUE(other);
        ASSERT_TRUE((*other)->script("CREATE TABLE other(id)"));
    }
    const auto replaced = run(insert("elsewhere"));
    ASSERT_FALSE(replaced);
    EXPECT_EQ(replaced.error().code, Errc::unavailable);

    std::filesystem::remove_all(folder);
    std::filesystem::rename(moved, folder);
    EXPECT_EQ(rows(), 1) << "it works again once the same file is back";
}

TEST_F(SqliteDatabase, WaitsForAnotherProcessesTransactionWithinTheDeadline) {
    ASSERT_EQ(rows(), 0);
    auto other = Connection::open(file());
    ASSERT_TRUE(other);
    ASSERT_TRUE((*other)->script("BEGIN IMMEDIATE"));
    EXPECT_EQ(run(insert("a"), Deadline::in(20ms)).error().code, Errc::deadline_exceeded);
    auto waiting = submit(insert("b"));
    while (database_->counters().contended < 2) std::this_thread::yield();
    ASSERT_TRUE((*other)->script("COMMIT"));
    EXPECT_TRUE(waiting.get());
    EXPECT_EQ(rows(), 1);
}

TEST_F(SqliteDatabase, AFullFileRefusesWhatDoesNotFitAndStaysUsable) {
    // A page limit makes SQLite say FULL as a full disk does.
    ASSERT_EQ(rows(), 0);
    ASSERT_TRUE(run([](Connection& c) { return c.script("PRAGMA max_page_count = 8"); }));
    auto release = hold_writer();
    auto small = submit(insert("small"));
    auto large = submit(insert(std::string(200'000, 'x')));
    auto other = submit(insert("other"));
    release->count_down();
    EXPECT_TRUE(small.get());
    const auto refused = large.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_THAT(refused.error().detail, HasSubstr("the disk is full"));
    EXPECT_TRUE(other.get());
    EXPECT_EQ(rows(), 2);
}

TEST_F(SqliteDatabase, IsNotLowOnSpaceAnyMoreWhenAnotherProcessTookTheReserveBack) {
    constexpr std::int64_t kReserve = 65'536;
    close();
    database_ = Database::open({.file = file(), .schema = kSchema, .reserve_bytes = kReserve});
    loop_.run_blocking(make_session());
    const auto low = [](Connection& c) -> Result<bool> { return c.low_on_space(); };
    EXPECT_FALSE(run(low).value());
    ASSERT_TRUE(run([](Connection& c) { return c.script("PRAGMA max_page_count = 8"); }));
    auto release = hold_writer();
    auto large = submit(insert(std::string(200'000, 'x')));
    auto after = submit(low);
    release->count_down();
    EXPECT_FALSE(large.get());
    EXPECT_TRUE(after.get().value());

    detail::Reserve other;  // opening it takes the space back at once
    ASSERT_TRUE(other.open(file(), kReserve));
    EXPECT_FALSE(other.low());
    (void)run(low);  // after its outcome was sent the writer looks at the reserve
    (void)run(low);
    EXPECT_FALSE(run(low).value());
}

TEST_F(SqliteDatabase, KeepsTheWriteAheadLogShort) {
    ASSERT_EQ(rows(), 0);
    const std::string name(100'000, 'x');
    for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(run([&](Connection& c) { return c.run("UPDATE fact SET name = ?", name); }));
        ASSERT_TRUE(run([&](Connection& c) {
            return c.run("INSERT OR REPLACE INTO fact VALUES (1, ?)", name);
        }));
    }
    // 1,000 transactions wrote 100 MB; checkpoints start the log over at 2,000 pages (8 MB).
    EXPECT_LT(std::filesystem::file_size(file().string() + "-wal"), std::uintmax_t{16} << 20U);
}

TEST_F(SqliteDatabase, ManyLoopsShareOneWriter) {
    constexpr int kLoops = 4;
    constexpr int kEach = 200;
    std::vector<std::thread> threads;
    std::atomic<int> failures{0};
    for (int number = 0; number < kLoops; ++number) {
        threads.emplace_back([&, number] {
            Loop loop{"many"};
            loop.start();
            std::optional<Session> session;
            std::promise<void> done;
            int left = kEach;
            loop.post([&] {
                session.emplace(database_, loop.executor());
                for (int i = 0; i < kEach; ++i) {
                    session->submit(insert(std::to_string(number * kEach + i)), Deadline::in(10s),
                                    [&](const Result<std::int64_t>& outcome) {
                                        if (!outcome) ++failures;
                                        if (--left == 0) done.set_value();
                                    });
                }
            });
            done.get_future().wait();
            std::promise<void> gone;
            loop.post([&] {
                session.reset();
                gone.set_value();
            });
            gone.get_future().wait();
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(failures, 0);
    EXPECT_EQ(rows(), kLoops * kEach);
}

}  // namespace
}  // namespace lovage::sqlite
