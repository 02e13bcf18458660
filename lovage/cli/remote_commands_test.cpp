#include <lovage/cli/remote_commands.hpp>

#include <lovage/cli/arguments.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RemoteArguments remote(std::vector<std::string> words) {
    auto invocation = parse_arguments(std::move(words), "shop");
    if (!invocation) {
        ADD_FAILURE() << invocation.error().text;
        return {};
    }
    return std::get<RemoteArguments>(invocation->command);
}

/// Method and arguments as JSON.
std::string command(std::vector<std::string> words) {
    const ControlCommand made = remote(std::move(words)).command;
    return made.method + ' ' + to_json_text(made.arguments);
}

/// The first line of a usage error.
std::string problem(std::vector<std::string> words) {
    const auto invocation = parse_arguments(std::move(words), "shop");
    if (invocation) return "no problem";
    EXPECT_EQ(invocation.error().exit_code, 2);
    return invocation.error().text.substr(0, invocation.error().text.find('\n'));
}

TEST(RemoteWords, BecomeArgumentsInTheOrderCeleryHas) {
    EXPECT_EQ(command({"inspect", "active"}), "active {}");
    EXPECT_EQ(command({"inspect", "conf"}), "conf {}");
    EXPECT_EQ(command({"inspect", "conf", "yes"}), R"(conf {"with_defaults": true})");
    EXPECT_EQ(command({"inspect", "objgraph", "Request", "5"}),
              R"(objgraph {"type": "Request", "num": 5})");
    EXPECT_EQ(command({"control", "rate_limit", "tasks.add", "5/m"}),
              R"(rate_limit {"task_name": "tasks.add", "rate_limit": "5/m"})");
    EXPECT_EQ(command({"control", "time_limit", "tasks.add", "10", "20.5"}),
              R"(time_limit {"task_name": "tasks.add", "soft": 10.0, "hard": 20.5})");
    EXPECT_EQ(command({"control", "time_limit", "tasks.add", "10"}),
              R"(time_limit {"task_name": "tasks.add", "soft": 10.0})");
    EXPECT_EQ(command({"control", "autoscale", "10", "3"}), R"(autoscale {"max": 10, "min": 3})");
    EXPECT_EQ(command({"control", "pool_grow"}), "pool_grow {}");
    EXPECT_EQ(command({"control", "pool_shrink", "2"}), R"(pool_shrink {"n": 2})");
    EXPECT_EQ(command({"control", "add_consumer", "mail", "all", "topic", "mail.#"}),
              R"(add_consumer {"queue": "mail", "exchange": "all", "exchange_type": "topic", )"
              R"("routing_key": "mail.#"})");
}

TEST(RemoteWords, ThatAreLeftAreAList) {
    EXPECT_EQ(command({"inspect", "query_task", "a", "b"}), R"(query_task {"ids": ["a", "b"]})");
    EXPECT_EQ(command({"inspect", "registered"}), R"(registered {"taskinfoitems": []})");
    EXPECT_EQ(command({"inspect", "registered", "rate_limit", "max_retries"}),
              R"(registered {"taskinfoitems": ["rate_limit", "max_retries"]})");
    EXPECT_EQ(command({"control", "revoke", "a", "b"}), R"(revoke {"task_id": ["a", "b"]})");
    EXPECT_EQ(command({"control", "terminate", "SIGKILL", "a", "b"}),
              R"(terminate {"signal": "SIGKILL", "task_id": ["a", "b"]})");
    EXPECT_EQ(command({"control", "terminate", "KILL", "a"}),
              command({"control", "terminate", "9", "a"}));
    EXPECT_EQ(command({"control", "revoke_by_stamped_headers", "order=7"}),
              R"(revoke_by_stamped_headers {"headers": ["order=7"]})");
}

TEST(RemoteWords, MayBeCalledLikeCommands) {
    EXPECT_EQ(command({"control", "add_consumer", "worker"}),
              R"(add_consumer {"queue": "worker"})");
    EXPECT_EQ(command({"control", "cancel_consumer", "inspect"}),
              R"(cancel_consumer {"queue": "inspect"})");
    EXPECT_EQ(command({"control", "rate_limit", "status", "0"}),
              R"(rate_limit {"task_name": "status", "rate_limit": "0"})");
}

TEST(RemoteWords, ThatDoNotFitAreRefused) {
    EXPECT_EQ(problem({"control", "pool_grow", "many"}),
              "Error: control pool_grow: N: 'many' is no whole number from 0 to 1000000000");
    EXPECT_THAT(problem({"control", "pool_grow", "1", "2"}), HasSubstr("unexpected argument '2'"));
    EXPECT_THAT(problem({"control", "rate_limit", "tasks.add"}),
                AllOf(HasSubstr("control rate_limit"), HasSubstr("TASK RATE")));
    EXPECT_THAT(problem({"control", "terminate", "SIGKILL"}), HasSubstr("SIGNAL ID…"));
    EXPECT_THAT(problem({"control", "terminate", "SOON", "a"}),
                HasSubstr("'SOON' is no signal's name"));
    EXPECT_THAT(problem({"inspect", "conf", "maybe"}), HasSubstr("neither yes nor no"));
}

TEST(RemoteCommands, ThatDoNotExistAreRefusedWithThoseThatDo) {
    EXPECT_THAT(problem({"inspect", "actve"}),
                AllOf(HasSubstr("inspect: unknown command 'actve'"), HasSubstr("active")));
    EXPECT_THAT(problem({"inspect", "shutdown"}), HasSubstr("unknown command"));
    EXPECT_THAT(problem({"control"}), HasSubstr("a command is needed"));
}

TEST(RemoteCommands, TakeCelerysOptionsBeforeAndBehindTheirName) {
    for (const auto& words :
         {std::vector<std::string>{"inspect", "ping", "-t", "2.5", "-d", "a@h,b@h", "-j"},
          std::vector<std::string>{"inspect", "-t", "2.5", "-d", "a@h,b@h", "-j", "ping"}}) {
        const RemoteArguments arguments = remote(words);
        EXPECT_EQ(arguments.timeout, 2500ms);
        EXPECT_THAT(arguments.destination, ElementsAre("a@h", "b@h"));
        EXPECT_TRUE(arguments.json);
    }
    EXPECT_EQ(remote({"control", "shutdown"}).timeout, 1s);
}

TEST(RemoteCommands, TakeTheirArgumentsBehindOptionsToo) {
    const RemoteArguments revoke = remote({"control", "revoke", "-d", "w@h", "one", "two"});
    EXPECT_THAT(revoke.destination, ElementsAre("w@h"));
    EXPECT_EQ(revoke.command.arguments, Json::object({{"task_id", Json::array({"one", "two"})}}));
    EXPECT_THAT(remote({"control", "-d", "w@h", "revoke", "one"}).destination, ElementsAre("w@h"));
}

TEST(RemoteCommands, AreListedWithWhatTheyDo) {
    for (const std::string option : {"--help", "--list"}) {
        const auto help = parse_arguments({"inspect", option}, "shop");
        ASSERT_FALSE(help);
        EXPECT_EQ(help.error().exit_code, 0);
        EXPECT_THAT(help.error().text,
                    AllOf(HasSubstr("active_queues"), HasSubstr("Tasks that run")));
    }
}

TEST(RemoteCommands, AreCelerys) {
    std::set<std::string> inspect;
    std::set<std::string> control;
    for (const RemoteMethod& method : remote_methods()) {
        (method.kind == RemoteKind::inspect ? inspect : control).insert(method.name);
    }
    // Celery 5.6's `celery inspect --list` and `celery control --list`; without `election`, which
    // no command line can give what it needs.
    EXPECT_THAT(inspect, ElementsAre("active", "active_queues", "clock", "conf", "memdump",
                                     "memsample", "objgraph", "ping", "query_task", "registered",
                                     "report", "reserved", "revoked", "scheduled", "stats"));
    EXPECT_THAT(control,
                ElementsAre("add_consumer", "autoscale", "cancel_consumer", "disable_events",
                            "enable_events", "heartbeat", "pool_grow", "pool_restart",
                            "pool_shrink", "rate_limit", "revoke", "revoke_by_stamped_headers",
                            "shutdown", "terminate", "time_limit"));
}

}  // namespace
}  // namespace lovage::cli
