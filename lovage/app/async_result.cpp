#include <lovage/app/async_result.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/client.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/app/read_graph.hpp>
#include <lovage/app/revoke_tasks.hpp>
#include <lovage/core/task_context.hpp>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// How long the blocking reads that take no timeout may last.
constexpr auto kReadTimeout = 30s;

/// A task that waits for another one notices a stop within that time.
constexpr auto kCheckpointEvery = 500ms;

Awaitable<Result<TaskMeta>> read_meta(std::shared_ptr<AppCore> core, std::string id,
                                      Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    auto found = co_await core->client().result(id, deadline);
    if (!found) co_return std::unexpected{std::move(found.error())};
    if (*found) co_return std::move(**found);
    TaskMeta pending;
    pending.task_id = std::move(id);
    co_return pending;
}

Awaitable<Result<TaskMeta>> wait_ready(std::shared_ptr<AppCore> core, std::string id,
                                       Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    co_return co_await core->client().wait(std::move(id), deadline);
}

Awaitable<Result<void>> forget_on_loop(std::shared_ptr<AppCore> core, std::string id,
                                       Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) co_return connected;
    co_return co_await core->client().forget(std::move(id), deadline);
}

Awaitable<Result<std::optional<std::string>>> read_parent(std::shared_ptr<AppCore> core,
                                                          std::string id, Deadline deadline) {
    auto meta = co_await read_meta(std::move(core), std::move(id), deadline);
    if (!meta) co_return std::unexpected{std::move(meta.error())};
    co_return std::move(meta->parent_id);
}

Awaitable<Result<std::vector<ChildResult>>> read_children_of(std::shared_ptr<AppCore> core,
                                                             std::string id, Deadline deadline) {
    auto meta = co_await read_meta(std::move(core), std::move(id), deadline);
    if (!meta) co_return std::unexpected{std::move(meta.error())};
    co_return detail::read_children(meta->children);
}

Awaitable<Result<void>> revoke_all(std::shared_ptr<AppCore> core, std::string id,
                                   RevokeOptions options, Deadline deadline) {
    auto graph = co_await detail::read_graph(core, id, deadline);
    if (!graph && graph.error().code != Errc::not_found) {
        co_return std::unexpected{std::move(graph.error())};
    }
    std::vector<std::string> ids;
    if (!graph) ids.push_back(std::move(id));
    for (const ResultGraph::Node& node : graph ? graph->nodes : std::vector<ResultGraph::Node>{}) {
        if (!node.group && !states::is_ready(node.state)) ids.push_back(node.id);
    }
    co_return co_await detail::revoke_tasks(std::move(core), std::move(ids), options, deadline);
}

Awaitable<Result<bool>> is_known_on_loop(std::shared_ptr<AppCore> core, std::string id,
                                         Deadline deadline) {
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    co_return co_await core->client().is_known(std::move(id), deadline);
}

}  // namespace

Awaitable<Result<TaskMeta>> AsyncResultBase::meta_async(Deadline deadline) const {
    return on_loop(core_, read_meta(core_, id_, deadline));
}
Awaitable<Result<TaskMeta>> AsyncResultBase::wait_async(Deadline deadline) const {
    return on_loop(core_, wait_ready(core_, id_, deadline));
}
Awaitable<Result<void>> AsyncResultBase::forget_async(Deadline deadline) const {
    return on_loop(core_, forget_on_loop(core_, id_, deadline));
}
Awaitable<Result<void>> AsyncResultBase::revoke_async(Deadline deadline,
                                                      RevokeOptions options) const {
    return on_loop(core_, detail::revoke_tasks(core_, {id_}, options, deadline));
}
Awaitable<Result<std::optional<std::string>>> AsyncResultBase::parent_async(
    Deadline deadline) const {
    return on_loop(core_, read_parent(core_, id_, deadline));
}
Awaitable<Result<std::vector<ChildResult>>> AsyncResultBase::children_async(
    Deadline deadline) const {
    return on_loop(core_, read_children_of(core_, id_, deadline));
}
Awaitable<Result<ResultGraph>> AsyncResultBase::graph_async(Deadline deadline) const {
    return on_loop(core_, detail::read_graph(core_, id_, deadline));
}
Awaitable<Result<void>> AsyncResultBase::revoke_workflow_async(Deadline deadline,
                                                               RevokeOptions options) const {
    return on_loop(core_, revoke_all(core_, id_, options, deadline));
}
Awaitable<Result<bool>> AsyncResultBase::is_known_async(Deadline deadline) const {
    return on_loop(core_, is_known_on_loop(core_, id_, deadline));
}

TaskMeta AsyncResultBase::meta() const {
    return value_or_throw(core_->loop().run_blocking(meta_async(Deadline::in(kReadTimeout))));
}
TaskMeta AsyncResultBase::wait(std::chrono::milliseconds timeout) const {
    const Deadline deadline = Deadline::in(timeout);
    TaskContext* const task = TaskContext::current();
    if (task == nullptr) return value_or_throw(core_->loop().run_blocking(wait_async(deadline)));
    while (true) {
        task->checkpoint();
        auto ready =
            core_->loop().run_blocking(wait_async(deadline.no_later_than(kCheckpointEvery)));
        const bool again =
            !ready && ready.error().code == Errc::deadline_exceeded && !deadline.passed();
        if (!again) return value_or_throw(std::move(ready));
    }
}
void AsyncResultBase::forget() const {
    value_or_throw(core_->loop().run_blocking(forget_async(Deadline::in(kReadTimeout))));
}
void AsyncResultBase::revoke(RevokeOptions options) const {
    value_or_throw(core_->loop().run_blocking(revoke_async(Deadline::in(kReadTimeout), options)));
}

std::optional<AsyncResultBase> AsyncResultBase::parent() const {
    auto id = value_or_throw(core_->loop().run_blocking(parent_async(Deadline::in(kReadTimeout))));
    if (!id) return std::nullopt;
    return AsyncResultBase{core_, std::move(*id)};
}
std::vector<ChildResult> AsyncResultBase::children() const {
    return value_or_throw(core_->loop().run_blocking(children_async(Deadline::in(kReadTimeout))));
}
ResultGraph AsyncResultBase::graph() const {
    return value_or_throw(core_->loop().run_blocking(graph_async(Deadline::in(kReadTimeout))));
}
void AsyncResultBase::revoke_workflow(RevokeOptions options) const {
    value_or_throw(
        core_->loop().run_blocking(revoke_workflow_async(Deadline::in(kReadTimeout), options)));
}

Result<Json> AsyncResultBase::value_of(const TaskMeta& meta) {
    if (meta.status == states::kSuccess) return meta.result;
    if (auto failure = meta.failure(); failure && meta.ready()) {
        std::string detail = "task " + meta.task_id + " ended as " + meta.status + ": " +
                             failure->exc_type + ": " + failure->exc_message;
        return std::unexpected{Error{Errc::task_failed, std::move(detail), std::move(failure)}};
    }
    return fail(Errc::not_found, "task " + meta.task_id + " has no result yet: " + meta.status);
}

}  // namespace lovage
