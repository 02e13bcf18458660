// Holders of keys that die: worker processes, kill -9 and SIGSTOP.

#include "both_stacks.hpp"
#include "ledger.hpp"
#include "process.hpp"

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <signal.h>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;
constexpr auto kLease = 6s;

class KeyHolders : public BothStacks {
protected:
    KeyHolders() : app_{"integration", settings_} {}
    ~KeyHolders() override {
        if (HasFailure()) std::fputs(logs().c_str(), stderr);
    }

    [[nodiscard]] Process start_worker(const std::string& name) const {
        return Process{
            {.arguments = {LOVAGE_LEDGER_APP, "worker", "-n", name + "@%h", "-c", "2"},
             .environment = {{"LOVAGE_BROKER_URL", settings_.broker_url},
                             {"LOVAGE_RESULT_BACKEND", settings_.result_backend},
                             {"LOVAGE_WORKER_LEASE", std::to_string(kLease.count())},
                             {"LOVAGE_WORKER_INFLIGHT_FOLDER", (folder_.path() / "in").string()},
                             {"LOVAGE_LOG_FORMAT", "text"},
                             {"TEST_LEDGER", ledger_.file().string()}},
             .folder = folder_.path(),
             .output = folder_.path() / (name + ".log"),
             .errors = folder_.path() / (name + ".log")}};
    }
    AsyncResult<Json> send(const std::string& task, const std::string& key) const {
        return app_.send_task(task, Json::array({key, "same"}));
    }
    [[nodiscard]] bool started(const std::string& key) {
        return ledger_.wait_for("start", key, Deadline::in(kPatience));
    }
    [[nodiscard]] std::chrono::nanoseconds start_of(const std::string& key) {
        return ledger_.by_key("start").at(key).front().time;
    }
    [[nodiscard]] std::string logs() const {
        std::stringstream text;
        for (const auto& entry : std::filesystem::directory_iterator{folder_.path()}) {
            if (entry.path().extension() != ".log") continue;
            text << "--- " << entry.path().filename().string() << '\n'
                 << std::ifstream{entry.path()}.rdbuf() << '\n';
        }
        return text.str();
    }
    static void stop(Process& worker) {
        worker.signal(SIGTERM);
        EXPECT_EQ(worker.wait(Deadline::in(kPatience)), Ending{.exit_code = 0});
    }

    Ledger ledger_{folder_.path() / "ledger"};
    App app_;
};
LOVAGE_ON_BOTH_BROKERS(KeyHolders);

TEST_P(KeyHolders, APlaceIsFreeWhenTheLeaseOfADeadWorkerLapses) {
    Process victim = start_worker("victim");
    const auto first = send("ledger.limited", "first");
    ASSERT_TRUE(started("first"));
    Process other = start_worker("other");
    const auto second = send("ledger.limited", "second");
    const auto witness = app_.send_task("ledger.work", Json::array({"witness"}));
    witness.get(kPatience);
    EXPECT_EQ(ledger_.count("start", "second"), 0U);
    const auto death = monotonic_now();
    victim.kill();
    // Whichever comes first has the place, the other one waits for it: one is the dead worker's
    // own, delivered again.
    ledger_.open_gate("first");
    ledger_.open_gate("second");
    first.get(kPatience);
    second.get(kPatience);
    EXPECT_GE(start_of("second") - death, kLease / 3) << "it was renewed up to its end";
    EXPECT_LE(start_of("second") - death, kLease + 20s);
    EXPECT_EQ(ledger_.count("end", "first"), 1U);
    EXPECT_EQ(ledger_.count("end", "second"), 1U);
    stop(other);
}

TEST_P(KeyHolders, AWorkerThatStopsInOrderGivesItsPlacesBackAtOnce) {
    Process first_worker = start_worker("first-worker");
    const auto first = send("ledger.limited", "first");
    ASSERT_TRUE(started("first"));
    Process other = start_worker("other");
    const auto second = send("ledger.limited", "second");
    first_worker.signal(SIGQUIT);  // what runs is cut short, and its message goes back
    EXPECT_EQ(first_worker.wait(Deadline::in(kPatience)), Ending{.exit_code = 0});
    ledger_.open_gate("first");
    ledger_.open_gate("second");
    first.get(kPatience);
    second.get(kPatience);
    EXPECT_EQ(ledger_.count("end"), 2U);
    stop(other);
}

TEST_P(KeyHolders, AUniqueTaskWhoseWorkerDiedRunsAgainAndIsStillTheOnlyOne) {
    Process victim = start_worker("victim");
    const auto first = send("ledger.unique", "first");
    ASSERT_TRUE(started("first"));
    victim.kill();
    Process other = start_worker("other");
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.count("start", "first") == 2; },
                                   Deadline::in(kPatience)));
    // From a sender who knows nothing of its being unique.
    const auto second = send("ledger.unique", "second");
    EXPECT_EQ(second.wait(kPatience).failure()->exc_message, "duplicate of " + first.id());
    ledger_.open_gate("first");
    first.get(kPatience);
    EXPECT_EQ(ledger_.count("start", "second"), 0U);
    const auto third = send("ledger.unique", "third");
    ledger_.open_gate("third");
    third.get(kPatience);
    stop(other);
}

TEST_P(KeyHolders, ATaskInASlotSendsAUniqueTaskOnce) {
    Process worker = start_worker("worker");
    const Json ids =
        app_.send_task("ledger.send-unique-twice", Json::array({"order"})).get(kPatience);
    ASSERT_TRUE(started("in-a-slot"));
    ledger_.open_gate("in-a-slot");
    const Json::Array both = ids.expanded()->as_array();
    EXPECT_EQ(both.at(0), both.at(1));
    app_.async_result(both.at(0).as_string()).get(kPatience);
    EXPECT_EQ(ledger_.count("start", "in-a-slot"), 1U);
    stop(worker);
}

TEST_P(KeyHolders, ATaskThatTakesItsSlotAlongGivesItsPlaceBack) {
    Process worker = start_worker("worker");
    const auto first = send("ledger.limited", "first");
    ASSERT_TRUE(started("first"));
    const auto second = send("ledger.limited", "second");
    ledger_.open_gate("second");
    first.revoke({.terminate = true});
    second.get(kPatience);
    EXPECT_EQ(first.wait(kPatience).status, "REVOKED");
    stop(worker);
}

}  // namespace
}  // namespace lovage::integration
