#include <lovage/cli/remote_commands.hpp>

#include <lovage/cli/option_values.hpp>
#include <lovage/runtime/child_process.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace lovage::cli {

namespace {

using enum WordType;
using enum RemoteKind;

constexpr RemoteParameter kTask{"task_name", "TASK", "The task's name", text, true};
constexpr RemoteParameter kQueue{"queue", "QUEUE", "The queue's name", text, true};
constexpr RemoteParameter kTaskIds{"task_id", "ID", "The tasks' ids", text, true};

constexpr std::array kConf{
    RemoteParameter{"with_defaults", "ALL", "yes: also settings that nobody changed", boolean}};
constexpr RemoteParameter kAttributes{"taskinfoitems", "ATTRIBUTE",
                                      "What to tell of each task, such as rate_limit, max_retries"};
constexpr RemoteParameter kIds{"ids", "ID", "The tasks' ids", text, true};
constexpr std::array kMemdump{
    RemoteParameter{"samples", "N", "Samples to show; default: 10", integer}};
constexpr std::array kObjgraph{
    RemoteParameter{"type", "TYPE", "Class of the objects; default: Request"},
    RemoteParameter{"num", "N", "Objects at most; default: 200", integer},
    RemoteParameter{"max_depth", "DEPTH", "Depth of the graph; default: 10", integer}};

constexpr std::array kAddConsumer{
    kQueue, RemoteParameter{"exchange", "EXCHANGE", "Its exchange; default: of the queue's name"},
    RemoteParameter{"exchange_type", "TYPE", "direct (default), topic, fanout"},
    RemoteParameter{"routing_key", "KEY", "Its routing key; default: the queue's name"}};
constexpr std::array kCancelConsumer{kQueue};
constexpr std::array kAutoscale{RemoteParameter{"max", "MAX", "Slots at most", integer, true},
                                RemoteParameter{"min", "MIN", "Slots at least", integer}};
constexpr std::array kSlots{RemoteParameter{"n", "N", "How many slots; default: 1", integer}};
constexpr std::array kRateLimit{
    kTask, RemoteParameter{"rate_limit", "RATE", "Such as 10/s, 5/m, 100/h; 0: none", text, true}};
constexpr std::array kTimeLimit{
    kTask, RemoteParameter{"soft", "SOFT", "Seconds until it is asked to stop", number, true},
    RemoteParameter{"hard", "HARD", "Seconds until it is killed; default: no limit", number}};
constexpr std::array kTerminate{
    RemoteParameter{"signal", "SIGNAL", "What its process gets, such as SIGTERM", signal, true}};
constexpr RemoteParameter kStamps{"headers", "NAME=VALUE", "Stamps of the tasks", text, true};

constexpr std::array kMethods{
    RemoteMethod{inspect, "active", "Tasks that run"},
    RemoteMethod{inspect, "active_queues", "Queues that are consumed"},
    RemoteMethod{inspect, "clock", "The logical clock"},
    RemoteMethod{inspect, "conf", "Settings, without secrets", kConf},
    RemoteMethod{inspect, "memdump", "Print the samples of memory use, and forget them", kMemdump},
    RemoteMethod{inspect, "memsample", "Take a sample of memory use"},
    RemoteMethod{inspect, "objgraph", "Draw a graph of objects (Python workers)", kObjgraph},
    RemoteMethod{inspect, "ping", "Who is there"},
    RemoteMethod{inspect, "query_task", "Where tasks are, by id", {}, &kIds},
    RemoteMethod{inspect, "registered", "Tasks that can be run", {}, &kAttributes},
    RemoteMethod{inspect, "report", "Versions and settings, for a bug report"},
    RemoteMethod{inspect, "reserved", "Tasks that are next, not started yet"},
    RemoteMethod{inspect, "revoked", "Ids of revoked tasks"},
    RemoteMethod{inspect, "scheduled", "Tasks that wait for their time"},
    RemoteMethod{inspect, "stats", "Pool, tasks so far, memory, broker"},

    RemoteMethod{control, "add_consumer", "Consume a queue, too", kAddConsumer},
    RemoteMethod{control, "autoscale", "Set the bounds of the number of slots", kAutoscale},
    RemoteMethod{control, "cancel_consumer", "Consume a queue no more", kCancelConsumer},
    RemoteMethod{control, "disable_events", "Send no task events"},
    RemoteMethod{control, "enable_events", "Send task events"},
    RemoteMethod{control, "heartbeat", "Send an event heartbeat now"},
    RemoteMethod{control, "pool_grow", "Add slots", kSlots},
    RemoteMethod{control, "pool_restart", "Restart the slots"},
    RemoteMethod{control, "pool_shrink", "Remove slots", kSlots},
    RemoteMethod{control, "rate_limit", "Limit how often a task starts", kRateLimit},
    RemoteMethod{control, "revoke", "Do not run tasks, by id", {}, &kTaskIds},
    RemoteMethod{control, "revoke_by_stamped_headers", "Do not run tasks, by stamp", {}, &kStamps},
    RemoteMethod{control, "shutdown", "Finish what runs and end"},
    RemoteMethod{control, "terminate", "Stop running tasks, by id", kTerminate, &kTaskIds},
    RemoteMethod{control, "time_limit", "Limit how long a task runs", kTimeLimit},
};

Json to_value(const std::string& where, WordType type, const std::string& word) {
    switch (type) {
        case integer:
            return to_integer<std::int64_t>(where, word, 0, 1'000'000'000);
        case number:
            return std::chrono::duration<double>{to_seconds(where, word)}.count();
        case boolean: {
            constexpr std::array kYes{"yes", "true", "on", "1"};
            constexpr std::array kNo{"no", "false", "off", "0"};
            if (std::ranges::count(kYes, word)) return true;
            if (std::ranges::count(kNo, word)) return false;
            refuse("{}: '{}' is neither yes nor no", where, word);
        }
        case signal:
            // Python's workers know signals by this form of their name only.
            return signal_name(to_signal(where, word));
        case text:
            break;
    }
    return word;
}

}  // namespace

std::span<const RemoteMethod> remote_methods() {
    return kMethods;
}

ControlCommand to_command(const RemoteMethod& method, const std::vector<std::string>& words) {
    ControlCommand command{.method = method.name};
    const std::string name =
        fmt::format("{} {}", method.kind == inspect ? "inspect" : "control", method.name);
    std::size_t used = 0;
    for (const RemoteParameter& parameter : method.parameters) {
        if (used == words.size()) {
            if (parameter.required) refuse("{}: {} is missing", name, parameter.shown);
            break;
        }
        const std::string where = fmt::format("{}: {}", name, parameter.shown);
        command.arguments.set(parameter.name, to_value(where, parameter.type, words[used++]));
    }
    if (method.rest != nullptr) {
        Json list = Json::array();
        for (; used < words.size(); ++used) list.push_back(words[used]);
        if (method.rest->required && list.as_array().empty()) {
            refuse("{}: {} is missing", name, method.rest->shown);
        }
        command.arguments.set(method.rest->name, std::move(list));
    } else if (used < words.size()) {
        refuse("{}: unexpected argument '{}'", name, words[used]);
    }
    return command;
}

}  // namespace lovage::cli
