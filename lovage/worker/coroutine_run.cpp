#include <lovage/worker/coroutine_run.hpp>

#include <lovage/app/coroutine_task.hpp>
#include <lovage/worker/attempt.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace lovage {

namespace asio = boost::asio;

Awaitable<TaskOutcome> run_task_coroutine(std::shared_ptr<const TaskRequest> request) {
    Attempt attempt{*request};
    if (!attempt.begin()) co_return attempt.not_begun();
    const TaskDefinition& task = *request->definition;
    try {
        std::vector<Json> values =
            bind_arguments(task, request->message.args, request->message.kwargs);
        attempt.returned(co_await task.coroutine->run(*request->context, std::move(values)));
    } catch (...) {
        attempt.threw(std::current_exception());
    }
    co_return attempt.end();
}

TaskOutcome run_coroutine_here(const TaskRequest& request) {
    asio::io_context loop{1};
    asio::cancellation_signal stop;
    std::optional<TaskOutcome> outcome;
    const TaskContext::Scope current{*request.context};
    const TaskContext::StopNotice notice{
        *request.context, [&loop, &stop] {
            asio::post(loop, [&stop] { stop.emit(asio::cancellation_type::terminal); });
        }};
    // It ends with this function, so nobody needs to own the request.
    const std::shared_ptr<const TaskRequest> here{std::shared_ptr<const void>{}, &request};
    asio::co_spawn(
        loop, run_task_coroutine(here),
        asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr error, TaskOutcome ended) {
            if (error) {  // stopped before its first step
                Attempt attempt{request};
                attempt.threw(error);
                ended = attempt.end();
            }
            outcome = std::move(ended);
        }));
    loop.run();
    return std::move(*outcome);
}

}  // namespace lovage
