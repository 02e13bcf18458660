#pragma once

#include "api_settings.hpp"
#include "workflows.hpp"

#include <cstdint>
#include <lovage/app/app.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/uuid_value.hpp>

#include <boost/multiprecision/cpp_int.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace project {

/// The original stack's HTTP API: paths, verbs, parameters and replies are its own, to the letter,
/// with safer variants beside them (`wait`, JSON bodies, groups, 404 for an unknown task).
///
/// Set `task_track_sent` in the app's settings, or an id nobody knows reads as PENDING.
class ProjectApi {
public:
    using Integer = boost::multiprecision::cpp_int;
    /// What `nb_chains` and `nb_groups` may be at most; beyond is a 422. The original has no bound.
    static constexpr std::int64_t kWorkflowTasksMax = 1'000;

    /// Lifetime: `app` must outlive the ProjectApi.
    ProjectApi(lovage::App& app, ApiSettings settings);
    ProjectApi(const ProjectApi&) = delete;
    ProjectApi& operator=(const ProjectApi&) = delete;

    /// For an http::Server or an http::TestClient. Coroutines expect the app's loop for speed, but
    /// work on any.
    [[nodiscard]] lovage::http::Api& http() noexcept { return http_; }

private:
    using Json = lovage::Json;
    using Response = lovage::http::Response;
    using Trace = lovage::TraceContext;
    using Seconds = std::optional<double>;
    template <class T>
    using Awaitable = lovage::Awaitable<T>;

    // api.cpp: single tasks.

    void add_worker_routes();
    void add_task_routes();
    void add_ready_check();
    enum class Backend : std::uint8_t { broker, results };
    Awaitable<lovage::Result<void>> ping(Backend backend);

    /// A task to be sent for a request.
    struct Call {
        std::string name;
        Json kwargs;
        Trace trace;  ///< The request's, so that the task is seen as a part of it.
    };
    /// What was sent: where its result will be, and all its tasks.
    struct Started {
        lovage::AsyncResult<> result;
        std::vector<std::string> task_ids;
    };

    /// Sends and waits: the result, 408 after the time-out (and all is revoked), or with `wait` 202
    /// after that many seconds (and nothing is revoked).
    Awaitable<Response> call(Call task, Seconds wait);
    /// Sends and answers `{"taskId": …}`.
    Awaitable<Response> send(Call task);
    Awaitable<Started> sent(Call task);
    /// Throws what a send that was not accepted is answered with.
    static void check_sent(lovage::SendOutcome outcome, const std::optional<lovage::Error>& error,
                           const std::string& where);

    Awaitable<Response> wait_for(Started started, Seconds wait);
    Awaitable<Response> give_up(Started started);
    /// The reply to what is ready; the results of `forget` are forgotten first.
    Awaitable<Response> reply_to(lovage::TaskMeta meta, std::vector<std::string> forget);

    Awaitable<Response> task_status(lovage::http::Uuid id);
    Awaitable<Response> task_result(lovage::http::Uuid id, bool forget);

    [[nodiscard]] std::string task_path(const std::string& id) const;
    [[nodiscard]] std::chrono::milliseconds time_to_wait(Seconds wait) const;
    [[nodiscard]] static Response accepted_reply(const std::string& id, const std::string& where);
    [[nodiscard]] Response revoked_reply(const std::string& id, std::string_view state) const;
    [[nodiscard]] Response failure_reply(const lovage::TaskMeta& meta, bool forgotten) const;
    [[nodiscard]] lovage::http::HttpError too_early(const std::string& id,
                                                    std::string_view state) const;

    // api_workflows.cpp: chains, chords and groups.

    void add_workflow_routes();
    void add_group_routes();

    Awaitable<Response> call(Workflow<lovage::Canvas<>> work, Trace trace, Seconds wait);
    Awaitable<Response> send(Workflow<lovage::Canvas<>> work, Trace trace);
    Awaitable<Started> sent(Workflow<lovage::Canvas<>> work, Trace trace);

    using GroupOfTasks = lovage::GroupResult<>;
    Awaitable<Response> call(Workflow<lovage::Group<>> work, Trace trace, Seconds wait);
    Awaitable<Response> send(Workflow<lovage::Group<>> work, Trace trace);
    /// Keeps the group under its id, then sends its members.
    Awaitable<GroupOfTasks> sent(Workflow<lovage::Group<>> work, Trace trace);
    Awaitable<Response> give_up(GroupOfTasks group);
    Awaitable<Response> reply_to(GroupOfTasks group, std::vector<lovage::TaskMeta> metas,
                                 bool forget);

    /// Nothing when no group is kept under this id.
    Awaitable<std::optional<GroupOfTasks>> find_group(std::string id);
    Awaitable<Response> group_status(lovage::http::Uuid id);
    Awaitable<Response> group_result(lovage::http::Uuid id, bool forget);
    // The same for who asks as for a task.
    Awaitable<Response> group_as_task(GroupOfTasks group);
    Awaitable<Response> result_of(GroupOfTasks group, bool forget);
    [[nodiscard]] std::string group_path(const std::string& id) const;

    lovage::App& app_;
    ApiSettings settings_;
    Workflows workflows_;
    lovage::http::Api http_;
};

}  // namespace project
