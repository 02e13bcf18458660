#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <lovage/app/async_result.hpp>
#include <lovage/app/canvas_send.hpp>
#include <lovage/app/fits.hpp>
#include <lovage/app/group_result.hpp>
#include <lovage/app/send_options.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/compose.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/signature.hpp>

/// Celery's canvas: calls as values, joined to workflows.
///
///     auto work = add.s(1, 2) | multiply.s(10);                         // a chain
///     auto sums = group({add.s(1, 1), add.s(2, 2)}) | total.s();        // a chord
///     std::int64_t value = work.delay().get(10s);
///
/// The compiler checks that what a step returns fits the first argument of the next one; what it
/// cannot know (`app.signature("python.task", 1)`) the workers check. Everything here is a value:
/// functions return changed copies. A copy may be used on any thread.
namespace lovage {

// ---- What a canvas takes

/// Unchecked: somebody else knows the parameters, or nothing is taken (`si`).
struct TakesAnything {
    template <class... Front>
    static constexpr bool kCountFits = true;
    template <class... Front>
    static constexpr bool kTypesFit = true;
    template <class... Front>
    using After = TakesAnything;
};

/// A task's parameters, of which `Given` are given already. What comes from elsewhere goes in
/// front, as in Celery.
template <class Values, std::size_t Required, class... Given>
struct Takes {
    template <class... Front>
    static constexpr bool kCountFits =
        sizeof...(Front) + sizeof...(Given) >= Required &&
        sizeof...(Front) + sizeof...(Given) <= std::tuple_size_v<Values>;
    template <class... Front>
    static constexpr bool kTypesFit = detail::arguments_fit<Values, 0, Front..., Given...>();
    template <class... Front>
    using After = Takes<Values, Required, Front..., Given...>;
};

/// What every member of a group takes.
template <class... Starts>
struct AllTake {
    template <class... Front>
    static constexpr bool kCountFits = (true && ... && Starts::template kCountFits<Front...>);
    template <class... Front>
    static constexpr bool kTypesFit = (true && ... && Starts::template kTypesFit<Front...>);
    template <class... Front>
    using After = AllTake<typename Starts::template After<Front...>...>;
};

namespace detail {

/// A step that follows one which returns a Value.
template <class Value, class Start>
consteval void check_step() {
    static_assert(Start::template kCountFits<Value>,
                  "canvas: the next task is given too few or too many arguments. It takes the "
                  "result before it as its first one, and those of .s() after that; .si() takes "
                  "no result");
    if constexpr (Start::template kCountFits<Value>) {
        static_assert(Start::template kTypesFit<Value>,
                      "canvas: what the task returns does not fit the first argument of the next "
                      "one, or an argument of .s() does not fit the one it becomes. .si() takes "
                      "no result; .unchecked() leaves the check to the worker");
    }
}

/// A call with these in front.
template <class Start, class... Front>
consteval void check_call() {
    static_assert(Start::template kCountFits<Front...>,
                  "canvas: the first task is given too few or too many arguments");
    if constexpr (Start::template kCountFits<Front...>) {
        static_assert(Start::template kTypesFit<Front...>,
                      "canvas: an argument does not fit the task's parameter");
    }
}

template <class... A>
Json::Array json_arguments(A&&... values) {
    Json::Array all;
    all.reserve(sizeof...(A));
    (all.push_back(to_json<Kept<A>>(Kept<A>(std::forward<A>(values)))), ...);
    return all;
}

}  // namespace detail

/// What all canvases are: a signature, and the app that sends it.
class CanvasBase {
public:
    CanvasBase(std::shared_ptr<AppCore> core, Signature signature)
        : core_{std::move(core)}, signature_{std::move(signature)} {}

    /// The signature inside, which is also what a task takes to replace itself by.
    [[nodiscard]] const Signature& signature() const noexcept { return signature_; }
    operator const Signature&() const noexcept { return signature_; }
    /// Celery's dictionary; App::signature_from() is the way back.
    [[nodiscard]] Json to_dict() const { return encode_signature(signature_); }

    [[nodiscard]] const std::shared_ptr<AppCore>& core() const noexcept { return core_; }

private:
    std::shared_ptr<AppCore> core_;
    Signature signature_;
};

template <class C>
concept AnyCanvas = std::derived_from<C, CanvasBase>;

/// What canvases of every kind can do; `Self<Start>` is one that takes another beginning.
template <class Value, class Start, template <class> class Self, bool CallbackTakesValue>
class CanvasOperations : public CanvasBase {
public:
    using CanvasBase::CanvasBase;

