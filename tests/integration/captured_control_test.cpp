// Every request of remote control that was recorded from Celery, sent again as it was to a worker
// of ours: the answer has the members and types of the recorded one. What differs is listed, with
// the reason.

#include <fnmatch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <lovage/control/control_message.hpp>
#include <lovage/core/task_message.hpp>
#include <tests/integration/both_brokers.hpp>
#include <tests/support/fixture.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

constexpr const char* kOtherNode = "worker2@capture";

struct Difference {
    const char* capture;  ///< A pattern.
    const char* what;     ///< A pattern, too.
    const char* why;
};

constexpr Difference kDifferences[]{
    // Celery 5.6 has them; 5.2, which this was recorded from, had not.
    {"inspect_stats", ".broker.credential_provider: extra", "5.6 has it"},
    {"inspect_stats", ".pool.implementation: extra", "5.6 has it"},
    {"control_revoke", ".ok: other words", "5.6 puts the ids into braces"},
    {"control_revoke_list", ".ok: other words", "5.6 puts the ids into braces"},
    // Celery differs.
    {"control_memsample", ": str for None", "ours needs no psutil to know its memory"},
    {"control_pool_restart", ".ok: missing", "this pool is of threads, which cannot be replaced"},
    {"control_pool_restart", ".error: extra", "this pool is of threads, which cannot be replaced"},
    {"inspect_report", ".ok: other words", "names our versions and settings"},
    {"mingle_hello_startup", "a reply: null", "the recorded worker asked before it listened"},
    // Settings: each program tells its own.
    {"*conf*", ".*: missing", "a setting that means nothing here"},
    {"*conf_*defaults", ".*: extra", "a setting of ours"},
    {"*conf_*defaults", ".*_queue_expires: int for float", "whole seconds"},
    {"*conf_*defaults", ".*_queue_ttl: int for float", "whole seconds"},
    {"conf_defaults", ".worker_soft_shutdown_timeout: int for float", "whole seconds"},
    {"*conf_*defaults", ".result_expires: int for str", "seconds; there the text of a timedelta"},
    {"*conf_*defaults", ".task_acks_*: None for bool", "the delivery contract decides"},
    {"conf_defaults", ".task_default_queue_type: None for str", "as the server has it"},
    {"conf_defaults", ".task_create_missing_queue_type: None for str", "as the server has it"},
    {"*conf_*defaults", ".task_routes: dict for None", "no routes are an empty map"},
    {"*conf_*defaults", ".timezone: str for None", "UTC is named"},
    {"*conf_*defaults", ".worker_concurrency: int for None", "0: the number of processors"},
    {"*conf_*defaults", ".worker_max_*_per_child: int for None", "0: no limit"},
    {"conf_defaults", ".worker_eta_task_limit: int for None", "ours always has one"},
};

/// What must have been sent before, so that the worker is as the recorded one was.
const std::map<std::string, std::vector<std::string>> kBefore{
    {"control_cancel_consumer", {"control_add_consumer"}},
    {"control_disable_events", {"control_enable_events"}},
    {"control_enable_events_again", {"control_enable_events"}},
    {"inspect_active_queues_after_add", {"control_add_consumer"}},
    {"inspect_hello", {"control_revoke"}},
    {"inspect_hello_with_revoked", {"control_revoke"}},
    {"inspect_revoked", {"control_revoke"}},
};

/// Texts that say the same everywhere; of other values only the type counts.
bool is_verdict(std::string_view name) {
    return name == "ok" || name == "error";
}

/// Members whose names are data: tasks' and revoked ids.
bool names_are_data(const std::string& path) {
    return path == ".total" || path == ".revoked";
}

