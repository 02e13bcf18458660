#include <lovage/cli/event_lines.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lovage::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Event succeeded() {
    Event event;
    event.type = "task-succeeded";
    event.hostname = "w1@host";
    event.timestamp = 1'795'278'500.25;
    event.fields = Json::object({{"uuid", "an-id"}, {"result", "5"}, {"runtime", 0.25}});
    return event;
}
TaskView known() {
    TaskView task;
    task.uuid = "an-id";
    task.name = "tasks.add";
    return task;
}

TEST(EventLine, NamesTheTaskThoughTheEventDoesNot) {
    const TaskView task = known();
    EXPECT_EQ(event_line(succeeded(), &task, false),
              "2026-11-21 16:28:20.250 w1@host task-succeeded tasks.add[an-id] result=5 "
              "runtime=0.25");
    EXPECT_THAT(event_line(succeeded(), &task, true), HasSubstr("\033[32mtask-succeeded\033[0m"));
}

TEST(EventLine, LeavesOutWhatIsNotKnownAndWhatTakesManyLines) {
    Event event = succeeded();
    event.fields = Json::object({{"uuid", "an-id"}, {"eta", nullptr}, {"traceback", "a\nb"}});
    const TaskView task = known();
    EXPECT_THAT(event_line(event, &task, false), Not(HasSubstr("eta")));
    EXPECT_THAT(event_line(event, &task, false), Not(HasSubstr("traceback")));
}

TEST(EventLine, ForeignTextCannotForgeALineOrSteerATerminal) {
    Event event = succeeded();
    event.hostname = "w\033[2J\n";
    event.fields = Json::object({{"a\nb", "x\ny\033"}, {"list", Json::array({"\033\n"})}});
    const std::string line = event_line(event, nullptr, false);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(line.find('\033'), std::string::npos);
}

TEST(EventLine, OddTimesAreShownAsNumbers) {
    Event event = succeeded();
    event.timestamp = -1e300;
    EXPECT_THAT(event_line(event, nullptr, false), HasSubstr("-1e+300 w1@host"));
}

TEST(EventJsonLine, IsTheEventOnOneLine) {
    Event event = succeeded();
    event.fields.set("loadavg", Json::raw("[1.5,\n 2]"));
    const std::string line = event_json_line(event, TimePoint{std::chrono::seconds{7}});
    EXPECT_EQ(line,
              R"({"hostname": "w1@host", "utcoffset": 0, "pid": 0, "clock": 0, "uuid": "an-id", )"
              R"("result": "5", "runtime": 0.25, "loadavg": [1.5, 2], "local_received": 7.0, )"
              R"("timestamp": 1795278500.25, "type": "task-succeeded"})");
}

TEST(EventFilter, LetsPassWhatFitsEveryListThatIsGiven) {
    const TaskView task = known();
    EXPECT_TRUE(EventFilter{}.passes(succeeded(), &task));
    EXPECT_TRUE((EventFilter{.types = {"task-failed", "task-succ*"}}.passes(succeeded(), &task)));
    EXPECT_FALSE((EventFilter{.types = {"worker-*"}}.passes(succeeded(), &task)));
    EXPECT_TRUE((EventFilter{.tasks = {"tasks.*"}}.passes(succeeded(), &task)));
    EXPECT_TRUE((EventFilter{.tasks = {"an-id"}}.passes(succeeded(), &task)));
    EXPECT_FALSE((EventFilter{.tasks = {"other"}}.passes(succeeded(), &task)));
    EXPECT_FALSE((EventFilter{.tasks = {"*"}}.passes(succeeded(), nullptr)));
    EXPECT_TRUE((EventFilter{.workers = {"w?@host"}}.passes(succeeded(), &task)));
    EXPECT_FALSE((EventFilter{.types = {"task-*"}, .workers = {"x"}}.passes(succeeded(), &task)));
}

}  // namespace
}  // namespace lovage::cli
