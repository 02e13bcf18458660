#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <lovage/awaitable.hpp>
#include <lovage/control/lamport_clock.hpp>
#include <lovage/events/event_fields.hpp>
#include <lovage/events/event_outbox.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/event_control.hpp>
#include <lovage/worker/events/custom_events.hpp>
#include <lovage/worker/events/event_groups.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// Sends the events of a worker: its heartbeats always, those of its tasks when wanted. Nothing
/// here waits for the broker: see EventOutbox.
///
/// Events of tasks are gathered and leave as one list, when there are kBatch of them or the loop
/// next looks around; never more than kGather later.
/// Wire: even a single one leaves as a list; those of workers leave alone.
///
/// Belongs to the worker's loop; not thread-safe. finish() it before it is destroyed.
class EventDispatcher final : public EventControl {
public:
    struct Options {
        std::string hostname;
        std::string exchange = "celeryev";  ///< `event_exchange`
        bool task_events = false;           ///< `worker_send_task_events`, `-E`
        /// Nothing: no worker-* events at all (`--without-heartbeat`).
        std::optional<std::chrono::milliseconds> heartbeat = std::chrono::seconds{2};
    };
    /// What heartbeats tell.
    struct Load {
        std::size_t active = 0;       ///< Tasks that run now.
        std::uint64_t processed = 0;  ///< Tasks that have started.
    };
    /// Celery differs: 24. Who follows events takes lists of any length, and brokers and readers
    /// have about as much to do for one with 24 as for one with 256.
    static constexpr std::size_t kBatch = 256;
    static constexpr std::chrono::milliseconds kGather{10};

    /// Lifetime: `clock`, and what the functions use, must outlive it.
    EventDispatcher(Executor executor, LamportClock& clock, Options options,
                    std::function<Broker*()> broker, std::function<Load()> load);

    /// Sends worker-online, and a heartbeat every interval from then on.
    void start();
    /// Sends what is gathered and worker-offline, and waits until the deadline for that to leave.
    [[nodiscard]] Awaitable<void> finish(Deadline deadline);

    /// Whether anybody is told of this task: then its start must be reported, too.
    [[nodiscard]] bool wants(const TaskDefinition& task) const noexcept {
        return groups_.tasks() && task.options.send_events;
    }
    // Each costs nothing unless wanted.
    void received(const TaskRequest& request);
    void started(const TaskRequest& request);
    /// Its end is durable.
    void ended(const TaskRequest& request, const TaskOutcome& outcome);
    /// A message whose task nobody here knows.
    void unknown_task(std::string_view task_id, const std::string& task);
    /// Where tasks put events of their own. They leave by themselves, each alone, after what is
    /// gathered.
    [[nodiscard]] const std::shared_ptr<CustomEvents>& custom() const noexcept { return custom_; }

    // EventControl.

    bool enable_task_events() override { return groups_.enable_tasks(); }
    bool disable_task_events() override { return groups_.disable_tasks(); }
    /// Wire: with `freq` 5 and without load, as Celery's command sends it.
    void send_heartbeat() override;
    void acknowledge_election(std::string_view id) override;

private:
    void gather(std::string_view type, const EventFields& fields);
    void flush();
    Awaitable<void> flush_soon();
    Awaitable<void> beat();
    void tell(const std::string& type);
    void send_alone(const std::string& type, const EventFields& fields, double timestamp);
    void send_custom();

    LamportClock& clock_;
    Options options_;
    std::function<Load()> load_;
    EventGroups groups_;
    EventSource source_;
    EventOutbox outbox_;
    std::shared_ptr<CustomEvents> custom_;
    std::string batch_;
    std::size_t gathered_ = 0;
    bool flushing_soon_ = false;
    bool online_ = false;
    bool finished_ = false;
    std::chrono::steady_clock::time_point flushed_;
    TaskScope scope_;
};

}  // namespace lovage
