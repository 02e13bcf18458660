#include <lovage/app/builtin_tasks.hpp>

#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/canvas_send.hpp>
#include <lovage/app/coroutine_task.hpp>
#include <lovage/core/canvas.hpp>
#include <lovage/core/compose.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_error.hpp>

namespace lovage {

namespace {

/// A call of a coroutine task to its end, on this thread.
Json run_coroutine_call(const TaskDefinition& task, TaskContext& context,
                        std::vector<Json> values) {
    boost::asio::io_context loop{1};
    Json result;
    std::exception_ptr error;
    boost::asio::co_spawn(loop, task.coroutine->run(context, std::move(values)),
                          [&](std::exception_ptr thrown, Json value) {
                              error = std::move(thrown);
                              result = std::move(value);
                          });
    loop.run();
    if (error) std::rethrow_exception(error);
    return result;
}

Json call_here(const TaskDefinition& task, TaskContext& context, Json args) {
    std::vector<Json> values = bind_arguments(task, args, Json::object());
    if (task.coroutine) return run_coroutine_call(task, context, std::move(values));
    return task.run(context, values);
}

/// What `celery.map` is asked to call. Throws Celery's NotRegistered when it is not known here.
const TaskDefinition& mapped(const TaskRegistry& registry, const Json& signature) {
    const Signature called = value_or_throw(decode_signature(signature, "the task to map"));
    const TaskDefinition* const task = registry.find(called.task);
    if (task == nullptr) throw TaskError{"NotRegistered", called.task, "celery.exceptions"};
    return *task;
}

Json::Array items_of(const Json& items) {
    Json opened = value_or_throw(items.expanded());
    if (!opened.is_array()) throw ArgumentError{"the items to map are no list"};
    return std::move(opened.as_array());
}

TaskDefinition map_task(std::string name, AppCore* core, bool spread) {
    TaskDefinition task;
    task.name = std::move(name);
    task.parameters = {{"task", "signature", {}}, {"it", "list", {}}};
    task.run = [core, spread](TaskContext& context, std::span<const Json> values) {
        const TaskDefinition& called = mapped(core->registry(), values[0]);
        Json results = Json::array();
        for (Json& item : items_of(values[1])) {
            context.checkpoint();
            Json args = spread ? std::move(item) : Json::array({std::move(item)});
            results.push_back(call_here(called, context, std::move(args)));
        }
        return results;
    };
    return task;
}

/// Starts the group and returns its result's tuple, as Celery's does.
TaskDefinition chunks_task(std::weak_ptr<AppCore> core) {
    TaskDefinition task;
    task.name = "celery.chunks";
    task.parameters = {{"task", "signature", {}}, {"it", "list", {}}, {"n", "int", {}}};
    task.run = [core = std::move(core)](TaskContext& context, std::span<const Json> values) {
        Signature chunks;
        chunks.task = "celery.chunks";
        chunks.kwargs = Json::object({{"task", values[0]}, {"it", values[1]}, {"n", values[2]}});
        SendOptions options;
        options.task_id = follow_up_id(context.id(), "chunks");  // when it runs again: the same
        return detail::send_canvas_blocking(core.lock(), value_or_throw(group_of_chunks(chunks)),
                                            std::move(options));
    };
    return task;
}

/// What a chord that stands for a replaced group ends with: `args[index]`, or all of them.
TaskDefinition accumulate_task() {
    TaskDefinition task;
    task.name = "celery.accumulate";
    task.parameters = {{"value", "any", {}}, {"index", "int", Json{}}};
    task.run = [](TaskContext&, std::span<const Json> values) -> Json {
        const Json index = value_or_throw(values[1].expanded());
        if (index.is_null()) return Json::array({values[0]});
        if (!index.is_integer()) throw ArgumentError{"the index to accumulate is no int"};
        if (index.as_int64() != 0) throw std::out_of_range{"tuple index out of range"};
        return values[0];
    };
    return task;
}

}  // namespace

void add_builtin_tasks(const std::shared_ptr<AppCore>& core) {
    TaskRegistry& registry = core->registry();
    registry.add_builtin(map_task("celery.map", core.get(), false));
    registry.add_builtin(map_task("celery.starmap", core.get(), true));
    registry.add_builtin(chunks_task(core));
    registry.add_builtin(accumulate_task());
}

}  // namespace lovage
