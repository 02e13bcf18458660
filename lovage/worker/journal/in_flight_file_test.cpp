#include <lovage/worker/journal/in_flight_file.hpp>

#include <lovage/clients/sqlite/test_folder.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::journal {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr TimePoint kNow{1'000'000s};

class InFlightFileTest : public testing::Test {
protected:
    /// A process that does this and dies of SIGKILL.
    void die_after(const std::function<void(std::shared_ptr<InFlightFile>)>& deeds,
                   std::size_t tasks = 10) {
        const pid_t child = ::fork();
        if (child == 0) {
            if (auto file = InFlightFile::create(place_, tasks)) deeds(*file);
            ::raise(SIGKILL);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status));
    }
    void die_running(const char* task) {
        die_after([task](std::shared_ptr<InFlightFile> file) {
            new InFlightMark{std::move(file), task, kNow};
        });
    }
    std::filesystem::path only_file() {
        return std::filesystem::directory_iterator {
            place_.folder
        } -> path();
    }
    bool folder_is_empty() { return std::filesystem::is_empty(place_.folder); }

    sqlite::TestFolder folder_;
    const Place place_{folder_.path() / "made" / "journal", "group"};
};

TEST_F(InFlightFileTest, TellsWhatRanWhenTheProcessDied) {
    die_after([](const std::shared_ptr<InFlightFile>& file) {
        InFlightMark ended{file, "ended", kNow};
        new InFlightMark{file, "first", kNow};
        ended.clear();
        new InFlightMark{file, "second", kNow + 1s};
    });
    const auto dead = take_dead(place_, kNow);
    ASSERT_THAT(dead, SizeIs(1));
    EXPECT_THAT(dead[0].started(), testing::UnorderedElementsAre(StartedTask{"first", kNow},
                                                                 StartedTask{"second", kNow + 1s}));
}

TEST_F(InFlightFileTest, OfALivingProcessIsNobodyElses) {
    const auto file = InFlightFile::create(place_, 10);
    ASSERT_TRUE(file);
    const InFlightMark mark{*file, "task", kNow};
    EXPECT_THAT(take_dead(place_, kNow), IsEmpty());
}

TEST_F(InFlightFileTest, BlamesNobodyOnceItIsRemoved) {
    die_after([](const std::shared_ptr<InFlightFile>& file) {
        new InFlightMark{file, "task", kNow};
        file->remove();
    });
    EXPECT_THAT(take_dead(place_, kNow), IsEmpty());
    EXPECT_TRUE(folder_is_empty());
}

TEST_F(InFlightFileTest, IsGoneWithItsOwner) {
    ASSERT_TRUE(InFlightFile::create(place_, 10));
    EXPECT_TRUE(folder_is_empty());
}

TEST_F(InFlightFileTest, IsReadByOneAtATimeUntilItIsRemoved) {
    die_running("task");
    {
        const auto dead = take_dead(place_, kNow);
        ASSERT_THAT(dead, SizeIs(1));
        EXPECT_THAT(take_dead(place_, kNow), IsEmpty());
    }
    auto again = take_dead(place_, kNow);
    ASSERT_THAT(again, SizeIs(1));
    again[0].remove();
    EXPECT_TRUE(folder_is_empty());
}

TEST_F(InFlightFileTest, IsForWorkersOfItsGroup) {
    die_running("task");
    EXPECT_THAT(take_dead({place_.folder, "other"}, kNow), IsEmpty());
    EXPECT_FALSE(folder_is_empty());
}

TEST_F(InFlightFileTest, IsRemovedWhenNobodyAskedForItInAWeek) {
    die_running("task");
    struct stat found{};
    ASSERT_EQ(::stat(only_file().c_str(), &found), 0);
    const TimePoint later{std::chrono::seconds{found.st_mtim.tv_sec} + std::chrono::hours{24 * 8}};
    EXPECT_THAT(take_dead({place_.folder, "other"}, later), IsEmpty());
    EXPECT_TRUE(folder_is_empty());
}

TEST_F(InFlightFileTest, OfAnEarlierBootBlamesNobody) {
    die_running("task");
    std::fstream file{only_file(), std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(16) << "00000000-0000-0000-0000-000000000000";
    file.close();
    EXPECT_THAT(take_dead(place_, kNow), IsEmpty());
    EXPECT_TRUE(folder_is_empty());
}

TEST_F(InFlightFileTest, ThatIsNoneIsRemoved) {
    die_running("task");
    std::ofstream{only_file(), std::ios::binary | std::ios::trunc} << std::string(1000, '\xff');
    EXPECT_THAT(take_dead(place_, kNow), IsEmpty());
    EXPECT_TRUE(folder_is_empty());
}

TEST_F(InFlightFileTest, WithMoreRecordsThanBytesTellsWhatIsThere) {
    die_running("task");
    std::filesystem::resize_file(only_file(), 64 + 100);
    EXPECT_THAT(take_dead(place_, kNow)[0].started(), IsEmpty());
}

TEST_F(InFlightFileTest, NotesAsManyTasksAsItHasRoomFor) {
    die_after(
        [](const std::shared_ptr<InFlightFile>& file) {
            new InFlightMark{file, "one", kNow};
            {
                const InFlightMark two{file, "two", kNow};
            }
            new InFlightMark{file, std::string(InFlightFile::kIdBytesMax + 1, 'x'), kNow};
            new InFlightMark{file, std::string(InFlightFile::kIdBytesMax, 'x'), kNow};
            new InFlightMark{file, "three", kNow};
        },
        2);
    EXPECT_THAT(take_dead(place_, kNow)[0].started(),
                ElementsAre(StartedTask{"one", kNow},
                            StartedTask{std::string(InFlightFile::kIdBytesMax, 'x'), kNow}));
}

TEST_F(InFlightFileTest, IsNotMadeInAFolderThatOthersMayWriteTo) {
    std::filesystem::create_directories(place_.folder);
    ::chmod(place_.folder.c_str(), 0777);
    const auto file = InFlightFile::create(place_, 10);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, Errc::invalid_argument);
}

TEST(JournalGroup, IsTheSameWhateverThePassword) {
    const auto group = [](const char* broker) { return group_of(broker, "redis://h/0"); };
    EXPECT_EQ(group("amqp://user:old@h//"), group("amqp://user:new@h//"));
    EXPECT_NE(group("amqp://user:old@h//"), group("amqp://user:old@h//other"));
}

}  // namespace
}  // namespace lovage::journal
