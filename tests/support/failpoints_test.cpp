#include "failpoints.hpp"

#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/runtime/failpoint.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::testing_support {
namespace {

using failpoint::fails;
using failpoint::Line;
using failpoint::Point;
using std::chrono_literals::operator""ms;

/// What is armed stays armed: each wish gets a process of its own.
class Failpoints : public testing::Test {
protected:
    /// How a child ends that was armed like that and then did `what`: a wait status.
    int in_child(const std::string& wish, const std::function<bool()>& what) const {
        const pid_t child = fork();
        if (child == 0) {
            setenv("LOVAGE_FAILPOINT", wish.c_str(), 1);
            setenv("LOVAGE_FAILPOINT_FILE", file_.c_str(), 1);
            arm_failpoints();
            _exit(what() ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        return status;
    }

    sqlite::TestFolder folder_;
    std::filesystem::path file_ = folder_.path() / "evidence";
};

TEST_F(Failpoints, DoNothingByThemselves) {
    EXPECT_FALSE(fails(Point::send_begins));
    EXPECT_FALSE(failpoint::left_out(Line::confirm));
}

TEST_F(Failpoints, KillOnceAndLeaveTheirEvidence) {
    const auto visit = [] { return !fails(Point::result_stored); };
    EXPECT_EQ(in_child("again-sent=kill", visit), 0) << "it is another point";
    EXPECT_FALSE(std::filesystem::exists(file_));
    const int status = in_child("result-stored=kill", visit);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_TRUE(std::filesystem::exists(file_));
    EXPECT_EQ(in_child("result-stored=kill", visit), 0) << "it has happened already";
}

TEST_F(Failpoints, FailAtTheVisitAskedFor) {
    EXPECT_EQ(in_child("acknowledged=error@3",
                       [] {
                           const bool early =
                               fails(Point::acknowledged) || fails(Point::acknowledged);
                           const bool third = fails(Point::acknowledged);
                           return !early && third && !fails(Point::acknowledged);
                       }),
              0);
}

TEST_F(Failpoints, StopAsLongAsAskedFor) {
    EXPECT_EQ(in_child("worker-received=stop:50",
                       [] {
                           const auto begin = std::chrono::steady_clock::now();
                           const bool failed = fails(Point::worker_received);
                           return !failed && std::chrono::steady_clock::now() - begin >= 50ms;
                       }),
              0);
}

TEST_F(Failpoints, RefuseWhatTheyDoNotKnow) {
    for (const char* const wish : {"nowhere=kill", "again-sent=explode", "again-sent=kill@x"}) {
        setenv("LOVAGE_FAILPOINT", wish, 1);
        EXPECT_THROW(arm_failpoints(), std::runtime_error) << wish;
    }
    unsetenv("LOVAGE_FAILPOINT");
    setenv("LOVAGE_LEAVE_OUT", "prudence", 1);
    EXPECT_THROW(arm_failpoints(), std::runtime_error);
    unsetenv("LOVAGE_LEAVE_OUT");
}

}  // namespace
}  // namespace lovage::testing_support
