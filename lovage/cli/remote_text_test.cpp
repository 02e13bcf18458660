#include <lovage/cli/remote_text.hpp>

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// What people see of replies given as JSON, at 17:25:25.
std::string shown(std::string_view method, std::string_view replies_json) {
    const Json replies = parse_json(replies_json).value();
    return remote_text(method, {replies.as_object().begin(), replies.as_object().end()},
                       parse_iso8601("2026-11-21T17:25:25Z").value());
}

TEST(RemoteText, ShowsRunningTasksAndForHowLong) {
    EXPECT_EQ(shown("active", R"({"a@h": [{"id": "i1", "name": "sleepy", "args": [14],
                  "kwargs": {}, "time_start": 1795281825.0, "worker_pid": 24136,
                  "delivery_info": {"routing_key": "celery"}}], "b@h": []})"),
              "node  id      task    args  kwargs         for    pid\n"
              "a@h   i1      sleepy  [14]  {}      1 min 40 s  24136\n"
              "b@h   (none)\n");
}

TEST(RemoteText, ShowsWaitingTasks) {
    EXPECT_EQ(shown("reserved", R"({"a@h": [{"id": "i1", "name": "add", "args": [1, 2],
                  "kwargs": {"z": 3}, "time_start": null,
                  "delivery_info": {"routing_key": "celery"}}]})"),
              "node  id  task  args    kwargs    queue\n"
              "a@h   i1  add   [1, 2]  {\"z\": 3}  celery\n");
    EXPECT_EQ(shown("scheduled", R"({"a@h": [{"eta": "2026-11-21T17:30:25+00:00", "priority": 6,
                  "request": {"id": "i1", "name": "add", "args": [], "kwargs": {}}}]})"),
              "node  eta                        id  task  args  kwargs\n"
              "a@h   2026-11-21T17:30:25+00:00  i1  add   []    {}\n");
}

TEST(RemoteText, ShowsWhatWorkersCanRunAndConsume) {
    EXPECT_EQ(shown("registered", R"({"a@h": ["tasks.add", "tasks.limited [rate_limit=1/h]"]})"),
              "node  task           attributes\n"
              "a@h   tasks.add\n"
              "a@h   tasks.limited  rate_limit=1/h\n");
    EXPECT_EQ(shown("active_queues", R"({"a@h": [{"name": "mail", "routing_key": "m",
                  "exchange": {"name": "all", "type": "topic"}}]})"),
              "node  queue  exchange  type   routing key\n"
              "a@h   mail   all       topic  m\n");
}

TEST(RemoteText, ShowsStatsOfAnyVersion) {
    EXPECT_EQ(shown("stats", R"({
                  "a@h": {"total": {"add": 18, "fail": 4}, "pid": 7, "uptime": 196,
                          "pool": {"max-concurrency": 2}, "broker": {"transport": "amqp"},
                          "prefetch_count": 8, "rusage": {"maxrss": 45056}},
                  "b@h": {"pool": {"implementation": "celery.concurrency.prefork:TaskPool",
                                   "max-concurrency": 16}}})"),
              "node  pool     slots  prefetch  tasks          up  memory  pid  broker\n"
              "a@h                2         8     22  3 min 16 s  44 MiB    7  amqp\n"
              "b@h   prefork     16                0       0.0 s   0 MiB\n");
}

TEST(RemoteText, ShowsWhereTasksAre) {
    EXPECT_EQ(shown("query_task", R"({"a@h": {"i1": ["active", {"name": "add", "args": [1]}]},
                                      "b@h": {}})"),
              "node  id      where   task  args\n"
              "a@h   i1      active  add   [1]\n"
              "b@h   (none)\n");
}

TEST(RemoteText, ShowsOtherRepliesUnderTheNodesName) {
    EXPECT_EQ(shown("pool_grow", R"({"a@h": {"ok": "pool will grow"}, "b@h": null})"),
              "->  a@h: OK\n    pool will grow\n->  b@h: OK\n");
    EXPECT_EQ(shown("report", R"({"a@h": {"ok": "\nsoftware -> x\nplatform -> y\n\n"}})"),
              "->  a@h: OK\n    software -> x\n    platform -> y\n");
    EXPECT_EQ(shown("conf", R"({"a@h": {"broker_url": "amqp://", "accept": ["json"]}})"),
              "->  a@h: OK\n    accept: [\"json\"]\n    broker_url: amqp://\n");
    EXPECT_EQ(shown("revoked", R"({"a@h": ["i1", "i2"], "b@h": []})"),
              "->  a@h: OK\n    i1\n    i2\n->  b@h: OK\n    (none)\n");
}

TEST(RemoteText, ShowsRefusalsBesideTheTable) {
    EXPECT_EQ(shown("stats", R"json({"a@h": {"error": "KeyError('stats')"}})json"),
              "->  a@h: ERROR\n    KeyError('stats')\n");
    EXPECT_TRUE(is_refusal(Json::object({{"error", "no"}})));
    EXPECT_FALSE(is_refusal(Json::object({{"ok", "yes"}})));
}

TEST(RemoteText, OutlivesRepliesOfAnyShape) {
    for (const char* const method : {"active", "reserved", "scheduled", "registered",
                                     "active_queues", "stats", "query_task", "ping", "conf"}) {
        for (const char* const reply :
             {"1", "\"text\"", "null", "[]", "{}", "[1, null, {}, [], \"x\"]",
              R"({"total": 1, "pool": [], "uptime": "x", "i": [1]})",
              R"([{"time_start": "x", "args": null, "delivery_info": 1, "request": []}])",
              R"([{"time_start": 1e308}, {"time_start": NaN}, {"time_start": -Infinity}])"}) {
            EXPECT_NE(shown(method, std::string{R"({"a@h": )"} + reply + "}"), "");
        }
    }
}

TEST(RemoteText, LetsNoReplySteerTheTerminal) {
    const std::string text = shown("ping", R"({"a\u001b[2J@h": {"ok": "\u001b[31m"}})") +
                             shown("conf", R"({"a\u001b[2J@h": {"x": "\u001b[31m"}})");
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace lovage::cli
