// `events` over the in-memory broker, with a worker to follow.
#include <lovage/cli/commands.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/events/event.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/worker.hpp>
#include <tests/support/running_worker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <sstream>
#include <string>
#include <vector>

namespace lovage::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class EventsCommand : public ::testing::Test {
protected:
    EventsCommand() {
        log::configure({.level = log::Level::off});
        register_default_drivers();
        Settings settings;
        settings.broker_url = std::string{"memory://events-"} +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
        settings.result_backend = settings.broker_url;
        settings.worker_send_task_events = true;
        app_.configure(settings);
        (void)app_.task("double", [](int x) { return 2 * x; }, arg("x"));
    }

    /// Follows while a worker runs tasks, until the command has enough.
    std::vector<std::string> lines(EventsArguments arguments) {
        std::istringstream in;
        std::ostringstream err;
        Console console{out_, err, in};
        RunningWorker worker{app_};
        auto command =
            std::async(std::launch::async, [&] { return run_events(app_, arguments, console); });
        // Whenever it begins to follow: there is always another task.
        while (command.wait_for(10ms) != std::future_status::ready) {
            EXPECT_EQ(app_.send_task("double", Json::array({21})).get(kLong), Json{42});
        }
        EXPECT_EQ(command.get(), kSuccess);
        EXPECT_EQ(err.str(), "");
        std::vector<std::string> all;
        std::istringstream text{out_.str()};
        for (std::string line; std::getline(text, line);) all.push_back(line);
        return all;
    }

    App app_{"test"};
    std::ostringstream out_;
};

TEST_F(EventsCommand, ShowsALineAnEvent) {
    EventsArguments arguments;
    arguments.filter = {.types = {"task-succeeded"}, .tasks = {"double"}, .workers = {"w@test"}};
    arguments.most = 2;
    const auto shown = lines(arguments);
    EXPECT_EQ(shown.size(), 2U);
    EXPECT_THAT(shown.at(0), MatchesRegex("2.* w@test task-succeeded double\\[.*\\] result=42 "
                                          "runtime=.*"));
}

TEST_F(EventsCommand, WritesJsonForPrograms) {
    EventsArguments arguments;
    arguments.filter.types = {"task-received"};
    arguments.json = true;
    arguments.most = 1;
    const auto shown = lines(arguments);
    ASSERT_EQ(shown.size(), 1U);
    const auto event = parse_json(shown[0]);
    ASSERT_TRUE(event) << event.error().message();
    EXPECT_EQ(event->find("type")->as_string(), "task-received");
    EXPECT_EQ(event->find("name")->as_string(), "double");
    EXPECT_TRUE(event->find("local_received")->is_real());
}

}  // namespace
}  // namespace lovage::cli
