#pragma once

#include <concepts>
#include <functional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lovage/core/convert.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_error.hpp>

/// Turns plain C++ functions into tasks: the types of the parameters come from the function, their
/// names and defaults from arg().
namespace lovage {

/// A parameter's name with its default value; made by `arg("name") = value`.
template <class T>
struct ArgWithDefault {
    std::string name;
    T value;
};

/// A parameter's name; made by arg("name").
struct Arg {
    std::string name;

    /// The value a caller gets who leaves the argument out.
    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, Arg>)
    ArgWithDefault<std::decay_t<T>> operator=(T&& value) && {
        return {std::move(name), std::forward<T>(value)};
    }
};

/// Names the next parameter of a task: `app.task("f", f, arg("x"), arg("y") = 2)`.
[[nodiscard]] inline Arg arg(std::string name) {
    return Arg{std::move(name)};
}

namespace detail {

template <class F>
struct FunctionTraits : FunctionTraits<decltype(&std::decay_t<F>::operator())> {};
template <class R, class... A>
struct FunctionTraits<R (*)(A...)> {
    using Return = R;
    using Arguments = std::tuple<A...>;
};
template <class R, class... A>
struct FunctionTraits<R (*)(A...) noexcept> : FunctionTraits<R (*)(A...)> {};
template <class C, class R, class... A>
struct FunctionTraits<R (C::*)(A...)> : FunctionTraits<R (*)(A...)> {};
template <class C, class R, class... A>
struct FunctionTraits<R (C::*)(A...) const> : FunctionTraits<R (*)(A...)> {};
template <class C, class R, class... A>
struct FunctionTraits<R (C::*)(A...) const noexcept> : FunctionTraits<R (*)(A...)> {};
template <class R, class... A>
struct FunctionTraits<R(A...)> : FunctionTraits<R (*)(A...)> {};

/// The parameters a caller sees: without a leading TaskContext&, as plain values.
template <class Tuple>
struct CallerArguments;
template <class... A>
struct CallerArguments<std::tuple<A...>> {
    static constexpr bool kBound = false;
    using Values = std::tuple<std::remove_cvref_t<A>...>;
};
template <class... A>
struct CallerArguments<std::tuple<TaskContext&, A...>> {
    static constexpr bool kBound = true;
    using Values = std::tuple<std::remove_cvref_t<A>...>;
};

template <class T>
T convert_argument(const std::string& task, const Parameter& parameter, const Json& value) {
    auto converted = from_json<T>(value, ConversionMode::strict);
    if (converted) return std::move(*converted);
    std::string message = task + "() ";
    bool first = true;
    for (JsonIssue& issue : converted.error()) {
        issue.loc.insert(issue.loc.begin(), parameter.name);
        if (!first) message += "; ";
        first = false;
        message += "argument " + describe_issue(issue);
    }
    throw ArgumentError{message};
}

template <class T>
Parameter describe_parameter(const Arg& named) {
    return {named.name, JsonConverter<T>::type_name(), std::nullopt};
}
template <class T, class D>
    requires std::constructible_from<T, const D&>
Parameter describe_parameter(const ArgWithDefault<D>& named) {
    return {named.name, JsonConverter<T>::type_name(), to_json(T(named.value))};
}

template <class T>
inline constexpr bool kHasDefault = false;
template <class T>
inline constexpr bool kHasDefault<ArgWithDefault<T>> = true;

template <class Function, class Values, bool Bound, std::size_t... I>
Json call_with(Function& function, TaskContext& context, const std::string& task,
               const std::vector<Parameter>& parameters, std::span<const Json> values,
               std::index_sequence<I...>) {
    // Braces: the arguments are converted left to right, so the first bad one is the one reported.
    Values converted{
        convert_argument<std::tuple_element_t<I, Values>>(task, parameters[I], values[I])...};
    const auto invoke = [&]() -> decltype(auto) {
        if constexpr (Bound) {
            return std::invoke(function, context, std::move(std::get<I>(converted))...);
        } else {
            return std::invoke(function, std::move(std::get<I>(converted))...);
        }
    };
    if constexpr (std::is_void_v<decltype(invoke())>) {
        invoke();
        return Json{};
    } else {
        return to_json(invoke());
    }
}

}  // namespace detail

/// The signature a caller sees, as types: `TaskSignature<R(A...)>`; used by typed handles.
template <class F>
struct TaskSignature {
    using Traits = detail::FunctionTraits<std::decay_t<F>>;
    using Caller = detail::CallerArguments<typename Traits::Arguments>;
    using Return = std::remove_cvref_t<typename Traits::Return>;
    using Values = typename Caller::Values;
    static constexpr std::size_t kCount = std::tuple_size_v<Values>;
};

namespace detail {

/// A definition with everything but the function.
template <class Signature, class... Args>
TaskDefinition describe_task(std::string name, const Args&... args) {
    static_assert(
        sizeof...(Args) == Signature::kCount,
        "name every parameter of the task once: app.task(\"name\", function, arg(\"x\"), …); a "
        "leading TaskContext& is not named");
    TaskDefinition task;
    task.name = std::move(name);
    task.bound = Signature::Caller::kBound;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (task.parameters.push_back(
             describe_parameter<std::tuple_element_t<I, typename Signature::Values>>(args)),
         ...);
    }(std::make_index_sequence<Signature::kCount>{});
    return task;
}

}  // namespace detail

/// Makes the definition behind a plain function, function object or lambda. One Arg a parameter
/// (without the TaskContext&), in order.
template <class F, class... Args>
[[nodiscard]] TaskDefinition make_task_definition(std::string name, F&& function,
                                                  const Args&... args) {
    using Signature = TaskSignature<F>;
    using Values = typename Signature::Values;
    constexpr bool kBound = Signature::Caller::kBound;
    TaskDefinition task = detail::describe_task<Signature>(std::move(name), args...);
    task.run = [function = std::decay_t<F>(std::forward<F>(function)), task_name = task.name,
                parameters = task.parameters](TaskContext& context,
                                              std::span<const Json> values) mutable -> Json {
        return detail::call_with<std::decay_t<F>, Values, kBound>(
            function, context, task_name, parameters, values,
            std::make_index_sequence<Signature::kCount>{});
    };
    return task;
}

}  // namespace lovage
