// What a worker tells of its tasks.

#include <string_view>

#include <lovage/runtime/log.hpp>
#include <lovage/worker/control/command.hpp>

namespace lovage::control {
namespace {

Awaitable<Answer> enable_events(Call call) {
    EventControl* const events = call.worker->events();
    if (events == nullptr) co_return error("event dispatcher unavailable");
    if (!events->enable_task_events()) co_return ok("task events already enabled");
    log::info("worker", "remote control: events of tasks are sent");
    co_return ok("task events enabled");
}

Awaitable<Answer> disable_events(Call call) {
    EventControl* const events = call.worker->events();
    if (events == nullptr) co_return error("event dispatcher unavailable");
    if (!events->disable_task_events()) co_return ok("task events already disabled");
    log::info("worker", "remote control: events of tasks are not sent any more");
    co_return ok("task events disabled");
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
