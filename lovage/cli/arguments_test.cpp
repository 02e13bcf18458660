#include <lovage/cli/arguments.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

namespace lovage::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

template <class T>
T parsed(std::vector<std::string> arguments) {
    auto invocation = parse_arguments(std::move(arguments), "shop");
    if (!invocation) {
        ADD_FAILURE() << invocation.error().text;
        return {};
    }
    if (!std::holds_alternative<T>(invocation->command)) {
        ADD_FAILURE() << "another command was chosen";
        return {};
    }
    return std::get<T>(invocation->command);
}

Invocation invocation_of(std::vector<std::string> arguments) {
    auto invocation = parse_arguments(std::move(arguments), "shop");
    EXPECT_TRUE(invocation) << invocation.error().text;
    return invocation ? *invocation : Invocation{};
}

/// The first line of a usage error; "" when there is none.
std::string problem_of(std::vector<std::string> arguments) {
    const auto invocation = parse_arguments(std::move(arguments), "shop");
    if (invocation) return "";
    EXPECT_EQ(invocation.error().exit_code, 2);
    return invocation.error().text.substr(0, invocation.error().text.find('\n'));
}

TEST(Arguments, WorkerTakesCelerysOptions) {
    const Invocation invocation = invocation_of({"worker",  "-Q",
                                                 "a,b",     "-c",
                                                 "2",       "-n",
                                                 "w1@%h",   "-l",
                                                 "DEBUG",   "-P",
                                                 "threads", "--autoscale",
                                                 "10,3",    "--max-tasks-per-child",
                                                 "100",     "--max-memory-per-child",
                                                 "262144",  "--time-limit",
                                                 "300",     "--soft-time-limit",
                                                 "2.5",     "--health-port",
                                                 "9000",    "--health-host",
                                                 "0.0.0.0"});
    const auto& worker = std::get<WorkerArguments>(invocation.command);
    EXPECT_THAT(worker.queues, ElementsAre("a", "b"));
    EXPECT_EQ(worker.hostname, "w1@%h");
    EXPECT_EQ(worker.health.port, 9000);
    EXPECT_EQ(worker.health.host, "0.0.0.0");
    std::vector<std::string> flags;
    for (const SettingFlag& flag : invocation.flags) {
        flags.push_back(flag.name + " = " + flag.value + " by " + flag.flag);
    }
    EXPECT_THAT(flags, ElementsAre("worker_concurrency = 2 by -c/--concurrency",
                                   "worker_autoscale = 10,3 by --autoscale",
                                   "log_level = DEBUG by -l/--loglevel",
                                   "worker_pool = threads by -P/--pool",
                                   "worker_max_tasks_per_child = 100 by --max-tasks-per-child",
                                   "worker_max_memory_per_child = 262144 by --max-memory-per-child",
                                   "task_time_limit = 300 by --time-limit",
                                   "task_soft_time_limit = 2.5 by --soft-time-limit"));
}

TEST(Arguments, WorkerNeedsNone) {
    const auto worker = parsed<WorkerArguments>({"worker"});
    EXPECT_THAT(worker.queues, IsEmpty());
    EXPECT_EQ(worker.hostname, "");
    EXPECT_EQ(worker.health.port, std::nullopt);
    EXPECT_THAT(problem_of({"worker", "--health-port", "70000"}),
                HasSubstr("'70000' is no whole number from 0 to 65535"));
}

TEST(Arguments, WorkersTellOfThemselvesUnlessTheyShallNot) {
    EXPECT_EQ(parsed<WorkerArguments>({"worker"}).heartbeat, 2s);
    EXPECT_EQ(parsed<WorkerArguments>({"worker", "--heartbeat-interval", "7"}).heartbeat, 7s);
    EXPECT_EQ(parsed<WorkerArguments>({"worker", "--without-heartbeat"}).heartbeat, std::nullopt);
    EXPECT_THAT(problem_of({"worker", "--heartbeat-interval", "0"}),
                HasSubstr("'0' is no whole number from 1 to 86400"));
}

TEST(Arguments, TaskEventsAreASettingUnderCelerysNames) {
    for (const char* const name : {"-E", "--task-events", "--events"}) {
        const auto invocation = parse_arguments({"worker", name}, "shop");
        ASSERT_TRUE(invocation) << invocation.error().text;
        ASSERT_EQ(invocation->flags.size(), 1U);
        EXPECT_EQ(invocation->flags[0].name, "worker_send_task_events");
        EXPECT_EQ(invocation->flags[0].value, "true");
    }
}

