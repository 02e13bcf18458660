#pragma once

#include <lovage/core/json.hpp>
#include <lovage/worker/control/controlled_worker.hpp>

namespace lovage::control {

/// How arguments are shown.
enum class Arguments : std::uint8_t {
    values,
    texts,  ///< What the sender has called them for people (`argsrepr`).
};

/// A task that has not started, as `reserved` and `scheduled` list it (celery-wire reference,
/// section 16.4: "request info").
[[nodiscard]] Json task_info(const TaskRequest& request, std::string_view node,
                             Arguments arguments = Arguments::values);
/// One that runs, as `active` lists it.
[[nodiscard]] Json task_info(const RunningTask& task, std::string_view node,
                             Arguments arguments = Arguments::values);

/// A queue as `active_queues` lists it.
[[nodiscard]] Json queue_info(const QueueSource& source, const Settings& settings);

/// "name [rate_limit=1/h ignore_result=False]", with those of `attributes` that the task has.
[[nodiscard]] std::string registered_info(const std::string& name, const TaskOptions& options,
                                          const std::vector<std::string>& attributes);

}  // namespace lovage::control
