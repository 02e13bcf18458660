#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string>

namespace lovage::sqlite {
namespace {

using ::testing::HasSubstr;

constexpr std::array<Sql, 1> kVersion1{
    "CREATE TABLE fact(id INTEGER PRIMARY KEY, name TEXT, body BLOB) STRICT"};
constexpr std::array<Sql, 2> kVersion2{kVersion1[0], "ALTER TABLE fact ADD COLUMN weight REAL"};
constexpr Schema kSchema1{"test", 0x54455354, kVersion1};
constexpr Schema kSchema2{"test", 0x54455354, kVersion2};

class SqliteConnection : public ::testing::Test {
protected:
    std::unique_ptr<Connection> open() {
        auto opened = Connection::open(folder_.path() / "facts.sqlite3");
        EXPECT_TRUE(opened) << opened.error().message();
        return opened ? std::move(*opened) : nullptr;
    }
    TestFolder folder_;
};

TEST_F(SqliteConnection, ManyProcessesCanOpenAndCloseAFileAtTheSameMoment) {
    for (int round = 0; round < 10; ++round) {
        const auto file = folder_.path() / ("new-" + std::to_string(round));
        std::array<pid_t, 6> children{};
        for (pid_t& child : children) {
            child = fork();
            if (child == 0) {
                // The last one to close removes the log, which needs the file for itself.
                for (int time = 0; time < 5; ++time) {
                    auto opened = Connection::open(file);
                    const auto done = opened ? migrate(**opened, kSchema1)
                                             : Result<void>{std::unexpected{opened.error()}};
                    if (done) continue;
                    std::fputs((done.error().message() + "\n").c_str(), stderr);
                    _exit(1);
                }
                _exit(0);
            }
        }
        for (const pid_t child : children) {
            int status = -1;
            ASSERT_EQ(waitpid(child, &status, 0), child);
            EXPECT_EQ(status, 0);
        }
    }
}

TEST_F(SqliteConnection, OpensInWalModeWithFullSynchronousAndPrivateRights) {
    const auto connection = open();
    auto mode = connection->query("PRAGMA journal_mode");
    ASSERT_TRUE(mode.step().value());
    EXPECT_EQ(mode.text(0), "wal");
    EXPECT_EQ(connection->integer("PRAGMA synchronous")->value(), 2);
    EXPECT_EQ(connection->integer("PRAGMA foreign_keys")->value(), 1);
    EXPECT_EQ(connection->integer("PRAGMA secure_delete")->value(), 0);
    struct stat status{};
    ASSERT_EQ(stat(connection->file().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(SqliteConnection, BindsAndReadsEveryType) {
    const auto connection = open();
    const std::string bytes{"a\0b", 3};
    auto row =
        connection->query("SELECT ?, ?, ?, ?, ?, ?, ?", -7, true, 2.5, "text\0more", Blob{bytes},
                          std::optional<int>{}, std::optional<std::string_view>{""});
    ASSERT_TRUE(row.step().value());
    EXPECT_EQ(row.integer(0), -7);
    EXPECT_EQ(row.integer(1), 1);
    EXPECT_EQ(row.real(2), 2.5);
    EXPECT_EQ(row.text(3), "text");
    EXPECT_EQ(row.blob(4), bytes);
    EXPECT_TRUE(row.is_null(5));
    EXPECT_FALSE(row.is_null(6));
    EXPECT_EQ(row.text(6), "");
    EXPECT_FALSE(row.step().value());
}

TEST_F(SqliteConnection, RunTellsHowManyRowsChanged) {
    const auto connection = open();
    ASSERT_TRUE(migrate(*connection, kSchema1));
    EXPECT_EQ(connection->run("INSERT INTO fact(name) VALUES (?), (?)", "a", "b").value(), 2);
    EXPECT_EQ(connection->run("DELETE FROM fact WHERE name = ?", "c").value(), 0);
    EXPECT_EQ(connection->last_insert_id(), 2);
}

TEST_F(SqliteConnection, AStatementIsReusableAfterAnError) {
    const auto connection = open();
    ASSERT_TRUE(migrate(*connection, kSchema1));
    constexpr Sql kInsert{"INSERT INTO fact(id) VALUES (?)"};
    ASSERT_TRUE(connection->run(kInsert, 1));
    const auto doubled = connection->run(kInsert, 1);
    ASSERT_FALSE(doubled);
    EXPECT_EQ(doubled.error().code, Errc::conflict);
    EXPECT_TRUE(connection->run(kInsert, 2));
}

TEST_F(SqliteConnection, UpgradesAnOlderFileAndRefusesANewerOneByNameAndVersion) {
    {
        const auto connection = open();
        ASSERT_TRUE(migrate(*connection, kSchema1));
        ASSERT_TRUE(connection->run("INSERT INTO fact(name) VALUES ('kept')"));
    }
    {
        const auto connection = open();
        ASSERT_TRUE(migrate(*connection, kSchema2));
        EXPECT_EQ(connection->integer("SELECT count(*) FROM fact WHERE weight IS NULL")->value(),
                  1);
    }
    const auto refused = migrate(*open(), kSchema1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::malformed);
    EXPECT_THAT(refused.error().detail, HasSubstr("facts.sqlite3' has test schema version 2"));
    EXPECT_THAT(refused.error().detail, HasSubstr("knows versions up to 1"));
}

TEST_F(SqliteConnection, RefusesTheDatabaseOfAnotherProgram) {
    const auto connection = open();
    ASSERT_TRUE(connection->script("CREATE TABLE theirs(x)"));
    const auto refused = migrate(*connection, kSchema1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::malformed);
    EXPECT_THAT(refused.error().detail, HasSubstr("another program"));
}

TEST_F(SqliteConnection, NamesTheFileThatIsNoDatabase) {
    std::ofstream{folder_.path() / "facts.sqlite3"} << std::string(4096, 'x');
    const auto opened = Connection::open(folder_.path() / "facts.sqlite3");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::malformed);
    EXPECT_THAT(opened.error().detail,
                HasSubstr("facts.sqlite3': the file is not a SQLite database"));
}

TEST_F(SqliteConnection, NamesTheFolderThatIsMissing) {
    const auto opened = Connection::open(folder_.path() / "missing" / "facts.sqlite3");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::unavailable);
    EXPECT_THAT(opened.error().detail, HasSubstr("No such file or directory"));
}

TEST(SqliteErrors, SayWhatHappenedAndWhatToDo) {
    const std::filesystem::path file{"/data/broker.sqlite3"};
    EXPECT_EQ(to_error(SQLITE_FULL, "database or disk is full", 0, file).code, Errc::unavailable);
    EXPECT_EQ(to_error(SQLITE_IOERR_WRITE, "disk I/O error", 5, file).code, Errc::unavailable);
    EXPECT_EQ(to_error(SQLITE_BUSY_RECOVERY, "locked", 0, file).code, Errc::unavailable);
    EXPECT_EQ(to_error(SQLITE_CORRUPT_INDEX, "malformed", 0, file).code, Errc::malformed);
    EXPECT_EQ(to_error(SQLITE_CONSTRAINT_UNIQUE, "unique", 0, file).code, Errc::conflict);
    EXPECT_THAT(to_error(SQLITE_FULL, "database or disk is full", 0, file).message(),
                HasSubstr("'/data/broker.sqlite3': the disk is full: free space"));
}

}  // namespace
}  // namespace lovage::sqlite
