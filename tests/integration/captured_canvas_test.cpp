// Canvases that were recorded when Celery clients sent them, run by our worker: what every task
// returned is known. That they are read and written back to the byte is tested in lovage/core.

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/results/chord.hpp>
#include <tests/support/fixture.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using testing::UnorderedElementsAreArray;
using Returned = std::vector<std::string>;

/// What the tasks of each canvas return, in any order.
const std::map<std::string, Returned>& captured_canvases() {
    static const std::map<std::string, Returned> all{
        {"producer/chain", {"add 3", "mul 30", "identity 30"}},
        {"producer/chain_link_error", {"add 3", "mul 30"}},
        {"producer/chain_with_group_middle", {"add 2", "add 12", "add 22", "tsum 34"}},
        {"producer/chord", {"add 2", "add 4", "tsum 6"}},
        {"producer/chunks", {"add 0", "add 2", "add 4", "add 6", "add 8"}},
        {"producer/chunks_signature_task", {"identity 1", "add 0", "add 2", "add 4", "add 6"}},
        {"producer/group", {"add 2", "add 4", "add 6"}},
        {"producer/group_then_task", {"add 2", "add 4", "tsum 6", "mul 12"}},
        {"producer/link", {"add 4", "mul 40"}},
        {"producer/link_error", {"fail", "on_error_old", "on_error_new"}},
        {"producer/link_immutable_multi", {"add 4", "mul 40", "add 18"}},
        {"producer/map", {"identity 1", "identity 2", "identity 3"}},
        {"producer/nested_chain_in_group_chord", {"add 2", "mul 4", "add 8", "add 6", "tsum 18"}},
        {"producer/signature_options", {"add 4"}},  // the callback goes to another queue
        {"producer/starmap", {"add 3", "add 7"}},
        {"producer/v1_chain", {"add 3", "mul 30", "identity 30"}},
        {"producer/v1_chord", {"add 2", "add 4", "tsum 6"}},
        {"v56/producer_chain_group_middle", {"add 2", "add 12", "add 22", "tsum 34"}},
        {"v56/producer_chord", {"add 2", "add 4", "tsum 6"}},
        {"v56/producer_chord_of_chord_chain",
         {"add 2", "add 10", "tsum 12", "mul 24", "add 25", "add 26"}},
        {"v56/producer_group", {"add 2", "add 4"}},
        {"v56/producer_nested_group_chord", {"add 2", "mul 4", "add 8", "add 6", "tsum 18"}},
        {"v56/producer_stamp_visitor_chain", {"add 3", "mul 9"}},
        {"v56/producer_stamp_visitor_chord", {"add 2", "add 4", "tsum 6"}},
    };
    return all;
}

Message recorded(const Json& entry) {
    const Json& properties = *entry.find("properties");
    Message message;
    message.properties.content_type = properties.find("content_type")->as_string();
    message.properties.content_encoding = properties.find("content_encoding")->as_string();
    message.properties.correlation_id = properties.find("correlation_id")->as_string();
    message.headers = *entry.find("headers");
    message.body = entry.find("body")->as_string();
    return message;
}

/// The messages of one canvas, in the order in which they were sent.
std::vector<Message> messages_of(const std::string& canvas) {
    static const Json fixture = testing_support::load_fixture("celery_messages.json");
    std::vector<Message> messages;
    for (const Json& entry : fixture.find("messages")->as_array()) {
        const std::string& name = entry.find("name")->as_string();
        if (name.substr(0, name.find('#')) == canvas) messages.push_back(recorded(entry));
    }
    return messages;
}

/// Every canvas that was recorded at a client: those whose messages are more than one task.
std::set<std::string> canvases_in_fixture() {
    const Json fixture = testing_support::load_fixture("celery_messages.json");
    std::set<std::string> names;
    for (const Json& entry : fixture.find("messages")->as_array()) {
        const std::string& name = entry.find("name")->as_string();
        if (!name.contains("producer") || entry.find("expect")->as_string() != "task") continue;
        const Json* const body = entry.find("body");
        if (body == nullptr || !body->is_string()) continue;  // compressed
        const auto message = decode_task_message(
            {.properties = {}, .headers = *entry.find("headers"), .body = body->as_string()});
        if (!message || message->expires) continue;  // v1_full: over since the day it was recorded
        bool more = message->group.has_value() || message->task.starts_with("celery.");
        const Json embed = value_or_throw(message->embed.fully_expanded());
        for (const auto& [key, value] : embed.as_object()) {
            const bool empty = value.is_null() || (value.is_array() && value.as_array().empty());
            more = more || !empty;
        }
        if (more) names.insert(name.substr(0, name.find('#')));
    }
    return names;
}