TEST(Arguments, EventsAreFilteredByTypeTaskAndWorker) {
    const auto all = parsed<EventsArguments>({"events"});
    EXPECT_THAT(all.filter.types, IsEmpty());
    EXPECT_FALSE(all.json);
    EXPECT_EQ(all.most, std::nullopt);
    const auto some = parsed<EventsArguments>({"events", "--json", "--type", "task-failed,worker-*",
                                               "--task", "add", "--worker", "w1@*", "-n", "3"});
    EXPECT_THAT(some.filter.types, ElementsAre("task-failed", "worker-*"));
    EXPECT_THAT(some.filter.tasks, ElementsAre("add"));
    EXPECT_THAT(some.filter.workers, ElementsAre("w1@*"));
    EXPECT_TRUE(some.json);
    EXPECT_EQ(some.most, 3U);
    EXPECT_THAT(problem_of({"events", "-n", "0"}), HasSubstr("'0' is no whole number from 1"));
    EXPECT_THAT(problem_of({"events", "--type", ","}), HasSubstr("--type"));
}

TEST(Arguments, QueuesMayBeRepeatedAndNamedTwice) {
    EXPECT_THAT(parsed<WorkerArguments>({"worker", "--without-mingle", "--without-gossip"}).queues,
                IsEmpty());
    EXPECT_THAT(parsed<WorkerArguments>({"worker", "-Q", "a", "--queues=b,a"}).queues,
                ElementsAre("a", "b"));
    EXPECT_THAT(problem_of({"worker", "-Q", "a,,b"}), HasSubstr("'a,,b' holds an empty name"));
}

TEST(Arguments, GlobalOptionsStandBeforeOrBehindTheCommand) {
    for (const auto& arguments :
         {std::vector<std::string>{"-b", "memory://", "--config", "x.toml", "-C", "status"},
          std::vector<std::string>{"status", "-b", "memory://", "--config", "x.toml", "-C"}}) {
        const Invocation invocation = invocation_of(arguments);
        ASSERT_EQ(invocation.flags.size(), 1U);
        EXPECT_EQ(invocation.flags[0].name, "broker_url");
        EXPECT_EQ(invocation.flags[0].flag, "-b/--broker");
        EXPECT_EQ(invocation.config, "x.toml");
        EXPECT_FALSE(invocation.color);
    }
}

TEST(Arguments, CallReadsJsonAndTimes) {
    const auto call =
        parsed<CallArguments>({"call", "add", "-a", "[1, \"x\"]", "-k", "{\"n\": 2}", "--queue",
                               "q", "--priority", "5", "--countdown", "1.5", "--expires", "60"});
    EXPECT_EQ(call.task, "add");
    EXPECT_EQ(to_json_text(call.args), "[1, \"x\"]");
    EXPECT_EQ(to_json_text(call.kwargs), "{\"n\": 2}");
    EXPECT_EQ(call.options.queue, "q");
    EXPECT_EQ(call.options.priority, 5);
    EXPECT_EQ(call.options.countdown, 1500ms);
    EXPECT_EQ(std::get<std::chrono::milliseconds>(call.options.expires), 60s);
}

TEST(Arguments, CallTakesTimeLimits) {
    const auto call =
        parsed<CallArguments>({"call", "add", "--time-limit", "30", "--soft-time-limit", "2.5"});
    EXPECT_EQ(call.options.time_limit, 30s);
    EXPECT_EQ(call.options.soft_time_limit, 2500ms);
    EXPECT_THAT(problem_of({"call", "x", "--time-limit", "long"}),
                HasSubstr("no number of seconds"));
}

TEST(Arguments, CallTakesAbsoluteTimes) {
    const auto call = parsed<CallArguments>(
        {"call", "add", "--eta", "2026-11-21T18:00:00+01:00", "--expires", "2026-11-21T19:00:00Z"});
    ASSERT_TRUE(call.options.eta);
    EXPECT_EQ(to_iso8601(*call.options.eta), "2026-11-21T17:00:00+00:00");
    EXPECT_EQ(to_iso8601(std::get<TimePoint>(call.options.expires)), "2026-11-21T19:00:00+00:00");
}

