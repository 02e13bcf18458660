// `quarantine list|show|replay|drop` and `status`, from a program that has only just been started:
// it has declared nothing, so it must find the quarantines by itself, on either broker.

#include "both_brokers.hpp"

#include <lovage/app/queues.hpp>
#include <lovage/cli/commands.hpp>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using cli::QuarantineArguments;
using KeptAction = cli::QuarantineArguments::Action;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class QuarantineCommands : public BothBrokers {
protected:
    /// Leaves calls of a task that no worker knows in the quarantine of `queue`.
    std::vector<std::string> keep(std::size_t calls, const std::string& queue = "celery") {
        Settings settings = settings_;
        settings.task_default_queue = queue;
        App app{"worker", std::move(settings)};
        RunningWorker worker{app};
        std::vector<std::string> ids;
        for (std::size_t i = 0; i < calls; ++i) {
            ids.push_back(app.send_task("no.such.task", Json::array({std::int64_t(i)})).id());
        }
        wait_for([&] { return messages_in(app, quarantine_queue(queue)) == calls; });
        EXPECT_TRUE(worker.stop());
        return ids;
    }

    /// What a person's program prints, and how it ends.
    int quarantine(QuarantineArguments arguments) {
        App app{"person", settings_};
        out_.str("");
        err_.str("");
        return cli::run_quarantine(app, arguments, console_);
    }

    std::ostringstream out_;
    std::ostringstream err_;
    std::istringstream in_;
    cli::Console console_{out_, err_, in_};
};
LOVAGE_ON_BOTH_BROKERS(QuarantineCommands);

TEST_P(QuarantineCommands, FindWhatWorkersKept) {
    const auto ids = keep(2);
    EXPECT_EQ(quarantine({.action = KeptAction::list}), 0) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr(ids[0]), HasSubstr(ids[1]), HasSubstr("no.such.task"),
                                  HasSubstr("2 messages in quarantine")));
    EXPECT_EQ(quarantine({.action = KeptAction::show, .ids = {ids[0]}}), 0) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("not-registered"), Not(HasSubstr(ids[1]))));
    EXPECT_EQ(quarantine({.action = KeptAction::drop, .ids = {ids[1]}}), 0) << err_.str();
    EXPECT_EQ(out_.str(), "Dropped 1 message.\n");
    EXPECT_EQ(quarantine({.action = KeptAction::replay, .ids = {ids[0]}}), 0) << err_.str();
    EXPECT_EQ(quarantine({.action = KeptAction::list}), 0) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("Nothing is in quarantine."));
    App app{"person", settings_};
    EXPECT_EQ(messages_in(app, "celery"), 1U);
}

TEST_P(QuarantineCommands, FindWhatIsKeptInQuorumQueues) {
    const auto others = keep(1, "a-classic-queue");
    settings_.delivery = DeliveryProfile::quorum;
    const auto ids = keep(2);
    EXPECT_EQ(quarantine({.action = KeptAction::list, .queues = {"a-classic-queue", "celery"}}), 0)
        << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr(ids[0]), HasSubstr(ids[1]), HasSubstr(others[0]),
                                  HasSubstr("3 messages")));
    EXPECT_EQ(quarantine({.action = KeptAction::replay, .ids = {ids[0]}}), 0) << err_.str();
    EXPECT_EQ(out_.str(), "Replayed 1 message.\n") << err_.str();
}

TEST_P(QuarantineCommands, AnotherQueueIsNamedOrListedByTheBroker) {
    const auto ids = keep(1, "mail");
    EXPECT_EQ(quarantine({.action = KeptAction::list, .queues = {"mail"}}), 0) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr(ids[0]));
    EXPECT_EQ(quarantine({.action = KeptAction::list}), 0) << err_.str();
    if (vhost_) {
        EXPECT_THAT(out_.str(), HasSubstr("this is about celery. Name others with -Q."));
    } else {
        EXPECT_THAT(out_.str(), HasSubstr(ids[0]));
    }
    EXPECT_EQ(quarantine({.action = KeptAction::list, .queues = {"nobody"}}), 0) << err_.str();
    EXPECT_EQ(out_.str(), "Nothing is in quarantine.\n");
}

TEST_P(QuarantineCommands, StatusCountsIt) {
    (void)keep(1);
    App app{"person", settings_};
    (void)cli::run_status(app, {}, console_);
    EXPECT_THAT(out_.str(), HasSubstr("celery.quarantine      1")) << err_.str();
}

}  // namespace
}  // namespace lovage::integration
