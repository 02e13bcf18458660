#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/app/delivery.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/admission.hpp>
#include <lovage/worker/attempt_watch.hpp>
#include <lovage/worker/autoscale.hpp>
#include <lovage/worker/chord_sweeper.hpp>
#include <lovage/worker/control/controlled_worker.hpp>
#include <lovage/worker/control/mailbox.hpp>
#include <lovage/worker/events/event_dispatcher.hpp>
#include <lovage/worker/journal/dead_workers.hpp>
#include <lovage/worker/key_gate.hpp>
#include <lovage/worker/look_ahead.hpp>
#include <lovage/worker/pool.hpp>
#include <lovage/worker/progress_watch.hpp>
#include <lovage/worker/revocations.hpp>
#include <lovage/worker/revoked_stamps.hpp>
#include <lovage/worker/settler.hpp>
#include <lovage/worker/task_limits.hpp>
#include <lovage/worker/task_metrics.hpp>
#include <lovage/worker/waiting_room.hpp>
#include <lovage/worker/worker.hpp>
#include <lovage/worker/worker_hooks.hpp>

namespace lovage {

/// The worker on its loop. worker.cpp holds its life (start, stop), worker_consume.cpp what happens
/// to deliveries, worker_progress.cpp the watch over their coming, worker_slots.cpp how many slots
/// there are, worker_crashes.cpp what it does about workers that died, worker_control.cpp what
/// remote control sees of it and does to it.
class Worker::Impl final : public ControlledWorker {
public:
    Impl(App& app, WorkerOptions options);

    Awaitable<Result<void>> run();
    // On the loop.
    void stop_requested();
    void cold_stop_requested();
    [[nodiscard]] WorkerStatus status() const;
    [[nodiscard]] std::string_view pool_name() const noexcept { return pool_->name(); }
    [[nodiscard]] std::vector<std::string> queue_names() const;

    // ControlledWorker.
    [[nodiscard]] const std::string& node() const override { return hostname; }
    [[nodiscard]] const Settings& settings() const override { return core->settings(); }
    [[nodiscard]] const TaskRegistry& tasks() const override { return core->registry(); }
    [[nodiscard]] StateStore& state() override { return core->state(); }
    [[nodiscard]] Client& client() override { return core->client(); }
    [[nodiscard]] LamportClock& clock() override { return core->clock(); }
    [[nodiscard]] control::MemorySamples& memory_samples() override { return memory_samples_; }
    [[nodiscard]] EventControl* events() override { return &events_; }
    [[nodiscard]] std::vector<RunningTask> running() const override { return pool_->running(); }
    [[nodiscard]] std::vector<RequestPtr> reserved() const override;
    [[nodiscard]] std::vector<RequestPtr> scheduled() const override;
    [[nodiscard]] TaskOptions options_of(const TaskDefinition& task) const override;
    [[nodiscard]] std::map<std::string, std::uint64_t> totals() const override;
    [[nodiscard]] Clock::time_point started() const override { return started_; }
    [[nodiscard]] const Pool& pool() const override { return *pool_; }
    [[nodiscard]] std::uint32_t prefetch() const override { return prefetch_; }
    [[nodiscard]] std::optional<AutoscaleRange> autoscale() const override;
    [[nodiscard]] const std::vector<QueueSource>& sources() const override { return sources_; }
    Result<void> grow(std::size_t more) override;
    Result<void> shrink(std::size_t fewer) override;
    Result<AutoscaleRange> set_autoscale(AutoscaleRange bounds) override;
    Result<void> restart_pool() override { return pool_->restart(); }
    void request_warm_stop() override;
    std::vector<std::string> revoke_held(const std::vector<std::string>& task_ids,
                                         const RevokeOptions& how) override;
    RevokedStamps::Stamps revoke_stamped(const RevokedStamps::Stamps& stamps,
                                         const RevokeOptions& how) override;
    void limit_rate(const TaskDefinition& task, RateLimit limit) override;
    void limit_time(const TaskDefinition& task, TimeLimits limits) override;
    Awaitable<Result<void>> add_queue(QueueSource source, Deadline deadline) override;
    Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline) override;

    App& app;
    std::shared_ptr<AppCore> core;
    const WorkerOptions options;
    const std::string hostname;
    const std::size_t slots;  // at the start
    std::atomic<bool> ready{false};
    std::size_t left_behind = 0;

private:
    /// Ends, as revoked, what waits for its time, its turn or its place.
    void end_waiting(const std::function<bool(const RequestPtr&)>& revoked);
    /// What heartbeats tell.
    [[nodiscard]] EventDispatcher::Load load() const;

    // Life.
    Awaitable<Result<void>> wait_for_servers();
    Awaitable<Result<void>> connect_and_consume();
    Awaitable<Result<void>> open_consumer();
    /// The queue with whatever its messages come by.
    Awaitable<Result<void>> declare(QueueSource source, Deadline deadline);
    [[nodiscard]] bool wants_queue(std::string_view queue) const;
    /// Tells the consumer of a queue, unless remote control takes that away meanwhile.
    Awaitable<Result<void>> consume_wanted(std::string queue, Deadline deadline);
    /// Tells the consumer what remote control has changed since it was asked for with `consumed`.
    Awaitable<Result<void>> catch_up(std::vector<std::string> consumed, Deadline deadline);
    Awaitable<void> stop_wanted();
    Awaitable<void> shut_down();
    /// Waits for hooks, for as long as a stop may take; those that do not end are left behind.
    Awaitable<void> finish_hooks(WorkerHookCalls* calls, std::string_view name);
    /// Takes back from pool and waiting room what has not started.
    void withdraw_unstarted();
    Awaitable<void> wait_for_running();
    Awaitable<void> pause(std::chrono::milliseconds length);