class CapturedCanvas : public testing::TestWithParam<std::string> {
protected:
    CapturedCanvas() {
        app_.task(
            "tasks.add", [this](std::int64_t x, std::int64_t y) { return returned("add", x + y); },
            arg("x"), arg("y"));
        app_.task(
            "tasks.mul", [this](std::int64_t x, std::int64_t y) { return returned("mul", x * y); },
            arg("x"), arg("y"));
        app_.task(
            "tasks.tsum",
            [this](const std::vector<std::int64_t>& all) {
                return returned("tsum", std::accumulate(all.begin(), all.end(), std::int64_t{0}));
            },
            arg("numbers"));
        app_.task(
            "tasks.identity", [this](std::int64_t x) { return returned("identity", x); }, arg("x"));
        app_.task("tasks.fail", [this] {
            note("fail");
            throw std::invalid_argument{"no"};
        });
        app_.task(
            "tasks.on_error_old", [this](const std::string&) { note("on_error_old"); },
            arg("task_id"));
        app_.task(
            "tasks.on_error_new",
            [this](const Json&, const Json&, const Json&) { note("on_error_new"); }, arg("request"),
            arg("exc"), arg("traceback"));
    }

    std::int64_t returned(const std::string& task, std::int64_t value) {
        note(fmt::format("{} {}", task, value));
        return value;
    }
    void note(const std::string& what) {
        const std::lock_guard lock{mutex_};
        noted_.push_back(what);
    }
    Returned noted() {
        const std::lock_guard lock{mutex_};
        return noted_;
    }
    /// What a client does before it sends a chord; all of its parts but those that come later in a
    /// chain are among the messages.
    void start_chord_of(const std::vector<Message>& messages) {
        const TaskMessage last = decode_task_message(messages.back()).value();
        if (!last.group) return;
        const auto start = [](std::shared_ptr<AppCore> core, ChordStart chord) -> Awaitable<void> {
            value_or_throw(co_await core->connect(Deadline::in(kLong)));
            value_or_throw(
                co_await core->client().start_chord(std::move(chord), Deadline::in(kLong)));
        };
        app_.core()->loop().run_blocking(
            start(app_.core(), {*last.group, static_cast<std::int64_t>(messages.size()), {}}));
    }

    App app_{"captured", memory_settings()};

private:
    std::mutex mutex_;
    Returned noted_;
};

TEST_P(CapturedCanvas, Runs) {
    const Returned& expected = captured_canvases().at(GetParam());
    const std::vector<Message> messages = messages_of(GetParam());
    ASSERT_FALSE(messages.empty());
    start_chord_of(messages);
    for (const Message& message : messages) publish(app_, message);
    {
        const RunningWorker worker{app_, 1};
        wait_for([&] { return noted().size() >= expected.size(); });
    }
    {
        // What the worker had still to send is sent when it has stopped: nothing may follow.
        const RunningWorker worker{app_, 1};
        app_.send_task("tasks.identity", Json::array({-1})).wait(kLong);
    }
    Returned all = expected;
    all.emplace_back("identity -1");
    EXPECT_THAT(noted(), UnorderedElementsAreArray(all));
    EXPECT_EQ(messages_in(app_, "celery"), 0U);
}
INSTANTIATE_TEST_SUITE_P(Each, CapturedCanvas, testing::ValuesIn([] {
                             std::vector<std::string> names;
                             for (const auto& [name, returned] : captured_canvases()) {
                                 names.push_back(name);
                             }
                             return names;
                         }()),
                         [](const testing::TestParamInfo<std::string>& info) {
                             std::string name = info.param;
                             std::ranges::replace(name, '/', '_');
                             return name;
                         });

TEST(CapturedCanvases, AreAllHere) {
    for (const std::string& name : canvases_in_fixture()) {
        EXPECT_TRUE(captured_canvases().contains(name)) << name;
    }
}

}  // namespace
}  // namespace lovage::integration
