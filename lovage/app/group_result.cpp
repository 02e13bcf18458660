#include <lovage/app/group_result.hpp>

#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/canvas_send.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/app/read_graph.hpp>
#include <lovage/app/revoke_tasks.hpp>
#include <lovage/core/canvas.hpp>
#include <lovage/core/detail/signature_options.hpp>
#include <lovage/core/python_repr.hpp>
#include <lovage/core/result_tuple.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/runtime/for_each.hpp>

namespace lovage {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Members asked for at a time.
constexpr std::size_t kMembersAtOnce = 512;
/// How long the blocking reads that take no timeout may last.
constexpr auto kGroupReadTimeout = 30s;
/// A task that waits for a group notices a stop within that time.
constexpr auto kGroupCheckpointEvery = 500ms;

std::unexpected<Error> no_result(const Json& found) {
    return fail(Errc::malformed, "this is no result: " + python_repr(found, 60));
}

Result<Json::Array> opened_array(const Json& value) {
    auto opened = value.expanded();
    if (!opened) return std::unexpected{std::move(opened.error())};
    if (!opened->is_array()) return no_result(value);
    return std::move(opened->as_array());
}

/// Adds the ids of a result's members, or its own when it has none. The parents beside the ids are
/// not looked at: they nest two levels for each ancestor.
Result<void> collect_members(const Json& result, std::vector<std::string>& members,
                             std::size_t depth) {
    if (depth > kCanvasDepthMax) return detail::canvas_too_deep();
    auto tuple = opened_array(result);
    if (!tuple) return std::unexpected{std::move(tuple.error())};
    if (tuple->size() != 2) return no_result(result);
    if ((*tuple)[1].is_null()) {
        auto id = detail::id_of_result((*tuple)[0]);
        if (!id) return std::unexpected{std::move(id.error())};
        members.push_back(std::move(*id));
        return {};
    }
    auto inner = opened_array((*tuple)[1]);
    if (!inner) return std::unexpected{std::move(inner.error())};
    for (const Json& member : *inner) {
        if (auto collected = collect_members(member, members, depth + 1); !collected) {
            return collected;
        }
    }
    return {};
}

struct GroupRequest {
    std::shared_ptr<AppCore> core;
    std::vector<std::string> ids;
    Deadline deadline;
};

/// What is known of a group's members; kept from one round of waiting to the next.
using KnownMembers = std::vector<std::optional<TaskMeta>>;

Awaitable<Result<void>> wait_for_member(GroupRequest* request, KnownMembers* known,
                                        bool stop_at_failure, std::size_t index) {
    auto meta = co_await request->core->client().wait(request->ids[index], request->deadline);
    if (!meta) co_return std::unexpected{std::move(meta.error())};
    if (stop_at_failure) {
        if (auto value = AsyncResultBase::value_of(*meta); !value) {
            co_return std::unexpected{std::move(value.error())};
        }
    }
    (*known)[index] = std::move(*meta);
    co_return Result<void>{};
}

/// Asks for the members that are missing in `known`, and adds them there. When it ends by its
/// deadline, those that were ready by then are in it.
Awaitable<Result<void>> wait_for_group(GroupRequest request, bool stop_at_failure,
                                       std::shared_ptr<KnownMembers> known) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (auto connected = co_await request.core->connect(request.deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    std::vector<std::size_t> missing;
    for (std::size_t index = 0; index < known->size(); ++index) {
        if (!(*known)[index]) missing.push_back(index);
    }
    const auto wait_for_one = [&](std::size_t i) {
        return wait_for_member(&request, known.get(), stop_at_failure, missing[i]);
    };
    co_return co_await for_each_index(missing.size(), kMembersAtOnce, wait_for_one,
                                      OnFailure::cancel);
}

std::vector<TaskMeta> take_all(KnownMembers& known) {
    std::vector<TaskMeta> metas;
    metas.reserve(known.size());
    for (auto& meta : known) metas.push_back(std::move(*meta));
    return metas;
}

Awaitable<Result<std::vector<TaskMeta>>> wait_for_all(GroupRequest request, bool stop_at_failure) {
    auto known = std::make_shared<KnownMembers>(request.ids.size());
    auto done = co_await wait_for_group(std::move(request), stop_at_failure, known);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return take_all(*known);
}

Awaitable<Result<void>> count_member(GroupRequest* request, GroupCounts* counts,
                                     std::size_t index) {
    auto meta = co_await request->core->client().result(request->ids[index], request->deadline);
    if (!meta) co_return std::unexpected{std::move(meta.error())};
    if (*meta && (*meta)->ready()) {
        ++((*meta)->status == states::kSuccess ? counts->successful : counts->failed);
    }
    co_return Result<void>{};
}

Awaitable<Result<GroupCounts>> count_group(GroupRequest request) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (auto connected = co_await request.core->connect(request.deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    GroupCounts counts{request.ids.size(), 0, 0};
    const auto count_one = [&](std::size_t i) { return count_member(&request, &counts, i); };
    auto done = co_await for_each_index(counts.total, kMembersAtOnce, count_one, OnFailure::cancel);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return counts;
}

Awaitable<Result<void>> forget_group(GroupRequest request, std::string group_id) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation{});
    if (auto connected = co_await request.core->connect(request.deadline); !connected) {
        co_return connected;
    }
    const auto forget_one = [&](std::size_t i) {
        return request.core->client().forget(request.ids[i], request.deadline);
    };
    auto done =
        co_await for_each_index(request.ids.size(), kMembersAtOnce, forget_one, OnFailure::cancel);
    if (!done) co_return done;
    co_return co_await request.core->client().forget_group(std::move(group_id), request.deadline);
}

Awaitable<Result<void>> save_group(GroupRequest request, std::string group_id) {
    if (auto connected = co_await request.core->connect(request.deadline); !connected) {
        co_return connected;
    }
    // Wire: Celery's nested tuples (celery-wire reference, section 11.4).
    Json members = Json::array();
    for (const std::string& id : request.ids) members.push_back(task_result_tuple(id));
    Json result = group_result_tuple(group_id, std::move(members));
    co_return co_await request.core->client().save_group(std::move(group_id), std::move(result),
                                                         request.deadline);
}

Awaitable<Result<Json>> find_group(std::shared_ptr<AppCore> core, std::string group_id,
                                   Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    auto found = co_await core->client().saved_group(group_id, deadline);
    if (!found) co_return std::unexpected{std::move(found.error())};
    if (!*found) co_return fail(Errc::not_found, "no group is saved as " + group_id);
    co_return std::move(**found);
}

}  // namespace

