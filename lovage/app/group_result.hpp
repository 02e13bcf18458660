#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lovage/app/async_result.hpp>
#include <lovage/app/group_iteration.hpp>
#include <lovage/app/revoke_options.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

/// How far a group is, at one moment.
struct GroupCounts {
    std::size_t total = 0;
    std::size_t successful = 0;
    std::size_t failed = 0;  ///< FAILURE and REVOKED

    [[nodiscard]] std::size_t completed() const noexcept { return successful + failed; }
    [[nodiscard]] std::size_t waiting() const noexcept { return total - completed(); }
    [[nodiscard]] bool ready() const noexcept { return completed() == total; }
};

/// The results of a group's members by their ids, untyped: Celery's GroupResult. Thread-safe;
/// copies refer to the same tasks. What is said of the App's life and loop at AsyncResultBase holds
/// here, too.
class GroupResultBase {
public:
    GroupResultBase(std::shared_ptr<AppCore> core, std::string id, std::vector<std::string> members)
        : core_{std::move(core)}, id_{std::move(id)}, members_{std::move(members)} {}
    /// From Celery's nested tuples. Groups in the group are opened; what is no group is a group of
    /// one. Throws LovageError (malformed, too_large) for what is no result.
    GroupResultBase(std::shared_ptr<AppCore> core, const Json& result);

    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    /// The members' task ids, in their order.
    [[nodiscard]] const std::vector<std::string>& task_ids() const noexcept { return members_; }
    [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }

    // Coroutine API; awaitable from any executor.

    /// Waits until all members are ready and returns their records in order; with `stop_at_failure`
    /// until the first one that failed, whose error it returns. It looks at 512 members at a time,
    /// in order: a failure behind them is noticed when enough of those before it are ready.
    /// counts_async() looks at all. Errors: task_failed, deadline_exceeded. Cancellation: none; it
    /// ends by its deadline.
    [[nodiscard]] Awaitable<Result<std::vector<TaskMeta>>> wait_async(
        Deadline deadline, bool stop_at_failure = false) const;
    [[nodiscard]] Awaitable<Result<GroupCounts>> counts_async(Deadline deadline) const;
    /// AsyncResultBase::revoke_async() for every member.
    [[nodiscard]] Awaitable<Result<void>> revoke_async(Deadline deadline,
                                                       RevokeOptions options = {}) const;
    /// Forgets every member's result, and the group if it was saved.
    [[nodiscard]] Awaitable<Result<void>> forget_async(Deadline deadline) const;
    /// The workflow from this group on: its members and what they led to, a chord's body among it.
    /// Errors: as AsyncResultBase::graph_async().
    [[nodiscard]] Awaitable<Result<ResultGraph>> graph_async(Deadline deadline) const;
    /// Keeps the members' ids under the group's, for App::group_result(). Expires like a result.
    [[nodiscard]] Awaitable<Result<void>> save_async(Deadline deadline) const;

    // Blocking API: throws LovageError; never call it on the app's own loop.

    std::vector<TaskMeta> wait(std::chrono::milliseconds timeout,
                               bool stop_at_failure = false) const;
    [[nodiscard]] GroupCounts counts() const;
    [[nodiscard]] bool ready() const { return counts().ready(); }
    void revoke(RevokeOptions options = {}) const;
    void forget() const;
    void save() const;
    [[nodiscard]] ResultGraph graph() const;

    /// The members in the order in which they end. `timeout`: for all of them together, in the
    /// blocking form.
    [[nodiscard]] GroupIteration iterate(std::chrono::milliseconds timeout = std::chrono::hours{
                                             24}) const {
        return {core_, members_, Deadline::in(timeout)};
    }

protected:
    [[nodiscard]] const std::shared_ptr<AppCore>& core() const noexcept { return core_; }

private:
    std::shared_ptr<AppCore> core_;
    std::string id_;
    std::vector<std::string> members_;
};

/// The results of a group whose members return a T.
template <class T = Json>
class GroupResult : public GroupResultBase {
public:
    using GroupResultBase::GroupResultBase;
    /// What get() returns: null for members that return nothing.
    using Values = std::vector<std::conditional_t<std::is_void_v<T>, Json, T>>;

    /// The members, in their order.
    [[nodiscard]] std::vector<AsyncResult<T>> results() const {
        std::vector<AsyncResult<T>> all;
        all.reserve(size());
        for (const std::string& id : task_ids()) all.emplace_back(core(), id);
        return all;
    }

    /// Waits for all values, in order; the first failure ends the wait. Errors: as wait_async(),
    /// and malformed (a value is no T).
    [[nodiscard]] Awaitable<Result<Values>> get_async(Deadline deadline) const {
        return get_from(wait_async(deadline, true));
    }
    /// Blocking form; throws LovageError.
    Values get(std::chrono::milliseconds timeout) const {
        return value_or_throw(convert(wait(timeout, true)));
    }

private:
    static Awaitable<Result<Values>> get_from(Awaitable<Result<std::vector<TaskMeta>>> waiting) {
        auto metas = co_await std::move(waiting);
        if (!metas) co_return std::unexpected{std::move(metas.error())};
        co_return convert(*metas);
    }
    static Result<Values> convert(const std::vector<TaskMeta>& metas) {
        Values values;
        values.reserve(metas.size());
        for (const TaskMeta& meta : metas) {
            auto value = AsyncResult<typename Values::value_type>::value_from(meta);
            if (!value) return std::unexpected{std::move(value.error())};
            values.push_back(std::move(*value));
        }
        return values;
    }
};

namespace detail {
/// What GroupResultBase::save() kept. Throws LovageError with not_found when there is nothing.
[[nodiscard]] Json saved_group(const std::shared_ptr<AppCore>& core, const std::string& group_id);
[[nodiscard]] Awaitable<Result<Json>> saved_group_async(const std::shared_ptr<AppCore>& core,
                                                        std::string group_id, Deadline deadline);
template <class T>
Awaitable<Result<GroupResult<T>>> find_group_result(std::shared_ptr<AppCore> core,
                                                    std::string group_id, Deadline deadline) {
    const auto saved = co_await saved_group_async(core, std::move(group_id), deadline);
    if (!saved) co_return std::unexpected{saved.error()};
    try {
        co_return GroupResult<T>{core, *saved};
    } catch (const LovageError& problem) {
        co_return std::unexpected{problem.error()};
    }
}
}  // namespace detail

/// The end of sending a canvas that ends in a group; see Sent.
template <class T>
struct SentGroup {
    SendOutcome outcome;
    GroupResult<T> result;
    std::optional<Error> error;
    std::string task_id;  ///< Send again with it when the outcome is unknown.

    [[nodiscard]] bool accepted() const noexcept { return outcome == SendOutcome::accepted; }
};

}  // namespace lovage
