#include <lovage/worker/journal/dead_workers.hpp>

#include <lovage/runtime/log.hpp>

#include <utility>

namespace lovage::journal {

Awaitable<void> DeadWorkers::charge_started(TimePoint now) {
    for (DeadFile& file : take_dead(place_, now)) co_await charge(std::move(file), now);
}

Awaitable<void> DeadWorkers::charge(DeadFile file, TimePoint now) {
    for (const StartedTask& task : file.started()) {
        const auto crashes = co_await crashes_.charge_attempt(task.id, task.started, now);
        if (!crashes) {
            log::warning("worker",
                         "Task {} was running when its worker (pid {}) died; that cannot be "
                         "counted now: {}",
                         task.id, file.pid(), crashes.error().message());
            co_return;
        }
        log::warning("worker",
                     "Task {} was running when its worker (pid {}) died without being asked to "
                     "stop, which counts as its crash: {} of {} in {} hours",
                     task.id, file.pid(), *crashes, kCrashesMost, kCrashWindow.count());
    }
    file.remove();
}

}  // namespace lovage::journal
