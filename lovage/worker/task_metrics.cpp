#include <lovage/worker/task_metrics.hpp>

namespace lovage {

namespace {
double seconds(TaskMetrics::Duration duration) {
    return std::chrono::duration<double>(duration).count();
}
metrics::CounterFamily swept_chords(metrics::Registry& registry) {
    return registry.counter("lovage_chords_swept_total",
                            "Chords that did not end by themselves, by what became of them.",
                            {"outcome"});
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
      waiting{
          registry.gauge("lovage_worker_waiting", "Tasks held until their time comes.").with({})},
      delayed{registry
                  .counter("lovage_worker_delayed_total",
                           "Tasks handed to the broker until their time comes.")
                  .with({})},
      chords_finished{swept_chords(registry).with({"finished"})},
      chords_failed{swept_chords(registry).with({"failed"})},
      parts_counted{registry
                        .counter("lovage_chord_parts_recovered_total",
                                 "Parts of chords that were over and that a sweeper has counted.")
                        .with({})},
      tasks_{registry.counter("lovage_tasks_total", "Tasks by name and how they ended.",
                              {"task", "outcome"})},
      run_times_{registry.histogram("lovage_task_runtime_seconds", "Run time of task functions.",
                                    {"task"})},
      waits_{registry.histogram(
          "lovage_task_wait_seconds",
          "Time from receipt by the worker (or from the ETA of a held task) to the start.",
          {"task"})},
      repairs_{registry.counter("lovage_worker_repairs_total",
                                "What was made anew because work waited and nothing arrived.",
                                {"stage"})},
      cures_{registry.counter("lovage_worker_repairs_cured_total",
                              "Repairs after which work arrived again.", {"stage"})} {
    // Present from the start, so that an alert sees the first one.
    for (const Repair repair : {Repair::consumer, Repair::connection, Repair::give_up}) {
        (void)repairs_.with({std::string{to_string(repair)}});
        (void)cures_.with({std::string{to_string(repair)}});
    }
}

TaskMetrics::Handles& TaskMetrics::handles(const std::string& task) {
    const auto found = by_task_.find(task);
    if (found != by_task_.end()) return found->second;
    // Only registered tasks come here, so the map is bounded by the program.
    Handles made{tasks_.with({task, "success"}), tasks_.with({task, "failure"}),
                 waits_.with({task}), run_times_.with({task})};
    return by_task_.emplace(task, made).first->second;
}

void TaskMetrics::ended(const TaskRequest& request, const TaskOutcome& outcome) {
    const std::string& task = request.definition->name;
    const bool ran = outcome.started != std::chrono::steady_clock::time_point{};
    if (!ran) return did_not_run(task, outcome.reason);
    Handles& of = handles(task);
    if (outcome.ending == Ending::succeeded) {
        of.success.increment();
    } else if (outcome.ending == Ending::failed) {
        of.failure.increment();
    } else {
        const bool terminated = outcome.ending == Ending::revoked;
        tasks_.with({task, terminated ? "terminated" : std::string{to_string(outcome.ending)}})
            .increment();
    }
    of.wait.observe(seconds(outcome.started - request.received));
    of.run_time.observe(seconds(outcome.ended - outcome.started));
}

void TaskMetrics::repaired(Repair repair) {
    repairs_.with({std::string{to_string(repair)}}).increment();
}
void TaskMetrics::cured(Repair repair) {
    cures_.with({std::string{to_string(repair)}}).increment();
}

void TaskMetrics::did_not_run(const std::string& task, const std::string& outcome) {
    tasks_.with({task, outcome}).increment();
}

}  // namespace lovage
