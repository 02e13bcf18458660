// The original's workflow endpoints, and what it lacked: groups that are found again.
#include "api.hpp"

#include "api_parts.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <lovage/app/app_core.hpp>
#include <lovage/core/convert_cpp_int.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/http/params.hpp>
#include <lovage/runtime/deadline.hpp>

namespace project {

namespace http = lovage::http;
using lovage::Deadline;
using lovage::Errc;
using lovage::Json;

namespace {

auto doubled_integer() {
    return http::query_or_body<ProjectApi::Integer>("integer").description(
        "Integer to multiply by 2.");
}

auto number_of(const char* name, const char* description) {
    return http::query_or_body<std::int64_t>(name)
        .ge(0)
        .le(ProjectApi::kWorkflowTasksMax)
        .description(description);
}

/// A group has no state of its own. As for the original, it is ready when all members are.
std::string_view state_of(const lovage::GroupCounts& counts) {
    if (!counts.ready()) return lovage::states::kPending;
    return counts.failed > 0 ? lovage::states::kFailure : lovage::states::kSuccess;
}

}  // namespace

void ProjectApi::add_workflow_routes() {
    const std::string base = settings_.v1_path + "/celery-workflows";
    const char* const tag = "celery-workflows";
    const auto chains = [] {
        return number_of("nb_chains", "How many more times to multiply the result by 2.");
    };
    const auto groups = [] {
        return number_of("nb_groups", "How many tasks multiply the integer by 2.");
    };
    /// A waiting endpoint and its async variant. `make` is a member of Workflows.
    const auto add = [&](const char* name, auto make, const auto& number, const std::string& what) {
        const std::string path = base + name;
        document_waiting(http_.post(
                             path,
                             [this, make](http::RequestRef request, const Integer& integer,
                                          std::int64_t count, Seconds wait) {
                                 return call((workflows_.*make)(integer, count), request->trace(),
                                             wait);
                             },
                             doubled_integer(), number(), wait_parameter(settings_)),
                         tag)
            .summary(what + " and wait for the result");
        document_sending(
            http_.post(
                path + "async/",
                [this, make](http::RequestRef request, const Integer& integer, std::int64_t count) {
                    return send((workflows_.*make)(integer, count), request->trace());
                },
                doubled_integer(), number()),
            tag)
            .summary(what + " later");
    };
    add("/chain-integers-multiplication/", &Workflows::chain, chains,
        "Multiply an integer by 2 again and again");
    add("/group-integers-multiplication/", &Workflows::group, groups,
        "Multiply an integer by 2 in many tasks");
    add("/chord-integers-multiplication/", &Workflows::chord, groups,
        "Multiply an integer by 2 in many tasks and sum the results");
}

void ProjectApi::add_group_routes() {
    const auto id = [] { return http::path<http::Uuid>("groupId").description("Group UUID4"); };
    http_
        .get(
            settings_.v1_path + "/groups/{groupId}",
            [this](http::Uuid group) { return group_status(std::move(group)); }, id())
        .tag("groups")
        .summary("State of a group, its members counted")
        .responds(404, "No such group");
    http_
        .get(
            settings_.v1_path + "/groups/{groupId}/result/",
            [this](http::Uuid group, bool forget) {
                return group_result(std::move(group), forget);
            },
            id(),
            http::query<bool>("forgetRetrievedResult")
                .description("Forget the group and its members' results once retrieved.") = false)
        .tag("groups")
        .summary("Results of a group's members, in order")
        .responds(404, "No such group")
        .responds(408, "Not ready yet")
        .responds(500, "A member failed");
}

std::string ProjectApi::group_path(const std::string& id) const {
    return settings_.v1_path + "/groups/" + id;
}

// ---- Chains and chords: one result

lovage::Awaitable<ProjectApi::Started> ProjectApi::sent(Workflow<lovage::Canvas<>> work,
                                                        Trace trace) {
    auto sending = co_await work.canvas.send({.trace = std::move(trace)});
    check_sent(sending.outcome, sending.error, task_path(sending.result.id()));
    co_return Started{std::move(sending.result), std::move(work.task_ids)};
}

lovage::Awaitable<http::Response> ProjectApi::call(Workflow<lovage::Canvas<>> work, Trace trace,
                                                   Seconds wait) {
    co_return co_await wait_for(co_await sent(std::move(work), std::move(trace)), wait);
}

lovage::Awaitable<http::Response> ProjectApi::send(Workflow<lovage::Canvas<>> work, Trace trace) {
    const Started started = co_await sent(std::move(work), std::move(trace));
    co_return http::Response::json(Json::object({{"taskId", started.result.id()}}));
}

// ---- Groups: a list of results

lovage::Awaitable<ProjectApi::GroupOfTasks> ProjectApi::sent(Workflow<lovage::Group<>> work,
                                                             Trace trace) {
    const GroupOfTasks group{app_.core(), lovage::uuid4(), std::move(work.task_ids)};
    value_or_trouble(co_await group.save_async(Deadline::in(kBackendTime)));
    const auto sending =
        co_await work.canvas.send({.trace = std::move(trace), .task_id = group.id()});
    if (sending.outcome == lovage::SendOutcome::rejected) {
        (void)co_await group.forget_async(Deadline::in(kBackendTime));
    }
    check_sent(sending.outcome, sending.error, group_path(group.id()));
    co_return group;
}

lovage::Awaitable<http::Response> ProjectApi::send(Workflow<lovage::Group<>> work, Trace trace) {
    const GroupOfTasks group = co_await sent(std::move(work), std::move(trace));
    // The original says "taskId", though it is a group's.
    auto reply = http::Response::json(Json::object({{"taskId", group.id()}}));
    reply.set_header("Location", group_path(group.id()));
    co_return reply;
}

lovage::Awaitable<http::Response> ProjectApi::call(Workflow<lovage::Group<>> work, Trace trace,
                                                   Seconds wait) {
    GroupOfTasks group = co_await sent(std::move(work), std::move(trace));
    auto metas = co_await group.wait_async(Deadline::in(time_to_wait(wait)));
    if (metas) co_return co_await reply_to(std::move(group), *std::move(metas), true);
    if (metas.error().code != Errc::deadline_exceeded) throw trouble(metas.error());
    if (!wait) co_return co_await give_up(std::move(group));
    co_return accepted_reply(group.id(), group_path(group.id()));
}

lovage::Awaitable<http::Response> ProjectApi::give_up(GroupOfTasks group) {
    const auto counts = value_or_trouble(co_await group.counts_async(Deadline::in(kBackendTime)));
    if (counts.ready()) co_return co_await result_of(std::move(group), true);
    value_or_trouble(co_await group.revoke_async(Deadline::in(kBackendTime)));
    co_return revoked_reply(group.id(), state_of(counts));
}

lovage::Awaitable<http::Response> ProjectApi::reply_to(GroupOfTasks group,
                                                       std::vector<lovage::TaskMeta> metas,
                                                       bool forget) {
    if (forget) value_or_trouble(co_await group.forget_async(Deadline::in(kBackendTime)));
    Json values = Json::array();
    for (const lovage::TaskMeta& meta : metas) {
        if (meta.status != lovage::states::kSuccess) co_return failure_reply(meta, forget);
        values.push_back(value_or_trouble(meta.result.fully_expanded()));
    }
    co_return http::Response::json(values);
}

lovage::Awaitable<std::optional<ProjectApi::GroupOfTasks>> ProjectApi::find_group(std::string id) {
    auto found = co_await app_.group_result_async(std::move(id), Deadline::in(kBackendTime));
    if (found) co_return *std::move(found);
    if (found.error().code != Errc::not_found) throw trouble(found.error());
    co_return std::nullopt;
}

lovage::Awaitable<http::Response> ProjectApi::group_as_task(GroupOfTasks group) {
    const auto counts = value_or_trouble(co_await group.counts_async(Deadline::in(kBackendTime)));
    co_return http::Response::json(
        Json::object({{"taskId", group.id()}, {"taskStatus", std::string{state_of(counts)}}}));
}

lovage::Awaitable<http::Response> ProjectApi::result_of(GroupOfTasks group, bool forget) {
    auto metas = co_await group.wait_async(Deadline::in(settings_.task_result_time_out));
    if (metas) co_return co_await reply_to(std::move(group), *std::move(metas), forget);
    if (metas.error().code != Errc::deadline_exceeded) throw trouble(metas.error());
    throw too_early(group.id(), lovage::states::kPending);
}

lovage::Awaitable<http::Response> ProjectApi::group_status(http::Uuid id) {
    const auto group = co_await find_group(id.text);
    if (!group) throw http::HttpError{404, fmt::format("Group '{}' is unknown.", id.text)};
    const auto counts = value_or_trouble(co_await group->counts_async(Deadline::in(kBackendTime)));
    Json members = Json::array();
    for (const std::string& member : group->task_ids()) members.push_back(member);
    co_return http::Response::json(Json::object({{"groupId", id.text},
                                                 {"groupStatus", std::string{state_of(counts)}},
                                                 {"total", counts.total},
                                                 {"successful", counts.successful},
                                                 {"failed", counts.failed},
                                                 {"waiting", counts.waiting()},
                                                 {"taskIds", std::move(members)}}));
}

lovage::Awaitable<http::Response> ProjectApi::group_result(http::Uuid id, bool forget) {
    auto group = co_await find_group(id.text);
    if (!group) throw http::HttpError{404, fmt::format("Group '{}' is unknown.", id.text)};
    co_return co_await result_of(*std::move(group), forget);
}

}  // namespace project
