#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <lovage/app/async_result.hpp>
#include <lovage/app/canvas.hpp>
#include <lovage/app/send_options.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_function.hpp>

namespace lovage {

namespace detail {
/// One call, ready to be sent.
struct Call {
    std::string task;
    Json args = Json::array();
    Json kwargs = Json::object();
    SendOptions options;
    /// The arguments as text for people; empty: as Celery's `apply_async` with a tuple has it.
    std::string argsrepr = {};
};
[[nodiscard]] Awaitable<Sent<Json>> send_call(const std::shared_ptr<AppCore>& core, Call call);
/// Throws SendError; returns the id.
std::string send_call_blocking(const std::shared_ptr<AppCore>& core, Call call);

/// Both throw LovageError, naming the task.
void set_concurrency_limit(TaskDefinition& task, ConcurrencyLimit limit);
void set_unique(TaskDefinition& task, Unique unique);

/// Makes text of a task's arguments.
template <class F, class Values>
inline constexpr bool kMakesKey = false;
template <class F, class... A>
inline constexpr bool kMakesKey<F, std::tuple<A...>> =
    std::is_invocable_r_v<std::string, const F&, const A&...>;
template <class F, class Values>
concept KeyFunction = kMakesKey<F, Values>;

template <class Values, class F, std::size_t... I>
std::string call_key_function(const F& key, const std::string& task,
                              const std::vector<Parameter>& parameters,
                              std::span<const Json> values, std::index_sequence<I...>) {
    return key(
        convert_argument<std::tuple_element_t<I, Values>>(task, parameters[I], values[I])...);
}

/// Whether the exception behind `error` is an E.
template <class E>
bool is_thrown(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const E&) {
        return true;
    } catch (...) {
        return false;
    }
}
}  // namespace detail

/// The arguments of a typed call: from Required up to all of the task's parameters, converted to
/// their types where the compiler can check it.
template <class Values, std::size_t Required>
class CallArguments {
public:
    template <class... A>
        requires(sizeof...(A) >= Required && sizeof...(A) <= std::tuple_size_v<Values>)
    CallArguments(A&&... values) {  // implicit: apply_async({21}, {.countdown = 5s})
        add(std::index_sequence_for<A...>{}, std::forward<A>(values)...);
    }
    [[nodiscard]] Json take() && { return Json{std::move(values_)}; }

private:
    template <std::size_t... I, class... A>
    void add(std::index_sequence<I...>, A&&... values) {
        (values_.push_back(to_json<std::tuple_element_t<I, Values>>(
             std::tuple_element_t<I, Values>(std::forward<A>(values)))),
         ...);
    }
    Json::Array values_;
};

/// A registered task: options to set once, typed sends ever after. A handle: copies refer to the
/// same task. Setting options belongs to start-up; sending is thread-safe.
template <class Return, class Values, std::size_t Required>
class Task {
public:
    using Arguments = CallArguments<Values, Required>;

    Task(std::shared_ptr<AppCore> core, TaskDefinition& definition)
        : core_{std::move(core)}, definition_{&definition} {}

    [[nodiscard]] const std::string& name() const noexcept { return definition_->name; }

    /// The queue its calls go to unless the call names one.
    Task& queue(std::string name) {
        definition_->options.queue = std::move(name);
        return *this;
    }
    /// Store no result for its calls.
    Task& ignore_result(bool ignore = true) {
        definition_->options.ignore_result = ignore;
        return *this;
    }