    /// The same with options of its own: `multiply.s(2).set({.queue = "slow"})`. Throws LovageError
    /// for options that cannot be.
    [[nodiscard]] Self<Start> set(const SendOptions& options) const {
        Signature changed = signature();
        detail::set_options(changed, options);
        return {core(), std::move(changed)};
    }
    /// The same with `values` in front of the arguments it begins with.
    template <class... A>
    [[nodiscard]] auto partial(A&&... values) const {
        Signature changed = signature();
        value_or_throw(prepend_args(changed, detail::json_arguments(std::forward<A>(values)...)));
        return Self<typename Start::template After<detail::Shape<A>...>>{core(),
                                                                         std::move(changed)};
    }
    /// The same with stamps on every task in it, callbacks and errbacks included:
    /// `work.stamp({{"order", "o-17"}})`; see SendOptions::stamps. Throws LovageError for a name
    /// that cannot be one.
    [[nodiscard]] Self<Start> stamp(const Json::Object& stamps) const {
        Signature changed = signature();
        value_or_throw(add_stamps(changed, Json{stamps}));
        return {core(), std::move(changed)};
    }
    /// Calls `callback` with the result when it succeeds; see add_link() about groups.
    template <AnyCanvas C>
    [[nodiscard]] Self<Start> link(const C& callback) const {
        if constexpr (CallbackTakesValue) C::template check_follows<Value>();
        Signature changed = signature();
        value_or_throw(add_link(changed, callback.signature()));
        return {core(), std::move(changed)};
    }
    /// Calls `errback` when it fails: with the id of what failed, or, when the task is known to the
    /// worker and has three parameters, with request, exception and traceback.
    [[nodiscard]] Self<Start> link_error(const CanvasBase& errback) const {
        Signature changed = signature();
        value_or_throw(add_errback(changed, errback.signature()));
        return {core(), std::move(changed)};
    }

    /// Checks, at compile time, that this can follow what returns a `Before`.
    template <class Before>
    static consteval void check_follows() {
        detail::check_step<Before, Start>();
    }
};

// ---- The two kinds

/// A canvas with one result, an R: a call of a task, a chain, a chord.
template <class R = Json, class Start = TakesAnything>
class Canvas;
/// A canvas that ends in a group whose members return a T.
template <class T = Json, class Start = TakesAnything>
class Group;

namespace detail {
template <class R>
struct CanvasOf {
    template <class Start>
    using With = Canvas<R, Start>;
};
template <class T>
struct GroupOf {
    template <class Start>
    using With = Group<T, Start>;
};
template <class T>
using GroupValue = std::vector<std::conditional_t<std::is_void_v<T>, Json, T>>;
}  // namespace detail

template <class R, class Start>
class Canvas : public CanvasOperations<R, Start, detail::CanvasOf<R>::template With, true> {
    using Base = CanvasOperations<R, Start, detail::CanvasOf<R>::template With, true>;

public:
    using Base::Base;
    using Value = R;
    using Beginning = Start;
    template <class Other>
    using Rebind = Canvas<R, Other>;

    /// Forgets what it takes, and, for a Canvas<>, what it returns: a `std::vector<Canvas<R>>`
    /// holds calls of different tasks. From here on the workers check.
    template <class Other, class OtherStart>
        requires(std::same_as<Start, TakesAnything> &&
                 (std::same_as<R, Other> || std::same_as<R, Json>) &&
                 !(std::same_as<R, Other> && std::same_as<Start, OtherStart>))
    Canvas(const Canvas<Other, OtherStart>& other) : Base{other.core(), other.signature()} {}

    /// The same, with nothing known of its arguments and result.
    [[nodiscard]] Canvas<> unchecked() const { return {this->core(), this->signature()}; }
    /// The same with an argument by name, which the compiler does not check.
    [[nodiscard]] Canvas<R> kwarg(std::string_view name, Json value) const {
        Signature changed = this->signature();
        Json kwargs = value_or_throw(changed.kwargs.expanded());
        kwargs.set(name, std::move(value));
        changed.kwargs = std::move(kwargs);
        return {this->core(), std::move(changed)};
    }

    /// The same, taking nothing of what comes before it.
    [[nodiscard]] Canvas<R> immutable() const {
        Signature changed = this->signature();
        changed.immutable = true;
        return {this->core(), std::move(changed)};
    }

