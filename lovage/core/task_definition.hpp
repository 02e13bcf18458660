#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/rate_limit.hpp>
#include <lovage/core/retry_policy.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/task_key.hpp>
#include <lovage/core/unique.hpp>

namespace lovage {

/// One named parameter of a task.
struct Parameter {
    std::string name;
    std::string type;                   ///< For messages: "int", "list of int", a struct's name.
    std::optional<Json> default_value;  ///< Present: the caller may leave it out.
};

/// Options of a task. What is absent comes from the settings; queue, ignore_result and the limits
/// give way to what a call says.
struct TaskOptions {
    std::string queue;  ///< Empty: by task_routes, else the default queue.
    std::optional<bool> ignore_result;
    RetryPolicy retry;
    std::optional<std::chrono::milliseconds> time_limit;
    std::optional<std::chrono::milliseconds> soft_time_limit;
    std::optional<bool> acks_late;
    std::optional<bool> acks_on_failure_or_timeout;
    std::optional<bool> reject_on_worker_lost;
    std::optional<RateLimit> rate_limit;
    std::optional<ConcurrencyLimit> concurrency_limit;
    std::optional<Unique> unique;
    bool send_events = true;  ///< False: workers tell nobody of it.
};

/// The body of a task that is a coroutine; see app/coroutine_task.hpp.
struct CoroutineBody;

/// A task as the registry holds it: a name, its parameters, and the function behind them.
struct TaskDefinition {
    std::string name;
    std::vector<Parameter> parameters;
    TaskOptions options;
    bool bound = false;  ///< Takes the TaskContext.

    /// Runs the function with one value a parameter, in order, and returns its result. Throws what
    /// the function throws, and ArgumentError when a value does not fit its parameter's type.
    /// Empty when the task is a coroutine.
    std::function<Json(TaskContext&, std::span<const Json>)> run;
    std::shared_ptr<const CoroutineBody> coroutine;

    /// "integer-multiplication(integer: int, multiply_by: int = 2)".
    [[nodiscard]] std::string signature() const;
};

/// Matches a call's positional and keyword arguments with parameters, as Python does.
/// `args` is a list and `kwargs` a map; both may be raw. Throws ArgumentError naming the task and
/// the parameter when one is missing, extra or doubled.
[[nodiscard]] std::vector<Json> bind_arguments(const TaskDefinition& task, const Json& args,
                                               const Json& kwargs);

/// The tasks of one program, by name. Filled at start, then only read: reading is thread-safe.
class TaskRegistry {
public:
    /// Throws LovageError (already_exists) when the name is taken, (invalid_argument) when the name
    /// is empty, longer than 255 characters or has control characters, or when a parameter's name
    /// is doubled or one without a default follows one with.
    TaskDefinition& add(TaskDefinition task);
    /// One of the framework's own tasks: found unless the program has one of that name, not listed.
    void add_builtin(TaskDefinition task);
    [[nodiscard]] const TaskDefinition* find(std::string_view name) const;
    /// The names of the program's tasks, sorted.
    [[nodiscard]] std::vector<std::string> names() const;

private:
    std::map<std::string, TaskDefinition, std::less<>> tasks_;
    std::map<std::string, TaskDefinition, std::less<>> builtin_;
};

}  // namespace lovage
