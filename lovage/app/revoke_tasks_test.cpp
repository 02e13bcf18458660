// Who hears of it when a program revokes tasks; nodes are fakes on the broker in memory.
#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/app/drivers.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/fake_node.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/wrapped_broker.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

std::vector<Json> answers(const ControlRequest& /*request*/) {
    return {Json::object({{"ok", "pong"}})};
}

/// What the node was told before it was asked last.
std::vector<std::string> told(App& app, const FakeNode& node) {
    (void)app.control().broadcast(control::ping(), {.destination = {"py@h"}, .timeout = 60s});
    std::vector<std::string> all;
    for (const ControlRequest& request : node.requests()) {
        if (request.method == "ping") continue;
        EXPECT_FALSE(request.reply_to) << "nobody waits for an answer";
        all.push_back(request.method + " " + to_json_text(request.arguments));
    }
    return all;
}

TEST(RevokeTasks, WorkersThatRunNowAreTold) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "py@h", answers};
    app.async_result("a").revoke();
    app.async_result("b").revoke({.terminate = true, .signal = SIGUSR1});
    EXPECT_THAT(told(app, node),
                ElementsAre(R"(revoke {"task_id": ["a"], "terminate": false, "signal": "SIGTERM", )"
                            R"("lovage_stored": true})",
                            R"(revoke {"task_id": ["b"], "terminate": true, "signal": "SIGUSR1", )"
                            R"("lovage_stored": true})"));
}

TEST(RevokeTasks, OneCommandTellsOfAWholeGroup) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "py@h", answers};
    const GroupResult<> group{app.core(), "group", {"a", "b", "c"}};
    group.revoke({.terminate = true});
    EXPECT_THAT(told(app, node),
                ElementsAre(R"(revoke {"task_id": ["a", "b", "c"], "terminate": true, )"
                            R"("signal": "SIGTERM", "lovage_stored": true})"));
    EXPECT_EQ(group.counts().failed, 3U);
}

TEST(RevokeTasks, WhoRevokesAWorkflowTellsOfItsTasks) {
    App app{"test", memory_settings()};
    const FakeNode node{app, "py@h", answers};
    app.async_result("pending").revoke_workflow();
    EXPECT_THAT(told(app, node),
                ElementsAre(R"(revoke {"task_id": ["pending"], "terminate": false, )"
                            R"("signal": "SIGTERM", "lovage_stored": true})"));
}

/// Takes no commands.
class DeafBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;
    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration /*exchange*/,
                                             Deadline /*deadline*/) override {
        co_return fail(Errc::disconnected, "the broker is away");
    }
};

TEST(RevokeTasks, TheWishIsStoredWhetherOrNotWorkersCanBeTold) {
    Settings settings = memory_settings();
    settings.broker_url.replace(0, std::string{"memory"}.size(), "deaf");
    register_broker_driver("deaf", {[](Executor executor, const std::string&, const Settings& all) {
                               Settings inner = all;
                               inner.broker_url.replace(0, std::string{"deaf"}.size(), "memory");
                               return std::make_unique<DeafBroker>(make_broker(executor, inner));
                           }});
    App app{"test", settings};
    app.async_result("a").revoke();
    EXPECT_EQ(app.async_result("a").state(), "REVOKED");
    app.async_result("b").revoke();
    EXPECT_EQ(app.async_result("b").state(), "REVOKED");
    GroupResult<>{app.core(), "nobody's", {}}.revoke();
}

}  // namespace
}  // namespace lovage