void compare(const Json& expected, const Json& got, const std::string& path,
             std::set<std::string>& differences) {
    if (expected.python_type_name() != got.python_type_name()) {
        differences.insert(path + ": " + std::string{got.python_type_name()} + " for " +
                           std::string{expected.python_type_name()});
        return;
    }
    if (expected.is_array()) {
        if (expected.as_array().empty()) return;
        if (got.as_array().empty()) {
            differences.insert(path + ": nothing in it");
            return;
        }
        // ["active", {…}]: each place has its meaning.
        const bool pair = expected.as_array().front().is_string() &&
                          expected.as_array().size() == 2 && expected.as_array()[1].is_object();
        for (std::size_t i = 0; i < (pair ? 2U : 1U); ++i) {
            compare(expected.as_array()[i], got.as_array()[i], path + "[]", differences);
        }
        return;
    }
    if (!expected.is_object()) return;
    if (names_are_data(path)) {
        if (expected.as_object().empty()) return;
        if (got.as_object().empty()) {
            differences.insert(path + ": nothing in it");
            return;
        }
        compare(expected.as_object().front().second, got.as_object().front().second, path + ".*",
                differences);
        return;
    }
    for (const auto& [name, value] : expected.as_object()) {
        const Json* const mine = got.find(name);
        if (mine == nullptr) {
            differences.insert(path + "." + name + ": missing");
        } else if (is_verdict(name) && value.is_string() && value != *mine) {
            differences.insert(path + "." + name + ": other words");
        } else {
            compare(value, *mine, path + "." + name, differences);
        }
    }
    for (const auto& [name, value] : got.as_object()) {
        if (expected.find(name) == nullptr) differences.insert(path + "." + name + ": extra");
    }
}

const Json::Array& records() {
    static const Json fixture = testing_support::load_fixture("celery_control.json");
    return fixture.find("records")->as_array();
}

std::string text_of(const Json& record, const char* member) {
    return record.find(member)->as_string();
}

const Json& record_named(const std::string& name) {
    for (const Json& record : records()) {
        if (text_of(record, "name") == name) return record;
    }
    throw std::runtime_error{"no such capture: " + name};
}

Message message_of(const Json& captured) {
    const Json& facts = *captured.find("properties");
    Message message;
    message.properties.content_type = text_of(facts, "content_type");
    message.properties.content_encoding = text_of(facts, "content_encoding");
    message.properties.priority = static_cast<std::uint8_t>(*facts.find("priority")->as_int64());
    message.properties.delivery_mode =
        static_cast<std::uint8_t>(*facts.find("delivery_mode")->as_int64());
    message.headers = *captured.find("headers");
    message.body = text_of(captured, "body");
    return message;
}

using Replies = std::map<std::string, Json>;

/// Sends the request as it was recorded, then a ping of ours from the same asker; returns what
/// came before each of `nodes` answered that, and at least as many replies as were recorded.
Awaitable<Replies> replay(std::shared_ptr<AppCore> core, const Json* record,
                          std::set<std::string> nodes) {
    const Deadline deadline = Deadline::in(kLong);
    const ControlNames names;
    const Json& captured = *record->find("request");
    const auto request = value_or_throw(decode_control_request(message_of(captured)));
    const ReplyAddress address =
        request.reply_to.value_or(ReplyAddress{names.reply_exchange(), "nobody-asked"});
    value_or_throw(co_await core->connect_broker(deadline));
    Broker& broker = core->broker();
    ControlTopology box = names.reply_box(address.routing_key);
    const std::string queue = box.queue.name;
    value_or_throw(co_await broker.declare_exchange(std::move(box.exchange), deadline));
    value_or_throw(co_await broker.declare_queue(std::move(box.queue), deadline));
    value_or_throw(co_await broker.bind(std::move(box.binding), deadline));
    ConsumeOptions options{{queue}, 10, "asker"};
    auto consumer = value_or_throw(co_await broker.consume(std::move(options), deadline));

    Publication publication;
    publication.exchange = text_of(captured, "exchange");
    publication.routing_key = text_of(captured, "routing_key");
    publication.mandatory = false;
    publication.message = message_of(captured);
    value_or_throw(co_await broker.publish(std::move(publication), deadline));
    ControlRequest ping;
    ping.method = "ping";
    ping.ticket = "the end";
    ping.reply_to = address;
    value_or_throw(co_await broker.publish(control_publication(names, ping), deadline));

    const std::size_t expected = record->find("replies")->as_array().size();
    Replies replies;
    while (!nodes.empty() || replies.size() < expected) {
        const auto deliveries = co_await consumer->receive(deadline);
        if (!deliveries) break;
        for (const Delivery& delivery : *deliveries) {
            consumer->ack(delivery.tag);
            auto reply = value_or_throw(decode_control_reply(delivery.message));
            if (reply.ticket == "the end") {
                nodes.erase(reply.node);
            } else if (reply.ticket == request.ticket) {
                replies[reply.node] = std::move(reply.value);
            }
        }
    }
    (void)co_await consumer->close(deadline);
    co_return replies;
}

