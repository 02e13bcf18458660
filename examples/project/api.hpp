#pragma once

#include "api_settings.hpp"

#include <cstdint>
#include <lovage/app/app.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/uuid_value.hpp>

#include <boost/multiprecision/cpp_int.hpp>

#include <optional>
#include <string>
#include <vector>

namespace project {

/// The original stack's HTTP API: paths, verbs, parameters and replies are its own, to the letter,
/// with safer variants beside them (`wait`, JSON bodies, 404 for an unknown task).
///
/// Set `task_track_sent` in the app's settings, or an id nobody knows reads as PENDING.
class ProjectApi {
public:
    using Integer = boost::multiprecision::cpp_int;

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
    template <class T>
    using Awaitable = lovage::Awaitable<T>;

    void add_worker_routes();
    void add_task_routes();
    void add_ready_check();

    /// A task to be sent for a request.
    struct Call {
        std::string name;
        Json kwargs;
        lovage::TraceContext trace;  ///< The request's, so that the task is seen as a part of it.
    };

    /// Sends and waits: the result, 408 after the time-out (and the task is revoked), or with
    /// `wait` 202 after that many seconds (and nothing is revoked).
    Awaitable<Response> call(Call task, std::optional<double> wait);
    /// Sends and answers `{"taskId": …}`.
    Awaitable<Response> send(Call task);
    Awaitable<Response> task_status(lovage::http::Uuid id);
    Awaitable<Response> task_result(lovage::http::Uuid id, bool forget);

    enum class Backend : std::uint8_t { broker, results };
    Awaitable<lovage::Result<void>> ping(Backend backend);
    Awaitable<lovage::AsyncResult<>> sent(Call task);
    Awaitable<Response> reply_to(lovage::AsyncResult<> result, lovage::TaskMeta meta, bool forget);
    Awaitable<Response> give_up(lovage::AsyncResult<> result);

    lovage::App& app_;
    ApiSettings settings_;
    lovage::http::Api http_;
};

}  // namespace project
