#pragma once

#include <chrono>
#include <map>
#include <string>

#include <lovage/runtime/metrics.hpp>
#include <lovage/worker/progress_watch.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// The worker's metrics. Not thread-safe: the worker's loop owns it.
///
/// lovage_tasks_total{task,outcome}: outcome is success, failure, retry, ignored, rejected,
/// requeued, terminated, timed_out or slot_lost; for tasks that did not run revoked, expired,
/// duplicate, done_before or quarantined. lovage_task_runtime_seconds{task},
/// lovage_task_wait_seconds{task} (from receipt, or from its ETA, to start). lovage_worker_slots,
/// lovage_worker_slots_busy, lovage_worker_unsettled, lovage_worker_waiting;
/// lovage_worker_delayed_total. lovage_worker_repairs_total{stage} and
/// lovage_worker_repairs_cured_total{stage}: stage is consumer, connection or exit.
/// lovage_chords_swept_total{outcome}: finished or failed; lovage_chord_parts_recovered_total.
class TaskMetrics {
public:
    using Duration = std::chrono::steady_clock::duration;

    explicit TaskMetrics(metrics::Registry& registry);

    void ended(const TaskRequest& request, const TaskOutcome& outcome);
    /// A task that did not run; `task` may be empty (its name could not be read).
    void did_not_run(const std::string& task, const std::string& outcome);

    // What worker_progress.cpp does when nothing comes.
    void repaired(Repair repair);
    void cured(Repair repair);

    metrics::Gauge slots;
    metrics::Gauge slots_busy;
    metrics::Gauge unsettled;
    metrics::Gauge waiting;
    metrics::Counter delayed;

    // What sweepers do about chords that do not end by themselves.
    metrics::Counter chords_finished;
    metrics::Counter chords_failed;
    metrics::Counter parts_counted;

private:
    struct Handles {
        metrics::Counter success;
        metrics::Counter failure;
        metrics::Histogram wait;
        metrics::Histogram run_time;
    };
    Handles& handles(const std::string& task);

    metrics::CounterFamily tasks_;
    metrics::HistogramFamily run_times_;
    metrics::HistogramFamily waits_;
    metrics::CounterFamily repairs_;
    metrics::CounterFamily cures_;
    std::map<std::string, Handles, std::less<>> by_task_;
};

}  // namespace lovage
