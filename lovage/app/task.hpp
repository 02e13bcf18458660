#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include <lovage/app/async_result.hpp>
#include <lovage/app/send_options.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/task_definition.hpp>

namespace lovage {

namespace detail {
/// One call, ready to be sent.
struct Call {
    std::string task;
    Json args = Json::array();
    Json kwargs = Json::object();
    SendOptions options;
};
[[nodiscard]] Awaitable<Sent<Json>> send_call(const std::shared_ptr<AppCore>& core, Call call);
/// Throws SendError; returns the id.
std::string send_call_blocking(const std::shared_ptr<AppCore>& core, Call call);
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

private:
    detail::Call call(Arguments arguments, SendOptions options) const {
        return {name(), std::move(arguments).take(), Json::object(), std::move(options)};
    }
    static Awaitable<Sent<Return>> typed(std::shared_ptr<AppCore> core,
                                         Awaitable<Sent<Json>> sending) {
        Sent<Json> sent = co_await std::move(sending);
        co_return Sent<Return>{sent.outcome, AsyncResult<Return>{std::move(core), sent.result.id()},
                               std::move(sent.error)};
    }

    std::shared_ptr<AppCore> core_;
    TaskDefinition* definition_;
};

}  // namespace lovage