GroupResultBase::GroupResultBase(std::shared_ptr<AppCore> core, const Json& result)
    : core_{std::move(core)}, id_{value_or_throw(detail::id_of_result(result))} {
    value_or_throw(collect_members(result, members_, 0));
}

Awaitable<Result<std::vector<TaskMeta>>> GroupResultBase::wait_async(Deadline deadline,
                                                                     bool stop_at_failure) const {
    return on_loop(core_, wait_for_all({core_, members_, deadline}, stop_at_failure));
}
Awaitable<Result<GroupCounts>> GroupResultBase::counts_async(Deadline deadline) const {
    return on_loop(core_, count_group({core_, members_, deadline}));
}
Awaitable<Result<void>> GroupResultBase::revoke_async(Deadline deadline,
                                                      RevokeOptions options) const {
    return on_loop(core_, detail::revoke_tasks(core_, members_, options, deadline));
}
Awaitable<Result<void>> GroupResultBase::forget_async(Deadline deadline) const {
    return on_loop(core_, forget_group({core_, members_, deadline}, id_));
}

Awaitable<Result<ResultGraph>> GroupResultBase::graph_async(Deadline deadline) const {
    return on_loop(core_, detail::read_group_graph(core_, id_, members_, deadline));
}

Awaitable<Result<void>> GroupResultBase::save_async(Deadline deadline) const {
    return on_loop(core_, save_group({core_, members_, deadline}, id_));
}

std::vector<TaskMeta> GroupResultBase::wait(std::chrono::milliseconds timeout,
                                            bool stop_at_failure) const {
    const Deadline deadline = Deadline::in(timeout);
    TaskContext* const task = TaskContext::current();
    const auto known = std::make_shared<KnownMembers>(members_.size());
    while (true) {
        if (task != nullptr) task->checkpoint();
        const Deadline next =
            task != nullptr ? deadline.no_later_than(kGroupCheckpointEvery) : deadline;
        auto done = core_->loop().run_blocking(
            on_loop(core_, wait_for_group({core_, members_, next}, stop_at_failure, known)));
        const bool again =
            !done && done.error().code == Errc::deadline_exceeded && !deadline.passed();
        if (again) continue;
        value_or_throw(std::move(done));
        return take_all(*known);
    }
}
GroupCounts GroupResultBase::counts() const {
    return value_or_throw(
        core_->loop().run_blocking(counts_async(Deadline::in(kGroupReadTimeout))));
}
void GroupResultBase::revoke(RevokeOptions options) const {
    value_or_throw(
        core_->loop().run_blocking(revoke_async(Deadline::in(kGroupReadTimeout), options)));
}
void GroupResultBase::forget() const {
    value_or_throw(core_->loop().run_blocking(forget_async(Deadline::in(kGroupReadTimeout))));
}
ResultGraph GroupResultBase::graph() const {
    return value_or_throw(core_->loop().run_blocking(graph_async(Deadline::in(kGroupReadTimeout))));
}
void GroupResultBase::save() const {
    value_or_throw(core_->loop().run_blocking(save_async(Deadline::in(kGroupReadTimeout))));
}

namespace detail {

Awaitable<Result<Json>> saved_group_async(const std::shared_ptr<AppCore>& core,
                                          std::string group_id, Deadline deadline) {
    return on_loop(core, find_group(core, std::move(group_id), deadline));
}

Json saved_group(const std::shared_ptr<AppCore>& core, const std::string& group_id) {
    return value_or_throw(core->loop().run_blocking(
        saved_group_async(core, group_id, Deadline::in(kGroupReadTimeout))));
}

}  // namespace detail

}  // namespace lovage
