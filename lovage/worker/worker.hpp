#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/app/app.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>

namespace lovage {

struct WorkerOptions {
    std::vector<std::string> queues;  ///< Empty: the default queue. Missing ones are created.
    std::size_t concurrency = 0;      ///< Slots; 0: the `worker_concurrency` setting.
    std::string pool;                 ///< "prefork", "threads"; empty: the `worker_pool` setting.
    std::string hostname;             ///< Node name "name@host"; empty: "celery@<host>".
    /// How long a first stop waits for running tasks; default: the `worker_shutdown_timeout`
    /// setting.
    std::optional<std::chrono::milliseconds> shutdown_timeout;
    /// The interval of worker-heartbeat events; nothing: no worker-* events at all.
    std::optional<std::chrono::milliseconds> heartbeat = std::chrono::seconds{2};
    /// Called on the loop once the worker consumes.
    std::function<void()> on_ready;
};

/// What a worker does at a moment.
struct WorkerStatus {
    bool consuming = false;
    bool stopping = false;    ///< A stop was requested.
    std::size_t running = 0;  ///< Tasks in the pool: waiting for a slot, or running.
    std::size_t slots = 0;
    bool can_run = true;  ///< False: slots were started several times, and none serves.
};

/// Consumes queues, runs tasks in a pool, stores results and acknowledges after.
///
/// Lives on the app's loop; request_stop() may be called from any thread.
/// Order of one task's end: run → result stored → ack. A message that cannot become a task is kept
/// in
/// "<queue>.quarantine"; nothing is ever dropped.
class Worker {
public:
    /// `app` must outlive the worker. Throws LovageError for a pool that this program cannot have.
    Worker(App& app, WorkerOptions options);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Serves until request_stop(). Waits for broker and result backend when they are down, saying
    /// so. Run it on the app's loop. Errors: a setting or a queue that can never work.
    [[nodiscard]] Awaitable<Result<void>> run();

    /// First call (Celery's warm shutdown): stop consuming, return unstarted messages at once, wait
    /// for running tasks up to the shutdown timeout. Second call: do not wait; what runs is
    /// returned to its queue.
    void request_stop();
    /// Celery's cold shutdown: what runs is returned to its queue at once, or, when the setting
    /// `worker_soft_shutdown_timeout` gives it time, after that. The next call of either kind ends
    /// that wait.
    void request_cold_stop();

    // What remote control does to the pool. On the app's loop, while run() is under way. Errors:
    // invalid_argument (a pool that cannot, a number that makes no sense), conflict (autoscale is
    // on, or not), with Celery's words where it has some.

    /// Adds slots; the prefetch follows.
    Result<void> grow(std::size_t slots);
    /// Removes slots: those that run nothing at once, the others after their task. One stays.
    Result<void> shrink(std::size_t slots);
    /// Other bounds for `worker_autoscale`, in force at once; returns them as they are.
    Result<AutoscaleRange> autoscale(AutoscaleRange bounds);
    /// Replaces every slot, those that run a task after it.
    Result<void> restart_pool();

    /// After run(): tasks that still run on their threads although their messages were given back.
    /// When it is not 0 the process should end with std::_Exit.
    [[nodiscard]] std::size_t left_behind() const noexcept;

    /// Consuming now. Any thread.
    [[nodiscard]] bool ready() const noexcept;
    /// On the loop.
    [[nodiscard]] WorkerStatus status() const;

    [[nodiscard]] const std::string& hostname() const noexcept;
    /// Those it consumes; remote control adds and cancels some. On the loop, or before run().
    [[nodiscard]] std::vector<std::string> queues() const;
    /// How many slots it starts with.
    [[nodiscard]] std::size_t concurrency() const noexcept;
    /// The name of its pool.
    [[nodiscard]] std::string_view pool() const noexcept;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// "celery@<host>", or `name` completed as Celery does: "w1@%h" with the marks of `-n` expanded, a
/// name without
/// @ taken as the host part (celery-wire reference, section 20.1).
[[nodiscard]] std::string node_name(const std::string& name);

}  // namespace lovage
