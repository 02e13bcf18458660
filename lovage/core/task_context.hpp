#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <lovage/core/json.hpp>
#include <lovage/core/retry_policy.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_control.hpp>
#include <lovage/core/trace_context.hpp>

namespace lovage {

/// What a bound task knows about the call it is running: Celery's `self.request`.
///
/// Made by the worker for one attempt and valid until the task returns. Reading is thread-safe.
class TaskContext {
public:
    struct Request {
        std::string id;
        std::string task;
        std::string root_id;
        std::string parent_id;  ///< Empty when a client sent it.
        std::int64_t retries = 0;
        std::string queue;     ///< The queue it was delivered from.
        std::string hostname;  ///< The worker's node name.
        std::string correlation_id;
        std::string reply_to;
        std::string group;  ///< The group or chord it is a member of; empty: none.
        bool in_chord = false;
        std::int64_t replaced_task_nesting = 0;  ///< How often it has been replaced.
        Json stamps = Json::object();            ///< Name to value, see Canvas::stamp().
        bool redelivered = false;  ///< An earlier delivery was not settled: it may have run before.
        Json headers = Json::object();  ///< User headers.
        std::string argsrepr;           ///< The arguments as text for people.
        std::string kwargsrepr;
        RetryPolicy retry_policy;
    };

    explicit TaskContext(Request request) : request_{std::move(request)} {}

    [[nodiscard]] const Request& request() const noexcept { return request_; }
    [[nodiscard]] const std::string& id() const noexcept { return request_.id; }
    [[nodiscard]] std::int64_t retries() const noexcept { return request_.retries; }
    /// The trace the call belongs to: what it sends belongs to it, too. Empty when there is none.
    [[nodiscard]] TraceContext trace() const { return trace_context_of(request_.headers); }

    /// Ends this attempt: the task runs again later under the same id, with one retry more. Never
    /// returns: throws what the worker understands, or, when all retries are used up, the cause
    /// (or MaxRetriesExceededError when there is none). Throws std::invalid_argument when both
    /// countdown and eta are given, or args or kwargs are no list or map.
    ///
    ///     try { fetch(url); }
    ///     catch (const ConnectionLost&) { context.retry({.countdown = 5s}); }
    [[noreturn]] void retry(RetryOptions options = {}) const;

    /// Ends this attempt: `signature` runs in the task's place, under its id, and whatever waits
    /// for the task, follows it or counts it waits for that. Celery's Task.replace(). A group gives
    /// the list of its results, one of nothing an empty list. Never returns: throws what the worker
    /// understands. Throws std::invalid_argument for a signature that cannot stand in for a task:
    /// one that is a part of a chord itself, an empty chain.
    ///
    ///     if (pages.size() > 100) context.replace(group(parts) | merge.s());
    [[noreturn]] void replace(const Signature& signature) const;

    /// One more part for the chord that the task is a part of: its result comes right before or
    /// after the task's own in the list, and last where the chord has groups in its header; a
    /// group's as a list. Celery's Task.add_to_chord(). Returns the id that it will run under.
    /// Throws std::invalid_argument when the task is no part of a chord, or for what replace()
    /// refuses.
    ///
    /// Celery differs: it sends at once, and once more in each attempt. Here it is sent when the
    /// task succeeds or replaces itself, the chord made larger first; an attempt that ends in any
    /// other way has added nothing.
    std::string add_to_chord(Signature signature);
    /// For the worker: what was added so far, under its ids.
    struct ChordAddition {
        std::string id;
        Signature signature;
    };
    [[nodiscard]] std::vector<ChordAddition> chord_additions() const;

    /// Throws when this attempt should end: SoftTimeLimitExceeded (once), or TaskStopped when it
    /// was terminated or the worker is in a hurry. Long loops of a task call it now and then; it
    /// costs one atomic read.
    void checkpoint();

    /// Tells how far the task is: stored as its state and result, for AsyncResult::state() and
    /// meta() to see. `state` is a name of the task's own, such as "PROGRESS". Throws
    /// std::invalid_argument for an empty one and for SUCCESS, FAILURE, REVOKED and RETRY, which a
    /// task reaches by its end only.
    ///
    /// Celery differs: it returns when the state is stored; here at once. The latest report wins;
    /// one that cannot be stored is logged and holds nothing up.
    void update_state(std::string state, Json meta = {});
    /// Called by the worker, before the task starts: where reports go, on the task's thread.
    void on_update(std::function<void(std::string state, Json meta)> report) {
        report_ = std::move(report);
    }

