#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <lovage/core/json.hpp>

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
        bool redelivered = false;  ///< An earlier delivery was not settled: it may have run before.
        Json headers = Json::object();  ///< User headers.
    };

    explicit TaskContext(Request request) : request_{std::move(request)} {}

    [[nodiscard]] const Request& request() const noexcept { return request_; }
    [[nodiscard]] const std::string& id() const noexcept { return request_.id; }
    [[nodiscard]] std::int64_t retries() const noexcept { return request_.retries; }

    /// Asked to stop when the worker is in a hurry (second SIGTERM, or the end of the shutdown
    /// wait). A long task that checks it can end early; its message is returned to the queue either
    /// way.
    [[nodiscard]] std::stop_token stop_token() const noexcept { return stop_.get_token(); }
    /// Called by the worker.
    void request_stop() noexcept { stop_.request_stop(); }

    /// Notes a task that this one started; listed under `children` in the result.
    void add_child(std::string task_id);
    [[nodiscard]] std::vector<std::string> children() const;

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
    std::stop_source stop_;
    mutable std::mutex mutex_;
    std::vector<std::string> children_;
};

}  // namespace lovage
