// What a worker holds and how it is set up.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <lovage/core/time.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/worker/control/command.hpp>
#include <lovage/worker/control/task_info.hpp>
#include <lovage/worker/control/worker_facts.hpp>

#include <fmt/format.h>

namespace lovage::control {
namespace {

/// Celery gives the timer that wakes such a task this priority.
constexpr int kTimerPriority = 6;
/// More tasks are not looked up at a time.
constexpr std::size_t kLookedUpMost = 10'000;

std::vector<std::string> texts_of(const Json* value) {
    if (value == nullptr) return {};
    if (value->is_string()) return {value->as_string()};
    std::vector<std::string> texts;
    if (!value->is_array()) return texts;
    for (const Json& item : value->as_array()) {
        if (item.is_string()) texts.push_back(item.as_string());
    }
    return texts;
}

Awaitable<Answer> active(Call call) {
    const Arguments arguments = call.flag("safe") ? Arguments::texts : Arguments::values;
    Json list = Json::array();
    for (const RunningTask& task : call.worker->running()) {
        list.push_back(task_info(task, call.worker->node(), arguments));
    }
    co_return list;
}

Awaitable<Answer> reserved(Call call) {
    Json list = Json::array();
    for (const auto& request : call.worker->reserved()) {
        list.push_back(task_info(*request, call.worker->node()));
    }
    co_return list;
}

Awaitable<Answer> scheduled(Call call) {
    Json list = Json::array();
    for (const auto& request : call.worker->scheduled()) {
        const auto eta = request->message.eta;
        list.push_back(Json::object({{"eta", eta ? Json{to_iso8601(*eta)} : Json{}},
                                     {"priority", kTimerPriority},
                                     {"request", task_info(*request, call.worker->node())}}));
    }
    co_return list;
}

Awaitable<Answer> query_task(Call call) {
    const std::vector<std::string> texts = texts_of(call.argument("ids"));
    if (texts.size() > kLookedUpMost)
        co_return error(fmt::format("ids should be {} at most", kLookedUpMost));
    const std::unordered_set<std::string_view> ids{texts.begin(), texts.end()};
    const auto wanted = [&ids](const std::string& id) { return ids.contains(id); };
    Json found = Json::object();
    const auto add = [&](const TaskRequest& request, std::string_view where, Json info) {
        found.set(request.message.id, Json::array({where, std::move(info)}));
    };
    const std::string& node = call.worker->node();
    for (const auto& request : call.worker->scheduled()) {
        if (wanted(request->message.id)) add(*request, "ready", task_info(*request, node));
    }
    for (const auto& request : call.worker->reserved()) {
        if (wanted(request->message.id)) add(*request, "reserved", task_info(*request, node));
    }
    for (const RunningTask& task : call.worker->running()) {
        if (wanted(task.request->message.id)) add(*task.request, "active", task_info(task, node));
    }
    co_return found;
}

Awaitable<Answer> registered(Call call) {
    std::vector<std::string> attributes = texts_of(call.argument("taskinfoitems"));
    if (attributes.empty()) attributes = {"exchange", "routing_key", "rate_limit"};
    Json list = Json::array();
    for (const std::string& name : call.worker->tasks().names()) {
        list.push_back(registered_info(*call.worker->tasks().find(name), attributes));
    }
    co_return list;
}

Awaitable<Answer> active_queues(Call call) {
    Json list = Json::array();
    for (const QueueSource& source : call.worker->sources()) {
        list.push_back(queue_info(source, call.worker->settings()));
    }
    co_return list;
}

Awaitable<Answer> stats(Call call) {
    co_return worker_stats(*call.worker);
}

Awaitable<Answer> conf(Call call) {
    co_return settings_as_json(call.worker->settings(), call.flag("with_defaults"));
}

Awaitable<Answer> report(Call call) {
    co_return ok(worker_report(call.worker->settings()));
}

constexpr std::string_view kIds[]{"ids"};
constexpr std::span<const std::string_view> kNothing{};

}  // namespace

std::span<const Command> inspect_commands() {
    static constexpr Command kCommands[]{
        {"active", "dump_active", {}, std::nullopt, active},
        {"reserved", "dump_reserved", {}, std::nullopt, reserved},
        {"scheduled", "dump_schedule", {}, std::nullopt, scheduled},
        {"query_task", "", kIds, std::nullopt, query_task},
        {"registered", "dump_tasks", {}, std::nullopt, registered},
        {"active_queues", "", {}, kNothing, active_queues},
        {"stats", "", {}, std::nullopt, stats},
        {"conf", "dump_conf", {}, std::nullopt, conf},
        {"report", "", {}, kNothing, report},
    };
    return kCommands;
}

}  // namespace lovage::control
