#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/clients/sqlite/files.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/clients/sqlite/wake_file.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include <sqlite3.h>

namespace lovage::sqlite {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Files, FoldersAreMadeForTheirUserAlone) {
    const TestFolder folder;
    const auto inner = folder.path() / "a" / "b";
    ASSERT_TRUE(make_private_folder(inner));
    EXPECT_EQ(std::filesystem::status(inner).permissions(), std::filesystem::perms::owner_all);
    EXPECT_TRUE(make_private_folder(inner)) << "it is there already";
}

TEST(Files, AFolderThatCannotBeMadeIsNamed) {
    const TestFolder folder;
    const auto file = folder.path() / "file";
    std::ofstream{file} << "x";
    for (const auto& wanted : {file, file / "inner"}) {
        const auto made = make_private_folder(wanted);
        ASSERT_FALSE(made);
        EXPECT_EQ(made.error().code, Errc::unavailable);
        EXPECT_THAT(made.error().detail, AllOf(HasSubstr("'" + wanted.string() + "': "),
                                               HasSubstr("LOVAGE_BROKER_URL")));
    }
}

TEST(Files, APathThatCannotBeFollowedKeepsItsName) {
    const TestFolder folder;
    std::filesystem::create_symlink("loop", folder.path() / "loop");
    const auto file = folder.path() / "loop" / "broker.wake";
    EXPECT_EQ(real_path(file), file);
    const auto opened = WakeFile::open(file);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().detail, HasSubstr("'" + file.string() + "'"));
}

TEST(Files, MissingRightsAreCalledThat) {
    const Error wake = file_failure("cannot open the wake file", "/x/broker.wake", EACCES).error();
    EXPECT_EQ(wake.detail,
              "cannot open the wake file '/x/broker.wake': Permission denied: it belongs to "
              "another user? Start as that user, or set LOVAGE_BROKER_URL / "
              "LOVAGE_RESULT_BACKEND to another folder");
    const Error open = to_error(SQLITE_CANTOPEN, "unable to open", EACCES, "/x/broker.sqlite3");
    EXPECT_THAT(open.detail, AllOf(HasSubstr("'/x/broker.sqlite3': it cannot be opened: "
                                             "Permission denied: it belongs to another user?"),
                                   Not(HasSubstr("check"))));
    const Error write = to_error(SQLITE_READONLY, "readonly database", 0, "/x/broker.sqlite3");
    EXPECT_THAT(write.detail, HasSubstr("it belongs to another user?"));
}

}  // namespace
}  // namespace lovage::sqlite