/// A worker as the recorded ones were: two slots, two tasks.
class CapturedWorker {
public:
    CapturedWorker(Settings settings, const std::string& node, bool with_events)
        : app_{"capture", with(std::move(settings), node, with_events)} {
        app_.task("tasks.add", [](int x, int y) { return x + y; }, arg("x"), arg("y"));
        app_.task("tasks.limited", [] {}).rate_limit("1/h");
        app_.task(
            "tasks.sleepy",
            [this](TaskContext& context, int) {
                while (!awake_) {
                    context.checkpoint();
                    std::this_thread::sleep_for(1ms);
                }
            },
            arg("seconds"));
        worker_.emplace(app_, 2, node);
    }
    ~CapturedWorker() { awake_ = true; }
    CapturedWorker(const CapturedWorker&) = delete;
    CapturedWorker& operator=(const CapturedWorker&) = delete;

    App& app() { return app_; }
    RunningWorker& running() { return *worker_; }

    /// Two tasks run, one waits for a slot, one for its time.
    void fill() {
        // Short tasks make the worker fetch some ahead.
        for (int i = 0; i < 20; ++i) send("tasks.add", {i, 1}, {}).get(kLong);
        (void)send("tasks.sleepy", {14}, {.task_id = id(1)});
        TaskMessage stamped;
        stamped.id = id(0);
        stamped.task = "tasks.sleepy";
        stamped.args = Json::array({14});
        stamped.stamped_headers = Json::array({"monitoring_id"});
        stamped.stamps = Json::object({{"monitoring_id", Json::array({"m-9"})}});
        Message message = encode_task_message(stamped);
        message.properties.priority = 0;
        publish(app_, std::move(message));
        (void)send("tasks.add", {0, 0}, {.task_id = id(10)});
        (void)send("tasks.add", {7, 7}, {.countdown = 25s, .task_id = id(20)});
        const auto held = [this] {
            const auto replies =
                app_.control().broadcast(control::query_task({id(0), id(1), id(10), id(20)}),
                                         {.timeout = kLong, .limit = 1});
            return replies.begin()->second.as_object().size() == 4;
        };
        wait_for(held);
    }

private:
    static Settings with(Settings settings, const std::string& node, bool events) {
        settings.worker_send_task_events = events;
        if (node == kOtherNode) settings.worker_autoscale = AutoscaleRange{10, 2};
        return settings;
    }
    static std::string id(int n) { return fmt::format("bbbbbbbb-0000-4000-8000-{:012}", n); }
    AsyncResult<Json> send(const char* task, Json::Array arguments, SendOptions options) {
        return app_.send_task(task, Json{std::move(arguments)}, Json::object(), std::move(options));
    }

    App app_;
    std::atomic<bool> awake_{false};
    std::optional<RunningWorker> worker_;
};