    /// How often a task runs again that asks for it or fails with one of autoretry_for()'s
    /// exceptions; default 3, nothing: without end.
    Task& max_retries(std::optional<std::int64_t> most) {
        retry().max_retries = most;
        return *this;
    }
    /// The wait before a retry that names none; default three minutes.
    Task& default_retry_delay(std::chrono::milliseconds delay) {
        retry().default_retry_delay = delay;
        return *this;
    }
    /// Retries by itself when it throws one of these, or what is derived from them.
    ///
    ///     app.task("fetch", fetch, arg("url")).autoretry_for<ConnectionLost, TimedOut>();
    template <class... E>
        requires(sizeof...(E) > 0)
    Task& autoretry_for() {
        (retry().autoretry_for_types.push_back(&detail::is_thrown<E>), ...);
        return *this;
    }
    /// The same by the Python name the failure has: "ValueError", or a TaskError's own.
    Task& autoretry_for(std::string exc_type) {
        retry().autoretry_for_names.push_back(std::move(exc_type));
        return *this;
    }
    /// Automatic retries wait `factor`, then twice that, and so on.
    /// Celery differs: whole seconds there, any duration here.
    Task& retry_backoff(std::chrono::milliseconds factor = std::chrono::seconds{1}) {
        retry().retry_backoff = factor;
        return *this;
    }
    /// The longest such wait; default ten minutes.
    Task& retry_backoff_max(std::chrono::milliseconds most) {
        retry().retry_backoff_max = most;
        return *this;
    }
    /// Wait a random part of the backoff (the default), or all of it.
    Task& retry_jitter(bool jitter) {
        retry().retry_jitter = jitter;
        return *this;
    }
    /// An attempt is killed and fails after that long. Only a pool of processes can keep it:
    /// another one refuses to start.
    Task& time_limit(std::chrono::milliseconds limit) {
        definition_->options.time_limit = limit;
        return *this;
    }
    /// An attempt is asked to stop after that long, see TaskContext::checkpoint().
    Task& soft_time_limit(std::chrono::milliseconds limit) {
        definition_->options.soft_time_limit = limit;
        return *this;
    }
    /// False: workers send no events of it, even when they send some (`-E`).
    Task& send_events(bool send) {
        definition_->options.send_events = send;
        return *this;
    }
    /// False: acknowledged when it starts, so that it runs at most once. Needs `delivery=celery`.
    Task& acks_late(bool late = true) {
        definition_->options.acks_late = late;
        return *this;
    }
    /// False: the message of a failed attempt is kept in quarantine (`delivery=celery`: rejected).
    Task& acks_on_failure_or_timeout(bool acks) {
        definition_->options.acks_on_failure_or_timeout = acks;
        return *this;
    }
    /// True: runs again when what ran it died; false: it fails with WorkerLostError.
    Task& reject_on_worker_lost(bool reject = true) {
        definition_->options.reject_on_worker_lost = reject;
        return *this;
    }

    /// How many may begin in a time, in each worker: "10/s", "10/m", "10/h"; "0": as many as can,
    /// whatever `task_default_rate_limit` says. Throws LovageError for what is none.
    Task& rate_limit(std::string_view limit) {
        auto parsed = parse_rate_limit(limit);
        if (!parsed) parsed.error().detail = "task '" + name() + "': " + parsed.error().detail;
        definition_->options.rate_limit = value_or_throw(std::move(parsed));
        return *this;
    }

    /// How many may run at a time, in all workers together: Solid Queue's `limits_concurrency`.
    /// One that finds no place waits without taking a slot. Throws LovageError for a number that is
    /// not 1 to 1000, and for a parameter that the task does not have.
    ///
    ///     app.task("sync", sync, arg("account"), arg("full") = false)
    ///         .concurrency_limit(1, per("account"));
    Task& concurrency_limit(std::size_t most, TaskKey key = {}) {
        detail::set_concurrency_limit(*definition_, {most, std::move(key)});
        return *this;
    }
    /// The same by what `key` makes of the arguments. It runs in the worker itself, on its loop: it
    /// must be quick, and a crash in it is the worker's. A call for which it throws is not limited.
    ///
    ///     task.concurrency_limit(4, [](const std::string& url) { return host_of(url); });
    template <class Function>
        requires detail::KeyFunction<Function, Values>
    Task& concurrency_limit(std::size_t most, Function key) {
        TaskKey made;
        made.function = [task = name(), parameters = definition_->parameters,
                         key = std::move(key)](std::span<const Json> values) -> std::string {
            return detail::call_key_function<Values>(
                key, task, parameters, values,
                std::make_index_sequence<std::tuple_size_v<Values>>{});
        };
        return concurrency_limit(most, std::move(made));
    }

