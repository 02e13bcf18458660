#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <lovage/app/async_result.hpp>
#include <lovage/app/canvas.hpp>
#include <lovage/app/coroutine_task.hpp>
#include <lovage/app/remote_control.hpp>
#include <lovage/app/send_options.hpp>
#include <lovage/app/task.hpp>
#include <lovage/core/task_function.hpp>
#include <lovage/core/task_hooks.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

class AppCore;

/// A program's tasks and its way to broker and result backend: Celery's `Celery` object.
///
/// Register tasks first, on one thread; everything else is thread-safe. Nothing connects before the
/// first send, read or worker. The event loop its connections live on ends with the App and
/// the last AsyncResult it gave out, on the thread that destroys that.
class App {
public:
    /// Settings come from environment and `lovage.toml` when they are first needed, unless
    /// configure() is called before.
    explicit App(std::string name);
    App(std::string name, Settings settings);
    ~App();
    App(const App&) = delete;
    App& operator=(const App&) = delete;

    [[nodiscard]] const std::string& name() const noexcept;
    /// Replaces the settings. Throws LovageError once they are in use.
    void configure(Settings settings);
    /// Throws LovageError when environment or file hold a bad setting.
    [[nodiscard]] const Settings& settings() const;

    /// Registers a function as a task: one arg() a parameter, in order; a leading TaskContext& (a
    /// bound task) is not named. Throws LovageError for a name that is taken or unusable.
    ///
    ///     auto multiply = app.task("multiply", [](int x, int y) { return x * y; }, arg("x"),
    ///     arg("y") = 2);
    ///
    /// A function that returns Awaitable<R> is a coroutine task. The pool `coroutine` runs
    /// thousands of them on one thread; in other pools one takes a slot, as a plain function does.
    template <class F, class... Args>
    auto task(std::string task_name, F&& function, const Args&... args) {
        constexpr std::size_t kRequired =
            (std::size_t{0} + ... + std::size_t{detail::kHasDefault<Args> ? 0U : 1U});
        using Handle = Task<TaskValue<F>, typename TaskSignature<F>::Values, kRequired>;
        if constexpr (CoroutineFunction<F>) {
            return Handle{core_, add(make_coroutine_definition(
                                     std::move(task_name), std::forward<F>(function), args...))};
        } else {
            return Handle{core_, add(make_task_definition(std::move(task_name),
                                                          std::forward<F>(function), args...))};
        }
    }

    // Hooks: code of your own around tasks and workers. Add them at start-up; several of a kind are
    // called in order. See TaskHooks and WorkerHooks for where they run.

    /// Before every attempt at a task.
    App& before_task(TaskHooks::Before hook);
    /// After every attempt, however it ended.
    App& after_task(TaskHooks::After hook);
    /// After an attempt that failed for good.
    App& on_failure(TaskHooks::After hook);
    /// After an attempt that is to be run again.
    App& on_retry(TaskHooks::After hook);
    /// When a worker consumes.
    App& on_worker_ready(WorkerHooks::Hook hook);
    /// When a worker has stopped, its last task ended.
    App& on_worker_shutdown(WorkerHooks::Hook hook);
    /// In every slot process (pool prefork) before its first task: the place to open what a process
    /// cannot inherit, such as a database pool. One that throws keeps the slot from serving; it is
    /// tried again, ever more slowly.
    App& on_slot_start(std::function<void()> hook);
    /// In a slot process that ends in order, after its last task; not in one that is killed.
    App& on_slot_stop(std::function<void()> hook);

    /// Sends a task by name; it need not be registered here. `args` is a list, `kwargs` a map.
    /// Always ends by its deadline as accepted, rejected or unknown.
    [[nodiscard]] Awaitable<Sent<Json>> send(std::string task_name, Json args = Json::array(),
                                             Json kwargs = Json::object(),
                                             SendOptions options = {}) const;
    /// Blocking form: Celery's `send_task`. Throws SendError.
    AsyncResult<Json> send_task(std::string task_name, Json args = Json::array(),
                                Json kwargs = Json::object(), SendOptions options = {}) const;

    /// A call of a task by name, for canvases: it need not be registered here, and nothing of it is
    /// checked. What comes before it in a chain goes in front of `values`.
    template <class... A>
    [[nodiscard]] Canvas<> signature(std::string task_name, A&&... values) const {
        Signature made;
        made.task = std::move(task_name);
        made.args = Json{detail::json_arguments(std::forward<A>(values)...)};
        return {core_, std::move(made)};
    }
    /// The canvas in one of Celery's dictionaries. One that ends in a group has that group's
    /// id as its result's: see as_group(). Throws LovageError.
    [[nodiscard]] Canvas<> signature_from(const Json& dictionary) const {
        return {core_, value_or_throw(decode_signature(dictionary, "the signature"))};
    }

    /// The result of a task by id.
    template <class T = Json>
    [[nodiscard]] AsyncResult<T> async_result(std::string task_id) const {
        return AsyncResult<T>{core_, std::move(task_id)};
    }

    /// To ask and tell workers, Python's included: Celery's `app.control`.
    [[nodiscard]] RemoteControl control() const { return RemoteControl{core_}; }

    /// The group that was saved as `group_id`, here or by Celery (GroupResult.save()). Throws
    /// LovageError, with not_found when there is none.
    template <class T = Json>
    [[nodiscard]] GroupResult<T> group_result(const std::string& group_id) const {
        return {core_, detail::saved_group(core_, group_id)};
    }
    /// The coroutine form. Errors: not_found; malformed (what is saved is no group).
    template <class T = Json>
    [[nodiscard]] Awaitable<Result<GroupResult<T>>> group_result_async(std::string group_id,
                                                                       Deadline deadline) const {
        return detail::find_group_result<T>(core_, std::move(group_id), deadline);
    }

    [[nodiscard]] const TaskRegistry& tasks() const noexcept;
    /// Loop, connections and client, for worker, HTTP server and tools.
    [[nodiscard]] const std::shared_ptr<AppCore>& core() const noexcept { return core_; }

private:
    TaskDefinition& add(TaskDefinition definition);
    std::shared_ptr<AppCore> core_;
};

}  // namespace lovage
