// What a worker tells of its tasks.

#include <string_view>

#include <lovage/worker/control/command.hpp>

namespace lovage::control {
namespace {

Awaitable<Answer> enable_events(Call call) {
    EventControl* const events = call.worker->events();
    if (events == nullptr) co_return error("event dispatcher unavailable");
    co_return ok(events->enable_task_events() ? "task events enabled"
                                              : "task events already enabled");
}

Awaitable<Answer> disable_events(Call call) {
    EventControl* const events = call.worker->events();
    if (events == nullptr) co_return error("event dispatcher unavailable");
    co_return ok(events->disable_task_events() ? "task events disabled"
                                               : "task events already disabled");
}

Awaitable<Answer> heartbeat(Call call) {
    if (EventControl* const events = call.worker->events()) events->send_heartbeat();
    co_return Json{};
}

constexpr std::span<const std::string_view> kNoOther{};

}  // namespace

std::span<const Command> event_commands() {
    static constexpr Command kCommands[]{
        {"enable_events", "", {}, kNoOther, enable_events},
        {"disable_events", "", {}, kNoOther, disable_events},
        {"heartbeat", "", {}, kNoOther, heartbeat},
    };
    return kCommands;
}

}  // namespace lovage::control
