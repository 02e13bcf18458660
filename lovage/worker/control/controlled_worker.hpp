#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/control/lamport_clock.hpp>
#include <lovage/worker/control/memory_samples.hpp>
#include <lovage/worker/event_control.hpp>
#include <lovage/worker/pool.hpp>
#include <lovage/worker/queue_source.hpp>
#include <lovage/worker/revoked_stamps.hpp>
#include <lovage/worker/task_limits.hpp>

namespace lovage {

/// What remote control sees of a worker and does to it; the worker itself, and in tests a fake.
///
/// Belongs to the worker's loop; not thread-safe. Whatever returns at once says how things are at
/// that moment.
class ControlledWorker {
public:
    using RequestPtr = std::shared_ptr<TaskRequest>;
    using Clock = std::chrono::steady_clock;

    virtual ~ControlledWorker() = default;

    [[nodiscard]] virtual const std::string& node() const = 0;
    [[nodiscard]] virtual const Settings& settings() const = 0;
    [[nodiscard]] virtual const TaskRegistry& tasks() const = 0;
    /// Connected, for as long as commands are carried out.
    [[nodiscard]] virtual StateStore& state() = 0;
    [[nodiscard]] virtual Client& client() = 0;
    [[nodiscard]] virtual LamportClock& clock() = 0;
    [[nodiscard]] virtual control::MemorySamples& memory_samples() = 0;
    /// nullptr while the worker sends no events.
    [[nodiscard]] virtual EventControl* events() = 0;

    // What it holds.

    [[nodiscard]] virtual std::vector<RunningTask> running() const = 0;
    /// Accepted, and waiting for a slot, for their turn under a rate limit, or for a place under a
    /// concurrency limit.
    [[nodiscard]] virtual std::vector<RequestPtr> reserved() const = 0;
    /// Waiting for their ETA.
    [[nodiscard]] virtual std::vector<RequestPtr> scheduled() const = 0;
    /// A task's options with the limits that are in force.
    [[nodiscard]] virtual TaskOptions options_of(const TaskDefinition& task) const = 0;
    /// How many tasks have begun, by name.
    [[nodiscard]] virtual std::map<std::string, std::uint64_t> totals() const = 0;

    // What it is.

    [[nodiscard]] virtual Clock::time_point started() const = 0;
    [[nodiscard]] virtual const Pool& pool() const = 0;
    [[nodiscard]] virtual std::uint32_t prefetch() const = 0;
    /// nullopt: it has as many slots as it was told to.
    [[nodiscard]] virtual std::optional<AutoscaleRange> autoscale() const = 0;
    [[nodiscard]] virtual const std::vector<QueueSource>& sources() const = 0;

    // What can be done to it. Errors: with Celery's words where it has some.

    virtual Result<void> grow(std::size_t slots) = 0;
    virtual Result<void> shrink(std::size_t slots) = 0;
    virtual Result<AutoscaleRange> set_autoscale(AutoscaleRange bounds) = 0;
    virtual Result<void> restart_pool() = 0;
    /// A warm shutdown, as at the first SIGTERM.
    virtual void request_warm_stop() = 0;

    /// What it holds of these tasks shall not start; with `terminate` what runs is ended, too.
    /// Returns those it holds. That later deliveries do not run is the state store's affair.
    virtual std::vector<std::string> revoke_held(const std::vector<std::string>& task_ids,
                                                 const RevokeOptions& options) = 0;
    /// Tasks with one of these stamps shall not start, here and until the worker ends; with
    /// `terminate` those that run are ended. Returns the stamps of those it holds.
    virtual RevokedStamps::Stamps revoke_stamped(const RevokedStamps::Stamps& stamps,
                                                 const RevokeOptions& options) = 0;
    /// In place of the task's own; per_second 0: none.
    virtual void limit_rate(const TaskDefinition& task, RateLimit limit) = 0;
    /// In place of the task's own limits; a limit that is not there comes from the settings.
    virtual void limit_time(const TaskDefinition& task, TimeLimits limits) = 0;

    /// Declares what is not there, and consumes. Errors: the broker's, invalid_argument.
    virtual Awaitable<Result<void>> add_queue(QueueSource source, Deadline deadline) = 0;
    /// One that is not consumed is no error.
    virtual Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline) = 0;
};

}  // namespace lovage
