#include <lovage/worker/state_reports.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/turned_loop.hpp>

namespace lovage {
namespace {

class StateReportsTest : public TurnedLoop {
protected:
    std::shared_ptr<StateReports> reports_ =
        std::make_shared<StateReports>(loop_.get_executor(), [this] { ++news_; });
    std::shared_ptr<TaskRequest> task_ = std::make_shared<TaskRequest>();
    std::shared_ptr<TaskRequest> other_ = std::make_shared<TaskRequest>();
};

TEST_F(StateReportsTest, TheLatestOfEachTaskIsNewsOnce) {
    reports_->report({task_, "PROGRESS", 1});
    reports_->report({other_, "STARTED", 1});
    reports_->report({task_, "PROGRESS", 2});
    turn();
    EXPECT_EQ(news_, 1);
    const auto taken = reports_->take();
    ASSERT_EQ(taken.size(), 2U);
    for (const StateReport& report : taken) {
        if (report.request == task_) EXPECT_EQ(report.meta, Json{2});
    }
    EXPECT_TRUE(reports_->take().empty());

    reports_->report({task_, "PROGRESS", 3});
    turn();
    EXPECT_EQ(news_, 2);
}

TEST_F(StateReportsTest, ATaskThatEndsTakesItsOwnAlong) {
    reports_->report({task_, "PROGRESS", 1});
    reports_->report({other_, "PROGRESS", 2});
    const auto last = reports_->take(task_);
    ASSERT_TRUE(last);
    EXPECT_EQ(last->meta, Json{1});
    EXPECT_FALSE(reports_->take(task_));
    EXPECT_EQ(reports_->take().size(), 1U);
}

TEST_F(StateReportsTest, AfterItsEndNothingIsNews) {
    reports_->report({task_, "PROGRESS", 1});
    reports_->close();
    reports_->report({task_, "PROGRESS", 2});
    turn();
    EXPECT_EQ(news_, 0);
    EXPECT_TRUE(reports_->take().empty());
}

}  // namespace
}  // namespace lovage
