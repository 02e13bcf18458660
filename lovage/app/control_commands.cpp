#include <lovage/app/control_commands.hpp>

#include <lovage/runtime/child_process.hpp>

namespace lovage::control {

namespace {

Json list_of(const std::vector<std::string>& texts) {
    return Json::array({texts.begin(), texts.end()});
}

Json seconds_or_null(const std::optional<std::chrono::duration<double>>& limit) {
    return limit ? Json{limit->count()} : Json{};
}

}  // namespace

ControlCommand ping() {
    return inspect("ping");
}
ControlCommand inspect(std::string_view method) {
    return {.method = std::string{method}};
}
ControlCommand registered(const std::vector<std::string>& attributes) {
    return {"registered", Json::object({{"taskinfoitems", list_of(attributes)}})};
}
ControlCommand query_task(const std::vector<std::string>& task_ids) {
    return {"query_task", Json::object({{"ids", list_of(task_ids)}})};
}

ControlCommand revoke(const std::vector<std::string>& task_ids, const RevokeOptions& options) {
    return {"revoke", Json::object({{"task_id", list_of(task_ids)},
                                    {"terminate", options.terminate},
                                    {"signal", signal_name(options.signal)}})};
}
ControlCommand rate_limit(std::string_view task, std::string_view rate) {
    return {"rate_limit", Json::object({{"task_name", task}, {"rate_limit", rate}})};
}
ControlCommand time_limit(std::string_view task, std::optional<std::chrono::duration<double>> soft,
                          std::optional<std::chrono::duration<double>> hard) {
    return {"time_limit", Json::object({{"task_name", task},
                                        {"soft", seconds_or_null(soft)},
                                        {"hard", seconds_or_null(hard)}})};
}

ControlCommand pool_grow(std::size_t slots) {
    return {"pool_grow", Json::object({{"n", slots}})};
}
ControlCommand pool_shrink(std::size_t slots) {
    return {"pool_shrink", Json::object({{"n", slots}})};
}
ControlCommand pool_restart() {
    return {.method = "pool_restart"};
}
ControlCommand autoscale(std::size_t max, std::size_t min) {
    return {"autoscale", Json::object({{"max", max}, {"min", min}})};
}

ControlCommand add_consumer(std::string_view queue) {
    return {"add_consumer", Json::object({{"queue", queue}})};
}
ControlCommand cancel_consumer(std::string_view queue) {
    return {"cancel_consumer", Json::object({{"queue", queue}})};
}

ControlCommand enable_events() {
    return {.method = "enable_events"};
}
ControlCommand disable_events() {
    return {.method = "disable_events"};
}
ControlCommand heartbeat() {
    return {.method = "heartbeat"};
}
ControlCommand shutdown() {
    return {.method = "shutdown"};
}

}  // namespace lovage::control
