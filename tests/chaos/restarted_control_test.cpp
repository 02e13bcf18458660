// Remote control when its RabbitMQ is killed and started again: who asks and who answers find each
// other anew, and nothing of before is left.
#include "own_rabbitmq.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>
#include <tests/support/running_worker.hpp>

#include <chrono>
#include <future>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>

#include <gmock/gmock.h>

namespace lovage::chaos {
namespace {

using testing::ElementsAre;
using testing::Key;
using Clock = std::chrono::steady_clock;

/// After the server answers again: the longest pause of a reconnect is two seconds.
constexpr auto kBackWithin = 10s;
constexpr const char* kNode = "w@restarted";

class RestartedControl : public testing::Test {
protected:
    RestartedControl() {
        register_default_drivers();
        log::configure({.level = log::Level::off});  // what goes wrong here is no news
        settings_.broker_url = server_.url();
        settings_.result_backend = "sqlite:///" + folder_.path().string();
    }

    /// Nothing while nobody can be asked.
    static std::optional<NodeReplies> ask(const App& app, ControlCommand command) {
        try {
            return app.control().broadcast(std::move(command), {.timeout = 1s, .limit = 1});
        } catch (const LovageError&) {
            return std::nullopt;
        }
    }
    /// How long it takes until a worker answers.
    static Clock::duration until_answered(const App& app) {
        const auto start = Clock::now();
        while (Clock::now() < start + kLong) {
            const auto replies = ask(app, control::ping());
            if (replies && !replies->empty()) break;
        }
        return Clock::now() - start;
    }
    std::string queues() { return server_.query("list_queues --quiet --no-table-headers name"); }

    OwnRabbitMq server_{"chaos-rabbitmq-control"};
    sqlite::TestFolder folder_;
    Settings settings_;
};

TEST_F(RestartedControl, IsThereAgainWithinSeconds) {
    App working{"working", settings_};
    std::binary_semaphore begun{0};
    std::binary_semaphore go_on{0};
    auto hold = working.task("hold", [&] {
        begun.release();
        go_on.acquire();
    });
    RunningWorker worker{working, 1, kNode};
    (void)hold.delay();
    begun.acquire();  // its only slot is busy from here on
    const App asking{"asking", settings_};
    ASSERT_LT(until_answered(asking), kBackWithin);

    for (int round = 0; round < 2; ++round) {
        // A question that is under way must end, too.
        auto unanswered = std::async(std::launch::async, [&] {
            return asking.control().broadcast(control::ping(),
                                              {.destination = {"nobody@h"}, .timeout = 2s});
        });
        server_.kill();
        server_.start();
        EXPECT_LT(until_answered(asking), kBackWithin);
        try {
            EXPECT_TRUE(unanswered.get().empty());
        } catch (const LovageError&) {  // NOLINT(bugprone-empty-catch): it ended
        }
        const App newcomer{"newcomer", settings_};
        EXPECT_LT(until_answered(newcomer), kBackWithin);
        // Not one of them goes into a mailbox that nobody reads.
        for (int i = 0; i < 20; ++i) {
            const auto replies = ask(asking, control::inspect("active"));
            ASSERT_TRUE(replies);
            EXPECT_THAT(*replies, ElementsAre(Key(kNode)));
        }
    }
    // The one for replies is the asker's that is still there.
    const std::string left = queues();
    EXPECT_THAT(left, testing::HasSubstr("w@restarted.celery.pidbox\n"));
    const auto first = left.find("reply.celery.pidbox");
    EXPECT_NE(first, std::string::npos);
    EXPECT_EQ(left.find("reply.celery.pidbox", first + 1), std::string::npos) << left;
    go_on.release();
    EXPECT_TRUE(worker.stop());
}

}  // namespace
}  // namespace lovage::chaos
