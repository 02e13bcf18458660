#include "http_client.hpp"
#include "project.hpp"

#include <fmt/core.h>

#include <fstream>

#include <signal.h>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

class Beat : public Project {
protected:
    /// What `schedule list --json` says.
    Json schedule() {
        const Output list = run({"schedule", "list", "--json"});
        EXPECT_EQ(list.ending, Ending{.exit_code = 0}) << list.err;
        return value_or_throw(parse_json(list.out));
    }
    /// The process that leads, by the origin the leader's name begins with.
    pid_t leader() {
        const Json list = schedule();
        const Json* name = list.find("leader");
        if (!name->is_string() || !name->as_string().starts_with("gen")) return 0;
        return std::stoi(name->as_string().substr(3));
    }
    bool wait_for_ends(std::size_t count) {
        return ledger_.wait_until([&] { return ledger_.count("end", "tick") >= count; }, soon());
    }
    void add_tick() {
        const Output added = run(
            {"schedule", "add", "tick", "ledger.identify", "--every", "0.5", "-a", R"(["tick"])"});
        ASSERT_EQ(added.ending, Ending{.exit_code = 0}) << added.err;
        ASSERT_EQ(added.out, "tick: added\n");
    }
};

// C44, C45 with real processes; the moments of a firing one by one are in
// scheduler_leader_test.cpp.
TEST_F(Beat, AnotherTakesOverWhenTheLeaderIsKilled) {
    add_tick();
    Process worker = start_worker("worker");
    std::map<std::string, Process> beats;
    for (const char* name : {"beat-1", "beat-2"}) beats.emplace(name, start(name, {"beat"}));
    ASSERT_TRUE(wait_for_ends(3)) << logs();
    const pid_t led = leader();
    const auto dead =
        std::ranges::find_if(beats, [led](const auto& beat) { return beat.second.pid() == led; });
    ASSERT_NE(dead, beats.end());
    dead->second.kill();
    beats.erase(dead);

    // The worker may still have had some of the dead one's.
    Process& survivor = beats.begin()->second;
    ASSERT_TRUE(ledger_.wait_until([&] { return leader() == survivor.pid(); }, soon())) << logs();
    ASSERT_TRUE(wait_for_ends(ledger_.count("end", "tick") + 3)) << logs();
    survivor.signal(SIGTERM);
    EXPECT_EQ(survivor.wait(soon()), Ending{.exit_code = 0}) << logs();
    stop(worker);
    // Each task ran once, but perhaps the one at whose moment the leader was killed.
    const auto starts = ledger_.by_key("start");
    EXPECT_GE(starts.size(), 6U);
    EXPECT_LE(ledger_.count("start") - starts.size(), 1U);
    EXPECT_EQ(leader(), 0);
}

TEST_F(Beat, AWorkerRunsTheScheduleOfItsSettings) {
    std::ofstream{folder_.path() / "lovage.toml"} << R"(
[beat_schedule.tick]
task = "ledger.work"
schedule = 0.5
args = ["tick"]
)";
    Process worker = start("worker", {"worker", "-B", "-c", "1"});
    ASSERT_TRUE(wait_for_ends(2)) << logs();
    worker.signal(SIGTERM);
    EXPECT_EQ(worker.wait(soon()), Ending{.exit_code = 0}) << logs();

    const Json list = schedule();
    EXPECT_GE(*list.find("entries")->find("tick")->find("total_run_count")->as_int64(), 2);
    const Output removed = run({"schedule", "remove", "tick"});
    EXPECT_EQ(removed.ending, Ending{.exit_code = 1});
    EXPECT_THAT(removed.err, HasSubstr("only the program can remove"));
}

TEST_F(Beat, AnEntryRunsWhenAPersonSaysSo) {
    const Output added =
        run({"schedule", "add", "yearly", "ledger.add", "--crontab", "0 0 1 1 *", "-a", "[40, 2]"});
    ASSERT_EQ(added.ending, Ending{.exit_code = 0}) << added.err;
    Process worker = start_worker("worker");
    const Output sent = run({"schedule", "run", "yearly"});
    ASSERT_EQ(sent.ending, Ending{.exit_code = 0}) << sent.err;
    EXPECT_EQ(run({"result", sent.out.substr(0, 36), "-t", "60"}).out, "42\n");
    stop(worker);
    EXPECT_EQ(run({"schedule", "run", "nothing"}).ending, Ending{.exit_code = 1});
}