    /// Sends an event of the program's own to whoever listens: Celery's `Task.send_event`. It has
    /// this type and these fields, `uuid` (the task's id), and what every event has; what it is
    /// about is up to the program, and monitors count types that begin with "task-" to the task.
    /// It goes out whether or not the worker was started with `-E`.
    ///
    /// Returns at once; what the broker does not take in time is dropped and counted. Does nothing
    /// without a worker. Any thread of the task's may call it. Throws std::invalid_argument for an
    /// empty type or one of more than 200 bytes, and for fields that are no map or have the name of
    /// one that every event has.
    void send_event(std::string type, Json fields = Json::object());
    /// Where events go. Its member is called on the task's threads.
    class EventSink {
    public:
        virtual ~EventSink() = default;
        virtual void send(const std::string& task_id, std::string type, Json fields) = 0;
    };
    /// Called by the worker, before the task starts.
    void send_events_to(std::shared_ptr<EventSink> sink) { event_sink_ = std::move(sink); }

    /// Stops are requested when the soft time limit passes, when the task is terminated, and when
    /// the worker is in a hurry (second SIGTERM, or the end of the shutdown wait; the message is
    /// then returned to its queue either way). A token for what can wait on one.
    [[nodiscard]] std::stop_token stop_token() const noexcept { return stop_.get_token(); }
    /// The most pressing of the stops requested so far.
    [[nodiscard]] StopReason stop_reason() const noexcept;
    /// Called by the worker, from any thread.
    void request_stop(StopReason reason) noexcept;

    /// Calls `notice` at each request_stop() for as long as it lives, on the thread that requests.
    /// For what runs the task.
    class StopNotice {
    public:
        StopNotice(TaskContext& context, std::function<void()> notice);
        ~StopNotice();
        StopNotice(const StopNotice&) = delete;
        StopNotice& operator=(const StopNotice&) = delete;

    private:
        TaskContext& context_;
    };

    /// Called by the worker, from any thread: the task was revoked; it must not start, but goes on
    /// when it has.
    void forbid_start() noexcept { may_start_.store(false); }
    [[nodiscard]] bool may_start() const noexcept { return may_start_.load(); }

    /// What this task started, which its result lists as `children` (Celery's trail): tasks, and
    /// groups as one. A send that is under way may outlive the context. Thread-safe.
    class Trail {
    public:
        /// A task. One that is there already (sent again under its id) is one child.
        void add(std::string task_id);
        /// A task or a group, as JSON text of its result (result_tuple.hpp).
        void add_result(std::string result);
        /// In the order they came, each as for add_result().
        [[nodiscard]] std::vector<std::string> results() const;

    private:
        mutable std::mutex mutex_;
        std::vector<std::string> results_;
        std::unordered_set<std::string> known_;
    };
    [[nodiscard]] std::shared_ptr<Trail> trail() const noexcept { return trail_; }
    void add_child(std::string task_id) { trail_->add(std::move(task_id)); }
    [[nodiscard]] std::vector<std::string> children() const { return trail_->results(); }

    /// The context of the task that runs on this thread, or nullptr: sends made inside a task use
    /// it for `parent_id` and `root_id`.
    [[nodiscard]] static TaskContext* current() noexcept;

    /// Makes a context current for the lifetime of the scope; scopes nest.
    class Scope {
    public:
        explicit Scope(TaskContext& context) noexcept;
        ~Scope();
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        TaskContext* previous_;
    };

private:
    Request request_;
    std::function<void(std::string, Json)> report_;
    std::shared_ptr<EventSink> event_sink_;
    std::stop_source stop_;
    std::atomic<std::uint8_t> stops_{0};  // bits: one a StopReason, and one for "was told"
    std::atomic<bool> may_start_{true};
    std::shared_ptr<Trail> trail_ = std::make_shared<Trail>();
    mutable std::mutex mutex_;  // guards what follows
    std::vector<ChordAddition> added_;
    std::function<void()> stop_notice_;
};

}  // namespace lovage
