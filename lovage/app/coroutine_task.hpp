#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/task_function.hpp>

/// Tasks that are coroutines: functions that return Awaitable<R>.
namespace lovage {

/// What TaskDefinition::coroutine points to.
struct CoroutineBody {
    /// Runs the coroutine with one value a parameter, in order. Throws what it throws, and
    /// ArgumentError when a value does not fit. Lifetime: the body and the context must outlive
    /// the returned Awaitable.
    std::function<Awaitable<Json>(TaskContext& context, std::vector<Json> values)> run;
};

namespace detail {

template <class T>
struct AwaitedTraits {
    static constexpr bool kIsAwaitable = false;
    using Value = T;
};
template <class T>
struct AwaitedTraits<Awaitable<T>> {
    static constexpr bool kIsAwaitable = true;
    using Value = T;
};

/// What a coroutine needs for as long as it runs.
template <class F>
struct CoroutineTask {
    F function;
    std::string name;
    std::vector<Parameter> parameters;
};

template <class F, class Signature, std::size_t... I>
Awaitable<Json> call_coroutine(std::shared_ptr<CoroutineTask<F>> task, TaskContext* context,
                               std::vector<Json> values, std::index_sequence<I...>) {
    // Kept here, so that parameters may be references.
    typename Signature::Values converted{
        convert_argument<std::tuple_element_t<I, typename Signature::Values>>(
            task->name, task->parameters[I], values[I])...};
    const auto invoke = [&]() {
        if constexpr (Signature::Caller::kBound) {
            return std::invoke(task->function, *context, std::move(std::get<I>(converted))...);
        } else {
            return std::invoke(task->function, std::move(std::get<I>(converted))...);
        }
    };
    if constexpr (std::is_void_v<typename AwaitedTraits<decltype(invoke())>::Value>) {
        co_await invoke();
        co_return Json{};
    } else {
        co_return to_json(co_await invoke());
    }
}

}  // namespace detail

/// A function that returns an Awaitable.
template <class F>
concept CoroutineFunction = detail::AwaitedTraits<typename TaskSignature<F>::Return>::kIsAwaitable;

/// What a caller of the task gets: a coroutine's value.
template <class F>
using TaskValue = typename detail::AwaitedTraits<typename TaskSignature<F>::Return>::Value;

/// Makes the definition behind a coroutine function; parameters are named as for plain ones.
template <CoroutineFunction F, class... Args>
[[nodiscard]] TaskDefinition make_coroutine_definition(std::string name, F&& function,
                                                       const Args&... args) {
    using Signature = TaskSignature<F>;
    using Function = std::decay_t<F>;
    TaskDefinition definition = detail::describe_task<Signature>(std::move(name), args...);
    auto task = std::make_shared<detail::CoroutineTask<Function>>(
        Function(std::forward<F>(function)), definition.name, definition.parameters);
    definition.coroutine = std::make_shared<CoroutineBody>(
        CoroutineBody{[task](TaskContext& context, std::vector<Json> values) {
            return detail::call_coroutine<Function, Signature>(
                task, &context, std::move(values), std::make_index_sequence<Signature::kCount>{});
        }});
    return definition;
}

}  // namespace lovage
