#include <lovage/worker/task_metrics.hpp>

namespace lovage {

namespace {
double seconds(TaskMetrics::Duration duration) {
    return std::chrono::duration<double>(duration).count();
}
}  // namespace

TaskMetrics::TaskMetrics(metrics::Registry& registry)
    : slots{registry.gauge("lovage_worker_slots", "Tasks this worker can run at the same time.")
                .with({})},
      slots_busy{registry.gauge("lovage_worker_slots_busy", "Tasks running now.").with({})},
      unsettled{registry
                    .gauge("lovage_worker_unsettled",
                           "Deliveries held: waiting, running, or not yet acknowledged.")
                    .with({})},
      tasks_{registry.counter("lovage_tasks_total", "Tasks by name and how they ended.",
                              {"task", "outcome"})},
      run_times_{registry.histogram("lovage_task_runtime_seconds", "Run time of task functions.",
                                    {"task"})},
      waits_{registry.histogram(
          "lovage_task_wait_seconds",
          "Time from receipt by the worker (or from the ETA of a held task) to the start.",
          {"task"})} {}

TaskMetrics::Handles& TaskMetrics::handles(const std::string& task) {
    const auto found = by_task_.find(task);
    if (found != by_task_.end()) return found->second;
    // Only registered tasks come here, so the map is bounded by the program.
    Handles made{tasks_.with({task, "success"}), tasks_.with({task, "failure"}),
                 waits_.with({task}), run_times_.with({task})};
    return by_task_.emplace(task, made).first->second;
}

void TaskMetrics::ran(const std::string& task, bool success, Duration wait, Duration run_time) {
    Handles& of = handles(task);
    (success ? of.success : of.failure).increment();
    of.wait.observe(seconds(wait));
    of.run_time.observe(seconds(run_time));
}

void TaskMetrics::did_not_run(const std::string& task, const std::string& outcome) {
    tasks_.with({task, outcome}).increment();
}

}  // namespace lovage