TEST(Arguments, CallNamesWhatIsWrong) {
    EXPECT_EQ(problem_of({"call"}),
              "Error: call: name the task to send, such as: call add --args '[1, 2]'");
    EXPECT_THAT(problem_of({"call", "x", "-a", "[1,"}),
                StartsWith("Error: call: -a/--args: '[1,' is no JSON list"));
    EXPECT_THAT(problem_of({"call", "x", "-a", "{}"}),
                HasSubstr("is no JSON list, such as [1, 2]"));
    EXPECT_THAT(problem_of({"call", "x", "-k", "[]"}), HasSubstr("is no JSON map"));
    EXPECT_THAT(problem_of({"call", "x", "--eta", "soon"}),
                HasSubstr("--eta: 'soon' is no ISO 8601 time"));
    EXPECT_THAT(problem_of({"call", "x", "--countdown", "x"}), HasSubstr("no number of seconds"));
    EXPECT_THAT(problem_of({"call", "x", "--expires", "never"}),
                AllOf(HasSubstr("neither a number of seconds"), HasSubstr("ISO 8601 time")));
    EXPECT_EQ(problem_of({"call", "x", "--expires", "-1"}),
              "Error: call: --expires: '-1' must not be negative");
    EXPECT_EQ(problem_of({"call", "x", "--countdown", "-5"}),
              "Error: call: --countdown: '-5' must not be negative");
    EXPECT_EQ(problem_of({"call", "x", "--queue", ""}),
              "Error: call: --queue: the name of a queue must not be empty");
    EXPECT_THAT(problem_of({"call", "x", "--priority", "256"}),
                HasSubstr("whole number from 0 to 255"));
    EXPECT_THAT(problem_of({"call", "x", "--eta", "2026-01-01", "--countdown", "1"}),
                HasSubstr("--eta or --countdown, not both"));
}

TEST(Arguments, ResultTakesAnIdAndATimeout) {
    const auto result = parsed<ResultArguments>({"result", "abc", "-t", "2.5", "--traceback"});
    EXPECT_EQ(result.task_id, "abc");
    EXPECT_EQ(result.timeout, 2500ms);
    EXPECT_TRUE(result.traceback);
    EXPECT_EQ(parsed<ResultArguments>({"result", "abc"}).timeout, 60s);
    EXPECT_EQ(parsed<ResultArguments>({"result", "abc", "-t", "forever"}).timeout, std::nullopt);
    EXPECT_THAT(problem_of({"result"}), StartsWith("Error: result: give the id"));
}

TEST(Arguments, RevokeTakesIdsAndASignal) {
    const auto plain = parsed<RevokeArguments>({"revoke", "a", "b"});
    EXPECT_THAT(plain.task_ids, ElementsAre("a", "b"));
    EXPECT_FALSE(plain.options.terminate);
    const auto terminate = parsed<RevokeArguments>({"revoke", "a", "--terminate"});
    EXPECT_TRUE(terminate.options.terminate);
    EXPECT_EQ(terminate.options.signal, SIGTERM);
    for (const char* name : {"SIGUSR1", "USR1", "10"}) {
        const auto named =
            parsed<RevokeArguments>({"revoke", "a", "--terminate", "--signal", name});
        EXPECT_EQ(named.options.signal, SIGUSR1) << name;
    }
    EXPECT_EQ(problem_of({"revoke", "a", "--signal", "KILL"}),
              "Error: revoke: --signal needs --terminate");
    EXPECT_EQ(problem_of({"revoke", "a", "--terminate", "--signal", "HARD"}),
              "Error: revoke: --signal: 'HARD' is no signal's name (such as SIGTERM or KILL)");
    EXPECT_THAT(problem_of({"revoke", "a", "--terminate", "--signal", "65"}), HasSubstr("1 to 64"));
    EXPECT_THAT(problem_of({"revoke"}), HasSubstr("give the id that `call` printed"));
}

TEST(Arguments, PurgeAndStatus) {
    EXPECT_TRUE(parsed<PurgeArguments>({"purge", "-f"}).force);
    EXPECT_THAT(parsed<PurgeArguments>({"purge", "-Q", "a,b"}).queues, ElementsAre("a", "b"));
    EXPECT_TRUE(parsed<StatusArguments>({"status", "--json"}).json);
    EXPECT_EQ(parsed<StatusArguments>({"status", "-t", "1"}).timeout, 1s);
}

