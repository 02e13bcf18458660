#include "api.hpp"

#include "api_parts.hpp"

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

Json kwargs_of(const char* name, Json value) {
    return Json::object({{name, std::move(value)}});
}

}  // namespace

std::string seconds_text(milliseconds time) {
    return lovage::python_float_repr(static_cast<double>(time.count()) / 1000) + "s";
}

http::HttpError trouble(const lovage::Error& error) {
    if (error.code == Errc::too_large) return http::HttpError{413, error.detail};
    if (error.code == Errc::invalid_argument) return http::HttpError{422, error.detail};
    // The log gets the reason: it may name files of the server.
    http::HttpError problem{503,
                            "the broker (or result backend) does not take it now; try again later"};
    problem.header("Retry-After", "5").cause(error.message());
    return problem;
}

http::Route& document_sending(http::Route& route, const char* tag) {
    return route.tag(tag).responds(503, "The broker cannot be reached");
}

http::Route& document_waiting(http::Route& route, const char* tag) {
    return document_sending(route, tag)
        .responds(202, "Not ready within `wait` seconds")
        .responds(408, "Not ready in time; what was sent is revoked")
        .responds(500, "The task failed");
}

ProjectApi::ProjectApi(lovage::App& app, ApiSettings settings)
    : app_{app},
      settings_{std::move(settings)},
      workflows_{app, settings_.worker_queue},
      http_{{.title = settings_.name,
             .version = settings_.version,
             .description = settings_.description}} {
    http_.cors({.allow_origins = settings_.cors_allow_origins});
    add_worker_routes();
    add_workflow_routes();
    add_task_routes();
    add_group_routes();
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
    const char* const tag = "celery-worker";

    document_waiting(
        http_.post(
            base + "/integer-multiplication/",
            [this](http::RequestRef request, const Integer& value, std::optional<double> seconds) {
                return call({"integer-multiplication", kwargs_of("integer", lovage::to_json(value)),
                             request->trace()},
                            seconds);
            },
            integer(), wait_parameter(settings_)),
        tag)
        .summary("Multiply an integer by 2 and wait for the result");
    document_sending(
        http_.post(
            base + "/integer-multiplication/async/",
            [this](http::RequestRef request, const Integer& value) {
                return send({"integer-multiplication", kwargs_of("integer", lovage::to_json(value)),
                             request->trace()});
            },
            integer()),
        tag)
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
                         integers(), wait_parameter(settings_)),
                     tag)
        .summary("Sum integers and wait for the result");
    document_sending(
        http_.post(
            base + "/integers-sum/async/",
            [this](http::RequestRef request, const std::vector<Integer>& values) {
                return send({"integers-sum", kwargs_of("integers", lovage::to_json(values)),
                             request->trace()});
            },
            integers()),
        tag)
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

std::string ProjectApi::task_path(const std::string& id) const {
    return settings_.v1_path + "/tasks/" + id;
}

milliseconds ProjectApi::time_to_wait(Seconds wait) const {
    if (!wait) return settings_.task_ready_time_out;
    return milliseconds{static_cast<std::int64_t>(*wait * 1000)};
}

void ProjectApi::check_sent(lovage::SendOutcome outcome, const std::optional<lovage::Error>& error,
                            const std::string& where) {
    if (outcome == lovage::SendOutcome::accepted) return;
    auto problem = trouble(error.value_or(lovage::Error{Errc::unavailable, "the broker"}));
    // It may run all the same: the client can look instead of sending twice.
    if (outcome == lovage::SendOutcome::unknown) problem.header("Location", where);
    throw problem;
}

lovage::Awaitable<ProjectApi::Started> ProjectApi::sent(Call task) {
    auto sending =
        co_await app_.send(std::move(task.name), Json::array(), std::move(task.kwargs),
                           {.queue = settings_.worker_queue, .trace = std::move(task.trace)});
    check_sent(sending.outcome, sending.error, task_path(sending.result.id()));
    std::vector<std::string> ids{sending.result.id()};
    co_return Started{std::move(sending.result), std::move(ids)};
}

lovage::Awaitable<http::Response> ProjectApi::send(Call task) {
    const Started started = co_await sent(std::move(task));
    // Celery's user reads 200 here; that it is not done yet is what the id says.
    co_return http::Response::json(Json::object({{"taskId", started.result.id()}}));
}

lovage::Awaitable<http::Response> ProjectApi::call(Call task, Seconds wait) {
    co_return co_await wait_for(co_await sent(std::move(task)), wait);
}

lovage::Awaitable<http::Response> ProjectApi::wait_for(Started started, Seconds wait) {
    auto meta = co_await started.result.wait_async(Deadline::in(time_to_wait(wait)));
    if (meta) co_return co_await reply_to(*std::move(meta), std::move(started.task_ids));
    if (meta.error().code != Errc::deadline_exceeded) throw trouble(meta.error());
    if (!wait) co_return co_await give_up(std::move(started));
    co_return accepted_reply(started.result.id(), task_path(started.result.id()));
}

