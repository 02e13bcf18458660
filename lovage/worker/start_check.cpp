#include <lovage/worker/start_check.hpp>

#include <lovage/app/delivery.hpp>

#include <fmt/core.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace lovage {

namespace {

using Limit = std::optional<std::chrono::milliseconds>;

double seconds(Limit limit) {
    return std::chrono::duration<double>(*limit).count();
}

/// `what` names who set the limits.
Result<void> check_limits(const std::string& what, Limit hard, Limit soft, const Pool& pool) {
    if (hard && !pool.keeps_hard_limits()) {
        return fail(
            Errc::invalid_argument,
            fmt::format("{}: the pool '{}' cannot end a task at its hard time limit of {} s; "
                        "use --pool prefork, or a soft limit",
                        what, pool.name(), seconds(hard)));
    }
    if (hard && soft && *soft > *hard) {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: the soft time limit of {} s is beyond the hard one of {} s",
                                what, seconds(soft), seconds(hard)));
    }
    return {};
}

std::string named(const Settings& settings, std::string_view name) {
    const auto origin = settings.origins.find(name);
    return fmt::format("{} ({})", name,
                       origin == settings.origins.end() ? "program" : origin->second);
}

/// Replacing a slot, and ending one that takes too much memory, is for slots that are processes.
Result<void> check_slot_limits(const Settings& settings, const Pool& pool) {
    if (pool.keeps_hard_limits()) return {};
    const auto refuse = [&](std::string_view name) -> Result<void> {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: the slots of the pool '{}' are no processes; use --pool "
                                "prefork, or leave it out",
                                named(settings, name), pool.name()));
    };
    if (settings.worker_max_memory_per_child != 0) return refuse("worker_max_memory_per_child");
    if (settings.worker_max_tasks_per_child != 0) return refuse("worker_max_tasks_per_child");
    return {};
}

std::unexpected<Error> too_many_slots(const std::string& what, const Pool& pool) {
    return fail(Errc::invalid_argument, fmt::format("{}: the pool '{}' has {} slots at most", what,
                                                    pool.name(), pool.slots_most()));
}

}  // namespace

Result<void> check_start(const Settings& settings, const TaskRegistry& tasks, const Pool& pool) {
    if (auto fine = check_delivery(settings); !fine) return fine;
    if (settings.worker_autoscale && !pool.resizable()) {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: the pool '{}' cannot grow or shrink; use --pool prefork or "
                                "threads",
                                named(settings, "worker_autoscale"), pool.name()));
    }
    if (const auto& range = settings.worker_autoscale; range && range->max > pool.slots_most()) {
        return too_many_slots(named(settings, "worker_autoscale"), pool);
    }
    if (settings.worker_concurrency > pool.slots_most()) {
        return too_many_slots(named(settings, "worker_concurrency"), pool);
    }
    if (auto fine = check_slot_limits(settings, pool); !fine) return fine;
    auto fine = check_limits(named(settings, "task_time_limit"), settings.task_time_limit,
                             settings.task_soft_time_limit, pool);
    if (!fine) return fine;
    for (const std::string& name : tasks.names()) {
        const TaskDefinition& task = *tasks.find(name);
        if (fine = check_delivery(settings, task); !fine) return fine;
        fine = check_limits("task '" + name + "'", task.options.time_limit,
                            task.options.soft_time_limit, pool);
        if (!fine) return fine;
    }
    return {};
}

}  // namespace lovage
