#include <lovage/results/sqlite/sqlite_results.hpp>
#include <lovage/results/sqlite/sqlite_state_store.hpp>

#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/results/conformance.hpp>

#include <gmock/gmock.h>

#include <filesystem>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::conformance {
namespace {

using namespace std::chrono_literals;

/// Runs a program to its end; true when it exited with 0.
bool run_program(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    if (posix_spawn(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return false;
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class SqliteResultStore final : public ResultStoreUnderTest {
public:
    std::unique_ptr<ResultBackend> open(Executor executor, ResultSettings settings) override {
        return make_sqlite_results(std::move(executor),
                                   {.folder = folder_.path() / "made" / "when missing",
                                    .result_expires = settings.result_expires,
                                    .result_bytes_max = settings.result_bytes_max,
                                    .now = std::move(settings.now)});
    }
    bool store_from_another_process(const std::string& task_id,
                                    const std::string& result_json) override {
        EXPECT_TRUE(run_program(
            {LOVAGE_RESULTS_PEER, folder_.path() / "made" / "when missing", task_id, result_json}));
        return true;
    }

private:
    sqlite::TestFolder folder_;
};

class SqliteStates final : public StateStoreUnderTest {
public:
    std::unique_ptr<StateStore> open(Executor executor, const ManualClock& clock) override {
        return make_sqlite_state_store(std::move(executor),
                                       {.folder = folder_.path(),
                                        .value_bytes_max = kValueBytesMax,
                                        .since_boot = [&] { return clock.since_boot(); },
                                        .now = [&] { return clock.wall(); }});
    }

private:
    sqlite::TestFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, ResultConformance,
                         testing::Values(ResultDriver{
                             "sqlite", [] { return std::make_unique<SqliteResultStore>(); }}),
                         [](const auto& driver) { return driver.param.name; });

INSTANTIATE_TEST_SUITE_P(Sqlite, StateConformance,
                         testing::Values(StateDriver{
                             "sqlite", [] { return std::make_unique<SqliteStates>(); }}),
                         [](const auto& driver) { return driver.param.name; });

TaskMeta success(std::string task_id) {
    TaskMeta meta;
    meta.task_id = std::move(task_id);
    meta.status = states::kSuccess;
    meta.result = 42;
    return meta;
}

TEST(SqliteResults, KeepRecordsWhenEverybodyHasGone) {
    const sqlite::TestFolder folder;
    const auto open = [&](Executor executor) {
        return make_sqlite_results(std::move(executor), {.folder = folder.path()});
    };
    {
        ResultConnection connection{open};
        connection.connect();
        ASSERT_EQ(connection.store(success("kept")), StoreOutcome::stored);
        ASSERT_TRUE(connection.mark_sent("sent"));
    }
    ResultConnection connection{open};
    connection.connect();
    const auto found = connection.get("kept");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ(to_json_text((*found)->result), "42");
    EXPECT_EQ(connection.is_known("sent"), true);
}

TEST(SqliteResults, NameTheirUrlWithSqlAlchemysSlashes) {
    Loop loop{"results"};
    EXPECT_EQ(make_sqlite_results(loop.executor(), {.folder = ".lovage"})->display_url(),
              "sqlite:///.lovage");
    EXPECT_EQ(make_sqlite_results(loop.executor(), {.folder = "/var/lib/lovage"})->display_url(),
              "sqlite:////var/lib/lovage");
}

TEST(SqliteResults, ReportAFolderThatCannotBeMade) {
    ResultConnection connection{[](Executor executor) {
        return make_sqlite_results(std::move(executor), {.folder = "/proc/no/such/folder"});
    }};
    const auto stored = connection.store(success("lost"));
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, Errc::disconnected);

    Loop loop{"results"};
    loop.start();
    const auto backend = make_sqlite_results(loop.executor(), {.folder = "/proc/no/such/folder"});
    const auto connected = loop.run_blocking(backend->connect(Deadline::in(30s)));
    ASSERT_FALSE(connected);
    EXPECT_EQ(connected.error().code, Errc::unavailable);
    EXPECT_THAT(connected.error().detail, testing::HasSubstr("/proc/no/such/folder"));
}

TEST(SqliteResults, SpaceOfExpiredRecordsIsUsedAgain) {
    const sqlite::TestFolder folder;
    ManualClock clock;
    ResultConnection connection{[&](Executor executor) {
        return make_sqlite_results(
            std::move(executor),
            {.folder = folder.path(), .result_expires = 1h, .now = [&] { return clock.wall(); }});
    }};
    connection.connect();
    const auto store_a_round = [&](int round) {
        for (int task = 0; task < 64; ++task) {
            TaskMeta meta = success(std::to_string(round) + "-" + std::to_string(task));
            meta.result = std::string(16'384, 'x');
            EXPECT_EQ(connection.store(std::move(meta)), StoreOutcome::stored);
        }
    };
    const auto file_bytes = [&] {
        return std::filesystem::file_size(folder.path() / "results.sqlite3") +
               std::filesystem::file_size(folder.path() / "results.sqlite3-wal");
    };
    for (int round = 0; round < 12; ++round) {
        store_a_round(round);
        clock.advance(2h);
    }
    // One round is 1 MiB: two of them at a time, and the write-ahead log before its first
    // checkpoint.
    EXPECT_LT(file_bytes(), std::uintmax_t{14} << 20U);
}

}  // namespace
}  // namespace lovage::conformance