http::Response ProjectApi::accepted_reply(const std::string& id, const std::string& where) {
    auto accepted = http::Response::json(Json::object({{"taskId", id}}), 202);
    accepted.set_header("Location", where);
    accepted.set_header("Retry-After", "1");
    return accepted;
}

lovage::Awaitable<http::Response> ProjectApi::give_up(Started started) {
    const auto meta =
        value_or_trouble(co_await started.result.meta_async(Deadline::in(kBackendTime)));
    // It may have become ready just now.
    if (meta.ready()) co_return co_await reply_to(meta, std::move(started.task_ids));
    const lovage::GroupResultBase all{app_.core(), meta.task_id, std::move(started.task_ids)};
    value_or_trouble(co_await all.revoke_async(Deadline::in(kBackendTime)));
    co_return revoked_reply(meta.task_id, meta.status);
}

http::Response ProjectApi::revoked_reply(const std::string& id, std::string_view state) const {
    // Wire: the original's text, grammar included.
    return http::Response::error(
        408,
        fmt::format(
            "Timeout ({}) exceed - Task '{}' (state: '{}') is not ready. Task should be revoke!",
            seconds_text(settings_.task_ready_time_out), id, state));
}

lovage::Awaitable<http::Response> ProjectApi::reply_to(lovage::TaskMeta meta,
                                                       std::vector<std::string> forget) {
    const bool forgotten = !forget.empty();
    if (forgotten) {
        // Before the reply is written, as in the original: a lost reply loses the result.
        const lovage::GroupResultBase all{app_.core(), meta.task_id, std::move(forget)};
        value_or_trouble(co_await all.forget_async(Deadline::in(kBackendTime)));
    }
    if (meta.status != lovage::states::kSuccess) co_return failure_reply(meta, forgotten);
    // Parsed, so that the reply is written as FastAPI writes it and not as Celery stores it.
    co_return http::Response::json(value_or_trouble(meta.result.fully_expanded()));
}

http::Response ProjectApi::failure_reply(const lovage::TaskMeta& meta, bool forgotten) const {
    // Wire: the original's texts.
    if (meta.status == lovage::states::kFailure) {
        return http::Response::error(
            500, fmt::format("Celery task '{}' failed with the following traceback:\n {}.{}",
                             meta.task_id, meta.traceback.value_or("None"),
                             forgotten ? " Task should be forget!" : ""));
    }
    const auto failure = meta.failure();
    return http::Response::error(
        500, fmt::format(
                 "Exception occurred when trying to retrieve task '{}' result (state: '{}') ({}). "
                 "Exception message: {}",
                 meta.task_id, meta.status, seconds_text(settings_.task_result_time_out),
                 failure ? failure->exc_message : meta.status));
}

http::HttpError ProjectApi::too_early(const std::string& id, std::string_view state) const {
    // Wire: the original's text.
    return http::HttpError{
        408, fmt::format("Timeout ({}) exceed - Task '{}' (state: '{}') is not ready or not exist.",
                         seconds_text(settings_.task_result_time_out), id, state)};
}

lovage::Awaitable<http::Response> ProjectApi::task_status(http::Uuid id) {
    const auto result = app_.async_result(id.text);
    const auto meta = value_or_trouble(co_await result.meta_async(Deadline::in(kBackendTime)));
    if (meta.status == lovage::states::kPending) {
        const bool known =
            value_or_trouble(co_await result.is_known_async(Deadline::in(kBackendTime)));
        if (!known) {
            auto group = co_await find_group(id.text);
            if (group) co_return co_await group_as_task(*std::move(group));
            throw http::HttpError{404, fmt::format("Task '{}' is unknown.", id.text)};
        }
    }
    co_return http::Response::json(
        Json::object({{"taskId", id.text}, {"taskStatus", meta.status}}));
}

lovage::Awaitable<http::Response> ProjectApi::task_result(http::Uuid id, bool forget) {
    auto result = app_.async_result(id.text);
    const bool known = value_or_trouble(co_await result.is_known_async(Deadline::in(kBackendTime)));
    if (!known) {
        auto group = co_await find_group(id.text);
        if (group) co_return co_await result_of(*std::move(group), forget);
        throw http::HttpError{404, fmt::format("Task '{}' is unknown.", id.text)};
    }
    auto meta = co_await result.wait_async(Deadline::in(settings_.task_result_time_out));
    if (meta) {
        std::vector<std::string> forgotten;
        if (forget) forgotten.push_back(id.text);
        co_return co_await reply_to(*std::move(meta), std::move(forgotten));
    }
    if (meta.error().code != Errc::deadline_exceeded) throw trouble(meta.error());
    const auto now = value_or_trouble(co_await result.meta_async(Deadline::in(kBackendTime)));
    throw too_early(id.text, now.status);
}

}  // namespace project
