#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <lovage/app/result_graph.hpp>
#include <lovage/app/revoke_options.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

class AppCore;

/// The result of a task by its id, untyped. Thread-safe; copies refer to the same task. Keeps
/// the App's connections and loop alive, so it answers when the App is gone, too; do not let the
/// last handle end on that loop.
class AsyncResultBase {
public:
    AsyncResultBase(std::shared_ptr<AppCore> core, std::string task_id)
        : core_{std::move(core)}, id_{std::move(task_id)} {}

    [[nodiscard]] const std::string& id() const noexcept { return id_; }

    // Coroutine API; awaitable from any executor.

    /// The record; PENDING when nothing is stored (unknown ids included, as in Celery; see
    /// is_known_async()).
    [[nodiscard]] Awaitable<Result<TaskMeta>> meta_async(Deadline deadline) const;
    /// Waits until the task is ready, by notification. Errors: deadline_exceeded.
    [[nodiscard]] Awaitable<Result<TaskMeta>> wait_async(Deadline deadline) const;
    [[nodiscard]] Awaitable<Result<void>> forget_async(Deadline deadline) const;
    /// The task shall not start; it reads as REVOKED unless it is ready already. The wish is
    /// stored: it holds while no worker of ours is there, and reaches what waits or runs within two
    /// seconds. Python's workers that run now are told; when that fails it is only logged.
    [[nodiscard]] Awaitable<Result<void>> revoke_async(Deadline deadline,
                                                       RevokeOptions options = {}) const;
    /// The task that has sent this one; nothing when none has, or when nothing is stored of this
    /// one yet.
    [[nodiscard]] Awaitable<Result<std::optional<std::string>>> parent_async(
        Deadline deadline) const;
    /// What this task has sent, as far as its record tells: callbacks, the next step of its chain,
    /// what its function sent. Empty while it is not over.
    [[nodiscard]] Awaitable<Result<std::vector<ChildResult>>> children_async(
        Deadline deadline) const;
    /// The workflow that this task is part of, from its root on, as far as results are stored.
    /// Errors: not_found (nothing is), too_large, unavailable (from inside a slot).
    [[nodiscard]] Awaitable<Result<ResultGraph>> graph_async(Deadline deadline) const;
    /// revoke_async() for every task of the workflow that is known and not over. Steps of a chain
    /// that were not sent yet end with the step before them.
    [[nodiscard]] Awaitable<Result<void>> revoke_workflow_async(Deadline deadline,
                                                                RevokeOptions options = {}) const;
    /// True when a record or a sent-marker exists.
    [[nodiscard]] Awaitable<Result<bool>> is_known_async(Deadline deadline) const;

    // Blocking API for ordinary programs: throws LovageError; never call it on the app's own loop.

    [[nodiscard]] TaskMeta meta() const;
    [[nodiscard]] std::string state() const { return meta().status; }
    [[nodiscard]] bool ready() const { return meta().ready(); }
    /// Throws LovageError with deadline_exceeded when the task is not ready in time. Inside a task
    /// it is a TaskContext::checkpoint() for as long as it waits.
    TaskMeta wait(std::chrono::milliseconds timeout) const;
    void forget() const;
    void revoke(RevokeOptions options = {}) const;
    [[nodiscard]] std::optional<AsyncResultBase> parent() const;
    [[nodiscard]] std::vector<ChildResult> children() const;
    [[nodiscard]] ResultGraph graph() const;
    void revoke_workflow(RevokeOptions options = {}) const;

    /// SUCCESS → the raw result; FAILURE and REVOKED → Errc::task_failed with the failure.
    [[nodiscard]] static Result<Json> value_of(const TaskMeta& meta);

private:
    std::shared_ptr<AppCore> core_;
    std::string id_;
};

/// The result of a task that returns a T.
template <class T = Json>
class AsyncResult : public AsyncResultBase {
public:
    using AsyncResultBase::AsyncResultBase;

    /// Waits for the value. Errors: task_failed (with the failure), deadline_exceeded, malformed
    /// (the stored value is no T). Lifetime: keeps a copy of what it needs; the AsyncResult may go
    /// first.
    [[nodiscard]] Awaitable<Result<T>> get_async(Deadline deadline) const {
        return get_from(wait_async(deadline));
    }

    /// Blocking form; throws LovageError.
    T get(std::chrono::milliseconds timeout) const {
        return value_or_throw(value_from(wait(timeout)));
    }

    /// The value in a record. Errors: as get_async(), and not_found when it is not ready.
    [[nodiscard]] static Result<T> value_from(const TaskMeta& meta) {
        Result<Json> value = value_of(meta);
        if (!value) return std::unexpected{std::move(value.error())};
        if constexpr (std::is_void_v<T>) {
            return {};
        } else {
            auto converted = from_json<T>(*value, ConversionMode::strict);
            if (converted) return std::move(*converted);
            return fail(Errc::malformed, "the result of task " + meta.task_id + " is no " +
                                             JsonConverter<T>::type_name() + ": " +
                                             describe_issue(converted.error().front()));
        }
    }

private:
    static Awaitable<Result<T>> get_from(Awaitable<Result<TaskMeta>> waiting) {
        auto meta = co_await std::move(waiting);
        if (!meta) co_return std::unexpected{std::move(meta.error())};
        co_return value_from(*meta);
    }
};

/// How a send ended (reliability contract, section 2.1).
enum class SendOutcome : std::uint8_t {
    accepted,  ///< The broker has it, durably.
    rejected,  ///< It does not exist.
    unknown,   ///< It may exist: send again with the same task_id to be sure.
};
[[nodiscard]] std::string_view to_string(SendOutcome outcome) noexcept;

/// The end of one send: the outcome, the id that was used whatever the outcome, and why it was not
/// accepted.
template <class T>
struct Sent {
    SendOutcome outcome;
    AsyncResult<T> result;
    std::optional<Error> error;
    /// Nothing was sent: a call of a unique task that is like this one is there already. It was
    /// accepted, and `result` is its result.
    bool duplicate = false;

    [[nodiscard]] bool accepted() const noexcept { return outcome == SendOutcome::accepted; }
};

/// Thrown by blocking sends that were not accepted.
class SendError : public LovageError {
public:
    SendError(SendOutcome outcome, std::string task_id, Error error)
        : LovageError{std::move(error)}, outcome_{outcome}, task_id_{std::move(task_id)} {}
    [[nodiscard]] SendOutcome outcome() const noexcept { return outcome_; }
    /// The id to send again with when the outcome is unknown.
    [[nodiscard]] const std::string& task_id() const noexcept { return task_id_; }

private:
    SendOutcome outcome_;
    std::string task_id_;
};

}  // namespace lovage