TEST(Arguments, QuarantineHasFourActions) {
    using enum QuarantineArguments::Action;
    EXPECT_EQ(parsed<QuarantineArguments>({"quarantine", "list"}).action, list);
    EXPECT_THAT(parsed<QuarantineArguments>({"quarantine", "list", "-Q", "q"}).queues,
                ElementsAre("q"));
    EXPECT_THAT(parsed<QuarantineArguments>({"quarantine", "show", "a", "b"}).ids,
                ElementsAre("a", "b"));
    EXPECT_TRUE(parsed<QuarantineArguments>({"quarantine", "replay", "--all"}).all);
    const auto dropping = parsed<QuarantineArguments>({"quarantine", "drop", "-f", "a"});
    EXPECT_EQ(dropping.action, drop);
    EXPECT_TRUE(dropping.force);

    EXPECT_THAT(problem_of({"quarantine", "drop"}), HasSubstr("name the messages by id"));
    EXPECT_THAT(problem_of({"quarantine", "replay", "a", "--all"}), HasSubstr("not both"));
    EXPECT_THAT(problem_of({"quarantine"}), HasSubstr("a command is needed"));
}

TEST(Arguments, BeatTakesCelerysOptions) {
    const Invocation invocation =
        invocation_of({"beat", "-s", "celerybeat-schedule", "--max-interval", "60", "-l", "debug"});
    EXPECT_EQ(std::get<BeatArguments>(invocation.command).schedule, "celerybeat-schedule");
    ASSERT_EQ(invocation.flags.size(), 2U);
    EXPECT_EQ(invocation.flags[0].name, "beat_max_loop_interval");
    EXPECT_EQ(invocation.flags[0].value, "60");
    EXPECT_EQ(parsed<BeatArguments>({"beat", "--health-port", "9100"}).health.port, 9100);

    EXPECT_TRUE(parsed<WorkerArguments>({"worker", "-B", "-s", "x"}).beat);
    EXPECT_FALSE(parsed<WorkerArguments>({"worker"}).beat);
    EXPECT_THAT(problem_of({"worker", "-s", "x"}), HasSubstr("needs -B/--beat"));
}

TEST(Arguments, ScheduleNamesAnEntryAndWhatToDoWithIt) {
    using enum ScheduleArguments::Action;
    EXPECT_TRUE(parsed<ScheduleArguments>({"schedule", "list", "-j"}).json);
    const auto paused = parsed<ScheduleArguments>({"schedule", "pause", "nightly", "-s", "other"});
    EXPECT_EQ(paused.action, pause);
    EXPECT_EQ(paused.name, "nightly");
    EXPECT_EQ(paused.schedule, "other");
    EXPECT_EQ(parsed<ScheduleArguments>({"schedule", "run", "nightly"}).action, run);

    const auto added = parsed<ScheduleArguments>({"schedule",
                                                  "add",
                                                  "nightly",
                                                  "report",
                                                  "--crontab",
                                                  "0 4 * * *",
                                                  "-a",
                                                  "[1]",
                                                  "-k",
                                                  R"({"x": 2})",
                                                  "--queue",
                                                  "slow",
                                                  "--priority",
                                                  "3",
                                                  "--expires",
                                                  "60",
                                                  "--catch-up",
                                                  "all",
                                                  "--starting-deadline",
                                                  "90"});
    EXPECT_EQ(added.action, add);
    EXPECT_EQ(to_json_text(added.entry),
              R"({"task": "report", "schedule": "0 4 * * *", "args": [1], "kwargs": {"x": 2}, )"
              R"("options": {"queue": "slow", "priority": 3, "expires": 60.0}, )"
              R"("catch_up": "all", "starting_deadline": 90.0})");
    EXPECT_EQ(to_json_text(parsed<ScheduleArguments>(
                               {"schedule", "add", "tick", "t", "--every", "0.5", "--relative"})
                               .entry),
              R"({"task": "t", "schedule": 0.5, "relative": true, "options": {}})");
}