TEST_F(Beat, ABeatServesHealthAndMetricsOnItsOwnPort) {
    add_tick();
    Process beat = start("beat", {"beat", "--health-port", "0"});
    ASSERT_TRUE(ledger_.wait_until([&] { return own_port("beat") != 0; }, soon())) << logs();
    const std::uint16_t port = own_port("beat");
    const auto page = [port] { return http_request(port, "GET", "/metrics", "", soon()).body; };
    const auto sent = [&] {
        return page().find(R"(lovage_beat_times_total{entry="tick",outcome="sent")") !=
               std::string::npos;
    };
    ASSERT_TRUE(ledger_.wait_until(sent, soon())) << page();
    EXPECT_EQ(http_request(port, "GET", "/health/live", "", soon()).status, 200);
    EXPECT_EQ(http_request(port, "GET", "/health/ready", "", soon()).status, 200);
    EXPECT_THAT(page(), AllOf(HasSubstr("lovage_beat_leader{schedule="),
                              HasSubstr("lovage_beat_lag_seconds_count{schedule=")));
    beat.signal(SIGTERM);
    EXPECT_EQ(beat.wait(soon()), Ending{.exit_code = 0}) << logs();
}

TEST_F(Beat, ABeatThatWaitsForItsBrokerIsAliveAndNotReady) {
    Process beat = start("beat", {"beat", "--health-port", "0"},
                         {{"LOVAGE_BROKER_URL", "amqp://127.0.0.1:1"}});
    ASSERT_TRUE(ledger_.wait_until([&] { return own_port("beat") != 0; }, soon())) << logs();
    const std::uint16_t port = own_port("beat");
    EXPECT_EQ(http_request(port, "GET", "/health/live", "", soon()).status, 200);
    EXPECT_EQ(http_request(port, "GET", "/health/ready", "", soon()).status, 503);
    beat.signal(SIGTERM);
    EXPECT_EQ(beat.wait(soon()), Ending{.exit_code = 0}) << logs();
}

// An entry's life by the command line, while a beat runs.
TEST_F(Beat, AnEntryIsAddedChangedPausedResumedAndRemoved) {
    const auto say = [this](std::vector<std::string> words) {
        words.insert(words.begin(), "schedule");
        const Output said = run(words);
        EXPECT_EQ(said.ending, Ending{.exit_code = 0}) << said.err;
        return said.out;
    };
    const auto shown = [this](const std::string& key) {
        return to_json_text(*schedule().find("entries")->find("tick")->find(key));
    };
    Process worker = start_worker("worker");
    Process beat = start("beat", {"beat"});
    EXPECT_EQ(say({"add", "tick", "ledger.work", "--every", "3600", "-a", R"(["tick"])"}),
              "tick: added\n");
    EXPECT_EQ(say({"add", "tick", "ledger.work", "--every", "0.2", "-a", R"(["tick"])"}),
              "tick: changed\n");
    ASSERT_TRUE(wait_for_ends(2)) << logs();
    EXPECT_EQ(say({"pause", "tick"}), "tick: paused\n");
    EXPECT_EQ(shown("enabled"), "false");
    EXPECT_NE(shown("last_run_at"), "null");
    // A beat looks every five seconds.
    const auto runs = [&] { return shown("total_run_count"); };
    const auto rests = [&] {
        const std::string before = runs();
        return !ledger_.wait_until([&] { return runs() != before; }, Deadline::in(1s));
    };
    ASSERT_TRUE(ledger_.wait_until(rests, soon())) << logs();
    const std::string before = runs();
    EXPECT_EQ(say({"resume", "tick"}), "tick: resumed\n");
    EXPECT_EQ(shown("enabled"), "true");
    ASSERT_TRUE(ledger_.wait_until([&] { return runs() != before; }, soon())) << logs();
    EXPECT_EQ(say({"remove", "tick"}), "tick: removed\n");
    EXPECT_EQ(run({"schedule", "run", "tick"}).ending, Ending{.exit_code = 1});
    beat.signal(SIGTERM);
    EXPECT_EQ(beat.wait(soon()), Ending{.exit_code = 0}) << logs();
    stop(worker);
}

TEST_F(Beat, ABadScheduleStopsTheStart) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"beat"}, {"worker", "-B", "--pool", "threads"}}) {
        Process bad = start("bad-" + command[0], command,
                            {{"CELERY_BEAT_SCHEDULE",
                              R"({"nightly": {"task": "report", "schedule": "61 * * * *"}})"}});
        EXPECT_EQ(bad.wait(soon()), Ending{.exit_code = 2});
        EXPECT_THAT(log_of("bad-" + command[0]),
                    HasSubstr("CELERY_BEAT_SCHEDULE: beat_schedule: 'nightly': "
                              "schedule: crontab: minute '61': 61 is not within"));
    }
    Process lost = start("lost", {"beat"}, {{"CELERY_TIMEZONE", "Europe/Atlantis"}});
    EXPECT_EQ(lost.wait(soon()), Ending{.exit_code = 2});
}

}  // namespace
}  // namespace lovage::integration