    // Slots.
    Result<void> resize(std::size_t slots_wanted);
    /// As many slots as there is work for.
    void scale();
    Awaitable<void> watch_load();

    // Deliveries.
    Awaitable<void> consume();
    Awaitable<void> consume_until_stop();
    /// Goes on with the same consumer, or opens another one; false when a stop came first.
    Awaitable<bool> recover(Error problem);
    Awaitable<Result<void>> revive(bool same_consumer);
    Awaitable<void> take(std::vector<Delivery> deliveries);
    /// What deliveries are as tasks, without those that went into quarantine, and how each is
    /// revoked.
    struct Taken {
        std::vector<RequestPtr> requests;
        std::vector<Revocation> revoked;
    };
    Awaitable<Taken> decode_and_look_up(std::vector<Delivery> deliveries);
    Awaitable<Result<void>> look_up_into(std::vector<Revocation>* revoked,
                                         std::vector<std::string> ids);
    /// nullptr for what went into quarantine.
    Awaitable<Result<void>> decode_into(std::vector<RequestPtr>* decoded,
                                        std::vector<Delivery>* deliveries);
    Awaitable<void> release_due();
    Awaitable<void> release_due_until_stop();
    RequestPtr make_request(Delivery delivery, TaskMessage message, const TaskDefinition& task,
                            std::shared_ptr<const FollowUps> follow_ups);
    /// How the task is acknowledged and limited: its message's, its options' and the settings'
    /// word.
    void set_rules(TaskRequest& request);
    /// In a pool that cannot kill, a message's hard limit is one more soft one.
    void soften_hard_limit(TaskRequest& request);
    [[nodiscard]] EventDispatcher::Options event_options() const;
    [[nodiscard]] std::size_t busy_slots() const noexcept;
    /// What the pool has not ended yet changed: shows it.
    void show_busy();
    RequestPtr decode(Delivery delivery);
    Awaitable<std::vector<Revocation>> look_up_revoked(const std::vector<RequestPtr>& requests);
    /// Begins to note which tasks run, after charging those that ran when other workers died.
    Awaitable<void> open_journal();
    /// The records of tasks that come again after they have succeeded
    /// (`worker_deduplicate_successful_tasks`); empty when none was delivered before.
    Awaitable<std::vector<std::optional<TaskMeta>>> look_up_done(std::vector<RequestPtr> requests);
    void end_done(RequestPtr request, TaskMeta record);
    /// How often each of the tasks has crashed; empty when none was delivered before.
    Awaitable<std::vector<std::size_t>> look_up_crashes(std::vector<RequestPtr> requests);
    /// Expired, revoked, waiting for its time, its turn or its place, or put into `runnable`.
    void triage(RequestPtr request, Revocation revocation, TimePoint now,
                std::vector<RequestPtr>& runnable);
    void submit(std::vector<RequestPtr> runnable);
    [[nodiscard]] KeyGate::Hooks gate_hooks();
    void give_back(const RequestPtr& request);
    void on_finished(std::vector<FinishedTask> finished);
    void on_settled(const RequestPtr& request, const TaskOutcome* outcome,
                    LookAhead::Duration settle_time);
    [[nodiscard]] std::uint32_t wanted_prefetch() const noexcept;
    void update_prefetch();

    // Progress (worker_progress.cpp).
    Awaitable<void> watch_progress();
    [[nodiscard]] ProgressWatch::Worker progress() const;
    /// Messages in our queues that nobody holds; nothing when the broker does not tell.
    Awaitable<std::optional<std::uint64_t>> waiting_at_broker();
    void carry_out(Repair repair, std::uint64_t waiting, std::chrono::milliseconds patience);

    const DeliveryRules delivery_;
    std::unique_ptr<Pool> pool_;
    TaskMetrics metrics_;
    EventDispatcher events_;
    Notifier changed_;
    std::optional<Autoscale> autoscale_;
    LookAhead look_ahead_;
    std::uint32_t prefetch_ = 0;
    std::uint32_t ahead_ = 0;       // the look-ahead's part of it
    std::uint64_t generation_ = 0;  // which consumer: requests of an older one are redelivered
    Revocations revocations_;
    std::optional<journal::DeadWorkers> dead_workers_;
    std::shared_ptr<journal::InFlightFile> journal_;
    AttemptWatch watch_;
    bool told_of_hard_limits_ = false;
    std::uint64_t deliveries_ = 0;      // that have come
    Repair repair_ = Repair::none;      // wanted of consume()
    std::vector<QueueSource> sources_;  // what it consumes
    /// Nothing while none is open. Shared with whoever waits for it meanwhile.
    std::shared_ptr<Consumer> consumer_;
    /// Of what this consumer delivered; nothing once it is known to have lost that.
    std::optional<std::uint64_t> epoch_;
    Settler settler_;
    ChordSweeper sweeper_;
    WaitingRoom waiting_;
    Admission admission_;
    KeyGate gate_;
    TaskLimits limits_;
    RevokedStamps revoked_stamps_;
    control::MemorySamples memory_samples_;
    /// How many attempts of each task have ended that had begun.
    std::unordered_map<const TaskDefinition*, std::uint64_t> begun_;
    Clock::time_point started_;
    std::optional<control::Mailbox> mailbox_;
    std::optional<Error> problem_;  // why the worker cannot go on
    int stops_ = 0;                 // how often a stop was requested
    std::optional<Deadline> soft_;  // until when a cold stop waits
    TaskScope scope_;
};

}  // namespace lovage