    /// Sends it, `values` in front of the arguments it begins with. Throws SendError.
    template <class... A>
    AsyncResult<R> delay(A&&... values) const {
        detail::check_call<Start, detail::Shape<A>...>();
        return this->partial(std::forward<A>(values)...).apply_async();
    }
    /// The same with options. `task_id` becomes the id of its last task, and those of all others
    /// are made of it: sending again with it sends the same messages.
    AsyncResult<R> apply_async(SendOptions options = {}) const {
        detail::check_call<Start>();
        return result_of(this->core(), detail::send_canvas_blocking(this->core(), this->signature(),
                                                                    std::move(options)));
    }
    /// The coroutine form: never throws for an outcome, ends by its deadline; see
    /// detail::send_canvas().
    [[nodiscard]] Awaitable<Sent<R>> send(SendOptions options = {}) const {
        detail::check_call<Start>();
        return typed(this->core(),
                     detail::send_canvas(this->core(), this->signature(), std::move(options)));
    }

private:
    static AsyncResult<R> result_of(const std::shared_ptr<AppCore>& core, const Json& result) {
        return {core, value_or_throw(detail::id_of_result(result))};
    }
    static Awaitable<Sent<R>> typed(std::shared_ptr<AppCore> core,
                                    Awaitable<detail::SentCanvas> sending) {
        detail::SentCanvas sent = co_await std::move(sending);
        // What was refused before it had ids is known by the one it would have had.
        std::string id =
            sent.result.is_null() ? sent.id : value_or_throw(detail::id_of_result(sent.result));
        AsyncResult<R> result{std::move(core), std::move(id)};
        co_return Sent<R>{sent.outcome, std::move(result), std::move(sent.error), false};
    }
};

template <class T, class Start>
class Group : public CanvasOperations<detail::GroupValue<T>, Start,
                                      detail::GroupOf<T>::template With, false> {
    using Base =
        CanvasOperations<detail::GroupValue<T>, Start, detail::GroupOf<T>::template With, false>;

public:
    using Base::Base;
    using Value = detail::GroupValue<T>;
    using Beginning = Start;
    template <class Other>
    using Rebind = Group<T, Other>;

    /// Sends every member, `values` in front of its arguments. Throws SendError.
    template <class... A>
    GroupResult<T> delay(A&&... values) const {
        detail::check_call<Start, detail::Shape<A>...>();
        return this->partial(std::forward<A>(values)...).apply_async();
    }
    /// The same with options. `task_id` becomes the group's id, and those of all members are made
    /// of it.
    GroupResult<T> apply_async(SendOptions options = {}) const {
        detail::check_call<Start>();
        return {this->core(),
                detail::send_canvas_blocking(this->core(), this->signature(), std::move(options))};
    }
    /// The coroutine form, as Canvas::send().
    [[nodiscard]] Awaitable<SentGroup<T>> send(SendOptions options = {}) const {
        detail::check_call<Start>();
        return typed(this->core(),
                     detail::send_canvas(this->core(), this->signature(), std::move(options)));
    }

private:
    static Awaitable<SentGroup<T>> typed(std::shared_ptr<AppCore> core,
                                         Awaitable<detail::SentCanvas> sending) {
        detail::SentCanvas sent = co_await std::move(sending);
        GroupResult<T> result = sent.result.is_null()
                                    ? GroupResult<T>{std::move(core), sent.id, {}}
                                    : GroupResult<T>{std::move(core), sent.result};
        co_return SentGroup<T>{sent.outcome, std::move(result), std::move(sent.error),
                               std::move(sent.id)};
    }
};

// ---- Joining

/// `left | right`: what the left one returns is the right one's first argument. Celery's rules: a
/// group that something follows becomes a chord, whose body gets the list of results; chains in
/// chains are opened; what follows a chord follows its body; a group of one that follows something
/// is that one. Throws LovageError for what is too large (kCanvasMembersMax, kCanvasDepthMax).
template <AnyCanvas Left, AnyCanvas Right>
[[nodiscard]] auto operator|(const Left& left, const Right& right) {
    Right::template check_follows<typename Left::Value>();
    return typename Right::template Rebind<typename Left::Beginning>{
        left.core(), value_or_throw(chain_of({left.signature(), right.signature()}))};
}

/// `first | next | …`.
template <AnyCanvas First, AnyCanvas... Rest>
[[nodiscard]] auto chain(const First& first, const Rest&... rest) {
    return (first | ... | rest);
}
/// A chain whose steps are known when it runs; unchecked. Throws LovageError when there are none.
template <class R, class Start>
[[nodiscard]] Canvas<R> chain(const std::vector<Canvas<R, Start>>& steps) {
    std::vector<Signature> signatures;
    signatures.reserve(steps.size());
    for (const auto& step : steps) signatures.push_back(step.signature());
    Signature made = value_or_throw(chain_of(std::move(signatures)));
    return {steps.front().core(), std::move(made)};
}

namespace detail {
/// What a member adds to a group's results. Of a group in a group each member is one of the outer
/// group's, unless it is the end of a chain: that is not known here.
template <class C>
struct MemberValueOf;
template <class R, class Start>
struct MemberValueOf<Canvas<R, Start>> {
    using Type = R;
};
template <class T, class Start>
struct MemberValueOf<Group<T, Start>> {
    using Type = Json;
};
template <class C>
using MemberValue = typename MemberValueOf<C>::Type;

template <class First, class... Rest>
using CommonValue =
    std::conditional_t<(true && ... && std::same_as<MemberValue<First>, MemberValue<Rest>>),
                       MemberValue<First>, Json>;
}  // namespace detail

/// Members that run at the same time. Their results are of one type when they all are, else Json. A
/// group in a group is opened.
template <AnyCanvas First, AnyCanvas... Rest>
[[nodiscard]] auto group(const First& first, const Rest&... rest) {
    using Start = AllTake<typename First::Beginning, typename Rest::Beginning...>;
    return Group<detail::CommonValue<First, Rest...>, Start>{
        first.core(), make_group({first.signature(), rest.signature()...})};
}
/// Members whose number is known when it runs. There must be one: an empty group has no app.
/// Throws LovageError.
template <class R, class Start>
[[nodiscard]] Group<R, Start> group(const std::vector<Canvas<R, Start>>& members) {
    if (members.empty()) {
        throw LovageError{Error{Errc::invalid_argument, "a group of nothing"}};
    }
    std::vector<Signature> signatures;
    signatures.reserve(members.size());
    for (const auto& member : members) signatures.push_back(member.signature());
    return {members.front().core(), make_group(signatures)};
}
template <class R, class Start>
[[nodiscard]] Group<R, Start> group(std::initializer_list<Canvas<R, Start>> members) {
    return group(std::vector<Canvas<R, Start>>(members));
}

/// `body` is called with the list of the results of `header`; at once, and with an empty list, when
/// that has no members.
template <class T, class Start, AnyCanvas Body>
[[nodiscard]] auto chord(const Group<T, Start>& header, const Body& body) {
    Body::template check_follows<typename Group<T, Start>::Value>();
    return typename Body::template Rebind<Start>{header.core(),
                                                 make_chord(header.signature(), body.signature())};
}
template <class R, class Start, AnyCanvas Body>
[[nodiscard]] auto chord(const std::vector<Canvas<R, Start>>& header, const Body& body) {
    // The app, which a group of nothing has not, is the body's.
    if (header.empty()) return chord(Group<R, Start>{body.core(), make_group({})}, body);
    return chord(group(header), body);
}
template <class R, class Start, AnyCanvas Body>
[[nodiscard]] auto chord(std::initializer_list<Canvas<R, Start>> header, const Body& body) {
    return chord(group(header), body);
}

/// The same when it ends in a group, which only a dictionary can hide from the compiler.
[[nodiscard]] inline Group<> as_group(const CanvasBase& canvas) {
    return {canvas.core(), canvas.signature()};
}

// ---- One task over many items

/// One task that calls `task` for each of `items`, a list, and returns the list of results; the
/// arguments and options of `task` do not count. The worker that runs it must have `task`.
template <class R, class Start>
[[nodiscard]] Canvas<detail::GroupValue<R>> map(const Canvas<R, Start>& task, Json items) {
    return {task.core(), make_map(task.signature(), std::move(items), false)};
}
/// The same when each item is a list of arguments.
template <class R, class Start>
[[nodiscard]] Canvas<detail::GroupValue<R>> starmap(const Canvas<R, Start>& task, Json items) {
    return {task.core(), make_map(task.signature(), std::move(items), true)};
}
/// starmap() in tasks of `size` items each: a group of them, which is empty when there are no
/// items. Throws LovageError when `size` is 0.
///
/// Celery differs: in a chain it sends a task that starts the group and is over before it.
template <class R, class Start>
[[nodiscard]] Group<detail::GroupValue<R>> chunks(const Canvas<R, Start>& task, Json items,
                                                  std::size_t size) {
    if (size == 0) throw LovageError{Error{Errc::invalid_argument, "chunks of no items"}};
    return {task.core(),
            value_or_throw(group_of_chunks(
                make_chunks(task.signature(), std::move(items), static_cast<std::int64_t>(size))))};
}

}  // namespace lovage
