#include "api.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/convert_cpp_int.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/http/params.hpp>
#include <lovage/runtime/deadline.hpp>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace project {

namespace http = lovage::http;
using lovage::Deadline;
using lovage::Errc;
using lovage::Json;
using std::chrono::milliseconds;
using std::chrono_literals::operator""s;

namespace {

/// For one question to the result backend.
constexpr auto kBackendTime = 5s;

Json kwargs_of(const char* name, Json value) {
    return Json::object({{name, std::move(value)}});
}

/// "360.0s", as the original's messages write their settings.
std::string seconds_text(milliseconds time) {
    return lovage::python_float_repr(static_cast<double>(time.count()) / 1000) + "s";
}

/// What a failed question to broker or backend is answered with.
http::HttpError trouble(const lovage::Error& error) {
    if (error.code == Errc::too_large) return http::HttpError{413, error.detail};
    if (error.code == Errc::invalid_argument) return http::HttpError{422, error.detail};
    // The log gets the reason: it may name files of the server.
    http::HttpError problem{503,
                            "the broker (or result backend) does not take it now; try again later"};
    problem.header("Retry-After", "5").cause(error.message());
    return problem;
}

template <class T>
T value_or_trouble(lovage::Result<T> result) {
    if (!result) throw trouble(result.error());
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace

ProjectApi::ProjectApi(lovage::App& app, ApiSettings settings)
    : app_{app},
      settings_{std::move(settings)},
      http_{{.title = settings_.name,
             .version = settings_.version,
             .description = settings_.description}} {
    http_.cors({.allow_origins = settings_.cors_allow_origins});
    add_worker_routes();
    add_task_routes();
    add_ready_check();
}

void ProjectApi::add_worker_routes() {
    const auto base = settings_.v1_path + "/celery-worker";
    const auto integer = [] {
        return http::query_or_body<Integer>("integer").description("Integer to multiply by 2.");
    };
    const auto integers = [] {
        return http::query_or_body<std::vector<Integer>>("integers")
            .description("List of integers to sum.");
    };
    const auto wait = [this] {
        return http::query<std::optional<double>>("wait")
            .ge(0)
            .le(static_cast<double>(settings_.task_ready_time_out.count()) / 1000)
            .description(
                "Seconds to wait; then the answer is 202 with the task's Location, and the task "
                "goes on.");
    };
    const auto document = [](http::Route& route) -> http::Route& {
        return route.tag("celery-worker").responds(503, "The broker cannot be reached");
    };
    const auto document_waiting = [&](http::Route& route) -> http::Route& {
        return document(route)
            .responds(202, "Not ready within `wait` seconds")
            .responds(408, "Not ready in time; the task is revoked")
            .responds(500, "The task failed");
    };

    document_waiting(
        http_.post(
            base + "/integer-multiplication/",
            [this](http::RequestRef request, const Integer& value, std::optional<double> seconds) {
                return call({"integer-multiplication", kwargs_of("integer", lovage::to_json(value)),
                             request->trace()},
                            seconds);
            },
            integer(), wait()))
        .summary("Multiply an integer by 2 and wait for the result");
    document(http_.post(
                 base + "/integer-multiplication/async/",
                 [this](http::RequestRef request, const Integer& value) {
                     return send({"integer-multiplication",
                                  kwargs_of("integer", lovage::to_json(value)), request->trace()});
                 },
                 integer()))
        .summary("Multiply an integer by 2 later");
    document_waiting(http_.post(
                         base + "/integers-sum/",
                         [this](http::RequestRef request, const std::vector<Integer>& values,
                                std::optional<double> seconds) {
                             return call(
                                 {"integers-sum", kwargs_of("integers", lovage::to_json(values)),
                                  request->trace()},
                                 seconds);
                         },
                         integers(), wait()))
        .summary("Sum integers and wait for the result");
    document(http_.post(
                 base + "/integers-sum/async/",
                 [this](http::RequestRef request, const std::vector<Integer>& values) {
                     return send({"integers-sum", kwargs_of("integers", lovage::to_json(values)),
                                  request->trace()});
                 },
                 integers()))
        .summary("Sum integers later");
}

void ProjectApi::add_task_routes() {
    const auto id = [] { return http::path<http::Uuid>("taskId").description("Task UUID4"); };
    http_
        .get(
            settings_.v1_path + "/tasks/{taskId}",
            [this](http::Uuid task) { return task_status(std::move(task)); }, id())
        .tag("tasks")
        .summary("State of a task")
        .responds(404, "No such task");
    http_
        .get(
            settings_.v1_path + "/tasks/{taskId}/result/",
            [this](http::Uuid task, bool forget) { return task_result(std::move(task), forget); },
            id(),
            http::query<bool>("forgetRetrievedResult")
                .description("Forget task result in the backend once retrieved.") = true)
        .tag("tasks")
        .summary("Result of a task")
        .responds(404, "No such task")
        .responds(408, "Not ready yet")
        .responds(500, "The task failed");
}

void ProjectApi::add_ready_check() {
    http_.ready_check("broker", [this] { return ping(Backend::broker); });
    http_.ready_check("results", [this] { return ping(Backend::results); });
}

lovage::Awaitable<lovage::Result<void>> ProjectApi::ping(Backend backend) {
    const auto core = app_.core();
    const Deadline deadline = Deadline::in(kBackendTime);
    auto connected = co_await lovage::on_loop(core, core->connect(deadline));
    if (!connected) co_return connected;
    co_return co_await lovage::on_loop(core, backend == Backend::broker
                                                 ? core->broker().ping(deadline)
                                                 : core->results().ping(deadline));
}

lovage::Awaitable<lovage::AsyncResult<>> ProjectApi::sent(Call task) {
    auto sending =
        co_await app_.send(std::move(task.name), Json::array(), std::move(task.kwargs),
                           {.queue = settings_.worker_queue, .trace = std::move(task.trace)});
    if (sending.accepted()) co_return std::move(sending.result);
    auto problem = trouble(sending.error.value_or(lovage::Error{Errc::unavailable, "the broker"}));
    if (sending.outcome == lovage::SendOutcome::unknown) {
        // It may run all the same: the client can look instead of sending twice.
        problem.header("Location", settings_.v1_path + "/tasks/" + sending.result.id());
    }
    throw problem;
}

lovage::Awaitable<http::Response> ProjectApi::send(Call task) {
    const auto result = co_await sent(std::move(task));
    // Celery's user reads 200 here; that it is not done yet is what the id says.
    co_return http::Response::json(Json::object({{"taskId", result.id()}}));
}

lovage::Awaitable<http::Response> ProjectApi::call(Call task, std::optional<double> wait) {
    auto result = co_await sent(std::move(task));
    auto time = settings_.task_ready_time_out;
    if (wait) time = milliseconds{static_cast<std::int64_t>(*wait * 1000)};
    auto meta = co_await result.wait_async(Deadline::in(time));
    if (meta) co_return co_await reply_to(std::move(result), *std::move(meta), true);
    if (meta.error().code != Errc::deadline_exceeded) throw trouble(meta.error());
    if (!wait) co_return co_await give_up(std::move(result));

    auto accepted = http::Response::json(Json::object({{"taskId", result.id()}}), 202);
    accepted.set_header("Location", settings_.v1_path + "/tasks/" + result.id());
    accepted.set_header("Retry-After", "1");
    co_return accepted;
}

lovage::Awaitable<http::Response> ProjectApi::give_up(lovage::AsyncResult<> result) {
    const auto meta = value_or_trouble(co_await result.meta_async(Deadline::in(kBackendTime)));
    // It may have become ready just now.
    if (meta.ready()) co_return co_await reply_to(std::move(result), meta, true);
    value_or_trouble(co_await result.revoke_async(Deadline::in(kBackendTime)));
    // Wire: the original's text, grammar included.
    co_return http::Response::error(
        408,
        fmt::format(
            "Timeout ({}) exceed - Task '{}' (state: '{}') is not ready. Task should be revoke!",
            seconds_text(settings_.task_ready_time_out), result.id(), meta.status));
}

lovage::Awaitable<http::Response> ProjectApi::reply_to(lovage::AsyncResult<> result,
                                                       lovage::TaskMeta meta, bool forget) {
    // Forgotten before the reply is written, as in the original: a lost reply loses the result.
    if (forget) value_or_trouble(co_await result.forget_async(Deadline::in(kBackendTime)));
    if (meta.status == lovage::states::kSuccess) {
        // Parsed, so that the reply is written as FastAPI writes it and not as Celery stores it.
        co_return http::Response::json(value_or_trouble(meta.result.fully_expanded()));
    }
    // Wire: the original's texts.
    if (meta.status == lovage::states::kFailure) {
        co_return http::Response::error(
            500, fmt::format("Celery task '{}' failed with the following traceback:\n {}.{}",
                             meta.task_id, meta.traceback.value_or("None"),
                             forget ? " Task should be forget!" : ""));
    }
    const auto failure = meta.failure();
    co_return http::Response::error(
        500, fmt::format(
                 "Exception occurred when trying to retrieve task '{}' result (state: '{}') ({}). "
                 "Exception message: {}",
                 meta.task_id, meta.status, seconds_text(settings_.task_result_time_out),
                 failure ? failure->exc_message : meta.status));
}

lovage::Awaitable<http::Response> ProjectApi::task_status(http::Uuid id) {
    const auto result = app_.async_result(id.text);
    const auto meta = value_or_trouble(co_await result.meta_async(Deadline::in(kBackendTime)));
    if (meta.status == lovage::states::kPending) {
        const bool known =
            value_or_trouble(co_await result.is_known_async(Deadline::in(kBackendTime)));
        if (!known) throw http::HttpError{404, fmt::format("Task '{}' is unknown.", id.text)};
    }
    co_return http::Response::json(
        Json::object({{"taskId", id.text}, {"taskStatus", meta.status}}));
}

lovage::Awaitable<http::Response> ProjectApi::task_result(http::Uuid id, bool forget) {
    auto result = app_.async_result(id.text);
    const bool known = value_or_trouble(co_await result.is_known_async(Deadline::in(kBackendTime)));
    if (!known) throw http::HttpError{404, fmt::format("Task '{}' is unknown.", id.text)};
    auto meta = co_await result.wait_async(Deadline::in(settings_.task_result_time_out));
    if (meta) co_return co_await reply_to(std::move(result), *std::move(meta), forget);
    if (meta.error().code != Errc::deadline_exceeded) throw trouble(meta.error());
    const auto now = value_or_trouble(co_await result.meta_async(Deadline::in(kBackendTime)));
    // Wire: the original's text.
    throw http::HttpError{
        408, fmt::format("Timeout ({}) exceed - Task '{}' (state: '{}') is not ready or not exist.",
                         seconds_text(settings_.task_result_time_out), id.text, now.status)};
}

}  // namespace project