class CapturedControl : public BothBrokers {
protected:
    /// Of one replayed request against what was recorded.
    void expect_like(const Json& record, const Replies& replies) {
        const std::string capture = text_of(record, "name");
        SCOPED_TRACE(capture + " of Celery " + text_of(record, "celery"));
        replayed_.insert(capture);
        std::set<std::string> found;
        Replies unexpected = replies;
        for (const Json& captured : record.find("replies")->as_array()) {
            const auto reply = value_or_throw(decode_control_reply(message_of(captured)));
            const auto mine = replies.find(reply.node);
            if (mine == replies.end()) {
                found.insert("no reply of " + reply.node);
            } else {
                compare(reply.value, mine->second, "", found);
            }
            unexpected.erase(reply.node);
        }
        for (const auto& [node, value] : unexpected)
            found.insert("a reply: " + to_json_text(value));
        for (const std::string& what : found) {
            if (!is_argued(capture, what)) ADD_FAILURE() << what;
        }
    }

    /// What is listed and does not happen is no difference any more.
    void expect_differences_happened() const {
        for (const Difference& difference : kDifferences) {
            const bool concerned = std::ranges::any_of(replayed_, [&](const std::string& capture) {
                return matches(difference.capture, capture);
            });
            if (concerned && !happened_.contains(&difference)) {
                ADD_FAILURE() << difference.capture << " does not differ: " << difference.what;
            }
        }
    }

private:
    static bool matches(const char* pattern, const std::string& text) {
        return ::fnmatch(pattern, text.c_str(), FNM_NOESCAPE) == 0;
    }
    bool is_argued(const std::string& capture, const std::string& what) {
        bool argued = false;
        for (const Difference& difference : kDifferences) {
            if (!matches(difference.capture, capture) || !matches(difference.what, what)) continue;
            happened_.insert(&difference);
            argued = true;
        }
        return argued;
    }

    std::set<std::string> replayed_;
    std::set<const Difference*> happened_;
};
INSTANTIATE_TEST_SUITE_P(On, CapturedControl, ::testing::Values("rabbitmq"), broker_name);

/// Of tasks that are held: they need a worker that has some.
const std::vector<std::string> kOfHeldTasks{
    "inspect_active",     "inspect_active_safe", "inspect_reserved",          "inspect_scheduled",
    "inspect_query_task", "inspect_stats",       "revoke_by_stamped_headers", "control_terminate"};

TEST_P(CapturedControl, OfHeldTasksIsAnsweredAsCeleryDoes) {
    CapturedWorker worker{settings_, "worker@capture", false};
    worker.fill();
    App asking{"asking", settings_};
    for (const std::string& name : kOfHeldTasks) {
        for (const Json& record : records()) {
            if (text_of(record, "name") != name) continue;
            expect_like(record, asking.core()->loop().run_blocking(
                                    replay(asking.core(), &record, {"worker@capture"})));
        }
    }
    expect_differences_happened();
}

TEST_P(CapturedControl, OfAnIdleWorkerIsAnsweredAsCeleryDoes) {
    App asking{"asking", settings_};
    const auto send = [&](const Json& record, std::set<std::string> nodes) {
        return asking.core()->loop().run_blocking(replay(asking.core(), &record, std::move(nodes)));
    };
    for (const Json& record : records()) {
        const std::string name = text_of(record, "name");
        if (std::ranges::find(kOfHeldTasks, name) != kOfHeldTasks.end()) continue;
        const std::string request = text_of(*record.find("request"), "body");
        const bool both = name == "ping_all";
        const bool other = request.find("[\"worker2@capture\"]") != std::string::npos;
        std::set<std::string> nodes;
        std::vector<std::unique_ptr<CapturedWorker>> workers;
        for (const char* node : {"worker@capture", kOtherNode}) {
            if (!both && (node == kOtherNode) != other) continue;
            nodes.insert(node);
            workers.push_back(
                std::make_unique<CapturedWorker>(settings_, node, name.ends_with("_with_E")));
        }
        if (const auto before = kBefore.find(name); before != kBefore.end()) {
            for (const std::string& first : before->second) (void)send(record_named(first), nodes);
        }
        const bool ends = name == "control_shutdown";
        expect_like(record, send(record, ends ? std::set<std::string>{} : nodes));
        if (ends) EXPECT_TRUE(workers.front()->running().wait_stopped());
    }
    expect_differences_happened();
}

}  // namespace
}  // namespace lovage::integration