TEST(Arguments, ANewEntryHasTimesOfOneKind) {
    const auto problem = [](std::vector<std::string> options) {
        std::vector<std::string> words{"schedule", "add", "a", "t"};
        words.insert(words.end(), options.begin(), options.end());
        return problem_of(words);
    };
    EXPECT_EQ(problem({}), "Error: schedule add: say when, with --crontab or --every");
    EXPECT_EQ(problem({"--relative"}), "Error: schedule add: --relative needs --every");
    EXPECT_EQ(problem({"--every", "1", "--crontab", "* * * * *"}),
              "Error: schedule add: --crontab or --every, not both");
    EXPECT_THAT(problem({"--crontab", "* * * * *", "--relative"}),
                HasSubstr("--relative belongs to --every"));
    EXPECT_THAT(problem({"--every", "soon"}), HasSubstr("--every"));
    EXPECT_THAT(problem({"--every", "-1"}), HasSubstr("--every"));
}

TEST(Arguments, AGraphIsDotUnlessJsonIsWanted) {
    EXPECT_EQ(parsed<GraphArguments>({"graph", "a"}).task_id, "a");
    EXPECT_EQ(parsed<GraphArguments>({"graph", "a"}).format, GraphArguments::Format::dot);
    EXPECT_EQ(parsed<GraphArguments>({"graph", "a", "--format", "dot"}).format,
              GraphArguments::Format::dot);
    EXPECT_EQ(parsed<GraphArguments>({"graph", "a", "--format", "json"}).format,
              GraphArguments::Format::json);
    EXPECT_EQ(problem_of({"graph", "a", "--format", "png"}),
              "Error: graph: --format: 'png' is neither dot nor json");
    EXPECT_THAT(problem_of({"graph"}), HasSubstr("give the id that `call` printed"));
}

TEST(Arguments, UnknownWordsAreAnsweredWithWhatWasMeant) {
    EXPECT_EQ(problem_of({"wroker"}), "Error: unknown command 'wroker'; did you mean 'worker'?");
    EXPECT_EQ(problem_of({"flower"}),
              "Error: unknown command 'flower'; there are: worker, call, result, revoke, graph, "
              "status, inspect, "
              "control, purge, quarantine, events, beat, schedule");
    EXPECT_EQ(problem_of({"worker", "--quues", "a"}),
              "Error: worker: unknown option '--quues'; did you mean '--queues'?");
    EXPECT_EQ(problem_of({"worker", "--concurency=3"}),
              "Error: worker: unknown option '--concurency'; did you mean '--concurrency'?");
    EXPECT_EQ(problem_of({"worker", "-c"}), "Error: worker: --concurrency needs a value");
    EXPECT_EQ(problem_of({"quarantine", "list", "--queue", "a"}),
              "Error: quarantine list: unknown option '--queue'; did you mean '--queues'?");
    EXPECT_EQ(problem_of({"worker", "-Z"}), "Error: worker: unknown option '-Z'");
    EXPECT_EQ(problem_of({"-A", "proj", "worker"}),
              "Error: worker: unknown option '-A': the program is its own app; leave it out");
    EXPECT_EQ(problem_of({"quarantine", "lst"}),
              "Error: quarantine: unknown command 'lst'; did you mean 'list'?");
    EXPECT_EQ(problem_of({"status", "extra"}), "Error: status: unexpected argument 'extra'");
    EXPECT_THAT(problem_of({}), HasSubstr("a command is needed"));
}

TEST(Arguments, HelpAndVersionEndWell) {
    const auto ending = [](std::vector<std::string> arguments) {
        const auto invocation = parse_arguments(std::move(arguments), "shop");
        EXPECT_FALSE(invocation);
        return invocation ? Ending{-1, ""} : invocation.error();
    };
    EXPECT_EQ(ending({"--version"}).exit_code, 0);
    EXPECT_EQ(ending({"--version"}).text, version_text() + "\n");
    EXPECT_EQ(ending({"--help"}).exit_code, 0);
    EXPECT_THAT(ending({"--help"}).text,
                AllOf(HasSubstr("worker"), HasSubstr("quarantine"), HasSubstr("--result-backend")));
    EXPECT_THAT(
        ending({"worker", "--help"}).text,
        AllOf(HasSubstr("shop worker"), HasSubstr("--queues"), Not(HasSubstr("--countdown"))));
    EXPECT_THAT(ending({"quarantine", "drop", "-h"}).text, HasSubstr("shop quarantine drop"));
}

}  // namespace
}  // namespace lovage::cli