    /// A call is not sent while another one like it is there: its sender gets that one's id (see
    /// Sent::duplicate), and a duplicate that reaches a worker all the same ends as REVOKED there.
    /// Throws LovageError for a period that is not positive, for a state that cannot count, and for
    /// a parameter that the task does not have.
    ///
    ///     app.task("report", report, arg("month")).unique();
    ///     app.task("mail", mail, arg("to"), arg("text"))
    ///         .unique({.key = per("to"), .period = 1h, .states = {"PENDING", "SUCCESS"}});
    Task& unique(Unique unique = {}) {
        detail::set_unique(*definition_, std::move(unique));
        return *this;
    }

    /// Sends a call and waits for the broker's confirm. Throws SendError.
    template <class... A>
    AsyncResult<Return> delay(A&&... values) const {
        return apply_async(Arguments{std::forward<A>(values)...});
    }
    /// The same with options: `apply_async({21}, {.countdown = 5s})`.
    AsyncResult<Return> apply_async(Arguments arguments, SendOptions options = {}) const {
        return {core_,
                detail::send_call_blocking(core_, call(std::move(arguments), std::move(options)))};
    }
    /// The coroutine form: never throws for an outcome, always ends by its deadline.
    [[nodiscard]] Awaitable<Sent<Return>> send(Arguments arguments,
                                               SendOptions options = {}) const {
        return typed(core_,
                     detail::send_call(core_, call(std::move(arguments), std::move(options))));
    }

    // Calls as values, see canvas.hpp.

    /// A call with these arguments. In a chain, what comes before goes in front of them.
    template <class... A>
    [[nodiscard]] auto s(A&&... values) const {
        static_assert(sizeof...(A) <= std::tuple_size_v<Values>,
                      "the task has fewer parameters than it is given arguments");
        return Canvas<Return, Takes<Values, Required, detail::Shape<A>...>>{
            core_, signature(detail::json_arguments(std::forward<A>(values)...))};
    }
    /// A call with these arguments and no others: Celery's immutable signature.
    template <class... A>
    [[nodiscard]] Canvas<Return> si(A&&... values) const {
        detail::check_call<Takes<Values, Required>, detail::Shape<A>...>();
        Signature made = signature(detail::json_arguments(std::forward<A>(values)...));
        made.immutable = true;
        return {core_, std::move(made)};
    }
    /// One task that calls this one for each item; returns the list of results.
    template <class Item>
    [[nodiscard]] auto map(const std::vector<Item>& items) const {
        detail::check_call<Takes<Values, Required>, Item>();
        return lovage::map(unbound(), to_json(items));
    }
    /// The same when each item is all arguments of a call.
    template <class... A>
    [[nodiscard]] auto starmap(const std::vector<std::tuple<A...>>& items) const {
        detail::check_call<Takes<Values, Required>, A...>();
        return lovage::starmap(unbound(), rows(items));
    }
    /// starmap() in tasks of `size` items each: a group. See lovage::chunks().
    template <class... A>
    [[nodiscard]] auto chunks(const std::vector<std::tuple<A...>>& items, std::size_t size) const {
        detail::check_call<Takes<Values, Required>, A...>();
        return lovage::chunks(unbound(), rows(items), size);
    }

private:
    Signature signature(Json::Array args) const {
        Signature made;
        made.task = name();
        made.args = Json{std::move(args)};
        return made;
    }
    Canvas<Return> unbound() const { return {core_, signature({})}; }
    template <class... A>
    static Json rows(const std::vector<std::tuple<A...>>& items) {
        Json all = Json::array();
        for (const auto& item : items) {
            all.push_back(Json{std::apply(
                [](const A&... values) { return Json::Array{to_json(values)...}; }, item)});
        }
        return all;
    }

    RetryPolicy& retry() { return definition_->options.retry; }
    detail::Call call(Arguments arguments, SendOptions options) const {
        return {name(), std::move(arguments).take(), Json::object(), std::move(options)};
    }
    static Awaitable<Sent<Return>> typed(std::shared_ptr<AppCore> core,
                                         Awaitable<Sent<Json>> sending) {
        Sent<Json> sent = co_await std::move(sending);
        co_return Sent<Return>{sent.outcome, AsyncResult<Return>{std::move(core), sent.result.id()},
                               std::move(sent.error), sent.duplicate};
    }

    std::shared_ptr<AppCore> core_;
    TaskDefinition* definition_;
};

}  // namespace lovage
