#include <lovage/beat/beat.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app_core.hpp>
#include <lovage/beat/detail/test_entries.hpp>
#include <lovage/core/uuid.hpp>

#include <tests/support/busy_loop.hpp>
#include <tests/support/fixture.hpp>
#include <tests/support/memory_app.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing_support::entry;

Awaitable<Message> take_message(std::shared_ptr<AppCore> core, std::string queue) {
    const Deadline deadline = Deadline::in(10s);
    auto consumer = value_or_throw(co_await core->broker().consume({{queue}, 1, "test"}, deadline));
    auto deliveries = value_or_throw(co_await consumer->receive(deadline));
    consumer->ack(deliveries.front().tag);
    (void)co_await consumer->close(deadline);
    co_return std::move(deliveries.front().message);
}

/// The message `name` that Celery's beat sent.
Json captured_message(const std::string& name) {
    const Json facts = testing_support::load_fixture("celery_messages.json");
    for (const Json& message : facts.find("messages")->as_array()) {
        if (message.find("name")->as_string() == name) return message;
    }
    throw std::runtime_error{"no such message: " + name};
}

/// Whether what was sent is what Celery sent, but for what differs from message to message.
void expect_as_captured(const Message& sent, const Json& captured) {
    const Json ours = value_or_throw(sent.headers.fully_expanded());
    const std::set<std::string_view> own{"id", "root_id", "expires", "origin"};
    for (const auto& [name, value] : captured.find("headers")->as_object()) {
        const Json* header = ours.find(name);
        ASSERT_NE(header, nullptr) << name;
        if (own.contains(name)) {
            EXPECT_EQ(header->is_null(), value.is_null()) << name;
        } else {
            EXPECT_EQ(to_json_text(*header), to_json_text(value)) << name;
        }
    }
    EXPECT_TRUE(is_uuid(ours.find("id")->as_string()));
    EXPECT_EQ(*ours.find("root_id"), *ours.find("id"));
    const Json& properties = *captured.find("properties");
    EXPECT_EQ(sent.properties.correlation_id, ours.find("id")->as_string());
    EXPECT_EQ(sent.properties.expiration.has_value(), properties.find("expiration") != nullptr);
    EXPECT_EQ(sent.properties.priority, properties.find("priority")->as_int64());
    EXPECT_EQ(sent.properties.content_type, properties.find("content_type")->as_string());
    EXPECT_EQ(sent.body, captured.find("body")->as_string());
}

// Wire: Celery's beat hands its entry's arguments over as a list, and says so: "[1, 2]".
TEST(BeatMessage, IsCelerys) {
    App app{"beat-message", memory_settings()};
    ScheduleEntry add = entry(every(1s));
    add.task = "tasks.add";
    add.args = Json::array({1, 2});
    add.options.expires = 30s;
    (void)run_now(app, add);
    expect_as_captured(app.core()->loop().run_blocking(take_message(app.core(), "celery")),
                       captured_message("producer/beat#0"));

    ScheduleEntry elsewhere = entry(every(1s));
    elsewhere.task = "not.registered.here";
    elsewhere.args = Json::array({1});
    elsewhere.options.queue = "other";
    (void)run_now(app, elsewhere);
    expect_as_captured(app.core()->loop().run_blocking(take_message(app.core(), "other")),
                       captured_message("producer/beat#1"));
}

TEST(BeatStop, ThatIsAskedForAfterTheEndKeepsNeitherBeatNorApp) {
    auto app = std::make_unique<App>("test", memory_settings());
    std::optional<Beat> beat{std::in_place, *app};
    beat->request_stop();
    EXPECT_TRUE(app->core()->loop().run_blocking(beat->run()));
    busy_loop(app->core()->loop());
    beat->request_stop();
    const std::weak_ptr<AppCore> core = app->core();
    beat.reset();
    app.reset();
    EXPECT_TRUE(core.expired()) << "the last reference would go on the app's own loop";
}

}  // namespace
}  // namespace lovage
