#pragma once

#include <concepts>
#include <expected>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lovage/awaitable.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/error.hpp>
#include <lovage/http/input.hpp>
#include <lovage/http/params.hpp>
#include <lovage/http/request.hpp>
#include <lovage/http/response.hpp>

namespace lovage::http {

/// The request itself, for a handler that takes it as its first parameter. Valid until the handler
/// ends; a small value, so that coroutines can take it.
class RequestRef {
public:
    explicit RequestRef(const Request& request) noexcept : request_{&request} {}
    const Request& operator*() const noexcept { return *request_; }
    const Request* operator->() const noexcept { return request_; }

private:
    const Request* request_;
};

/// Answers an expected failure as a status: not_found 404, conflict and already_exists 409,
/// too_large 413, disconnected and unavailable 503 with Retry-After, deadline_exceeded 504,
/// everything else 500.
[[nodiscard]] Response error_response(const Error& error);

/// A handler with its types erased.
struct Handler {
    enum class Kind : std::uint8_t {
        immediate,  ///< Runs on the loop and does not block.
        blocking,   ///< Runs on the blocking pool.
        coroutine,  ///< Runs on the loop and suspends.
    };
    Kind kind = Kind::immediate;
    /// Of immediate and blocking handlers.
    std::function<void(Input&, Response&)> call;
    /// Of coroutines. Lifetime: both must outlive the Awaitable.
    std::function<Awaitable<void>(Input*, Response*)> start;
};

namespace detail {

template <class T>
struct Awaited {
    using type = T;
    static constexpr bool kIsAwaitable = false;
};
template <class T>
struct Awaited<Awaitable<T>> {
    using type = T;
    static constexpr bool kIsAwaitable = true;
};

template <class T>
struct Expected {
    using type = T;
};
template <class T, class E>
struct Expected<std::expected<T, E>> {
    using type = T;
};

template <bool WithRequest, class F, class... Values>
struct ResultOf {
    using type = std::invoke_result_t<F&, Values...>;
};
template <class F, class... Values>
struct ResultOf<true, F, Values...> {
    using type = std::invoke_result_t<F&, RequestRef, Values...>;
};

void set_json(Response& response, const Json& value);

inline void answer(Response& out, Response value) {
    out = std::move(value);
}
inline void answer(Response& out, const HttpError& error) {
    out = error.response();
}
inline void answer(Response& out, const Error& error) {
    out = error_response(error);
}
template <class T>
void answer(Response& out, const T& value) {
    set_json(out, to_json(value));
}
template <class T, class E>
void answer(Response& out, std::expected<T, E> value) {
    if (!value) {
        answer(out, std::move(value.error()));
    } else if constexpr (std::is_void_v<T>) {
        set_json(out, Json{});
    } else {
        answer(out, *std::move(value));
    }
}

/// The values of all parameters; every one is read, so that all that is wrong is reported.
template <class... Params>
auto read_all(const std::tuple<Params...>& params, Input& input) {
    return std::apply(
        [&input](const auto&... param) {
            // Braces: read in order.
            return std::tuple<std::optional<typename Params::Value>...>{param.read(input)...};
        },
        params);
}

template <class F, class... Params>
class Binding {
public:
    static constexpr bool kWithRequest =
        std::is_invocable_v<F&, RequestRef, typename Params::Value...>;
    static_assert(kWithRequest || std::is_invocable_v<F&, typename Params::Value...>,
                  "a handler takes the values of its declared parameters in their order, "
                  "optionally after a RequestRef");
    using Raw = typename ResultOf<kWithRequest, F, typename Params::Value...>::type;
    using Returned = typename Awaited<Raw>::type;
    /// What the reply's schema is made from.
    using Documented = typename Expected<Returned>::type;
    static constexpr bool kCoroutine = Awaited<Raw>::kIsAwaitable;

    Binding(F function, Params... params)
        : function_{std::move(function)}, params_{std::move(params)...} {}

    void call(Input& input, Response& out) {
        auto values = read_all(params_, input);
        if (input.failed()) return answer(out, input.error_response());
        if constexpr (std::is_void_v<Returned>) {
            invoke(input, values);
            set_json(out, Json{});
        } else {
            answer(out, invoke(input, values));
        }
    }

    static Awaitable<void> start(Binding* self, Input* input, Response* out) {
        auto values = read_all(self->params_, *input);
        if (input->failed()) {
            answer(*out, input->error_response());
            co_return;
        }
        if constexpr (std::is_void_v<Returned>) {
            co_await self->invoke(*input, values);
            set_json(*out, Json{});
        } else {
            answer(*out, co_await self->invoke(*input, values));
        }
    }

private:
    template <class Values>
    Raw invoke(Input& input, Values& values) {
        return std::apply(
            [&](auto&... value) -> Raw {
                if constexpr (kWithRequest) {
                    return std::invoke(function_, RequestRef{input.request()},
                                       *std::move(value)...);
                } else {
                    return std::invoke(function_, *std::move(value)...);
                }
            },
            values);
    }

    F function_;
    std::tuple<Params...> params_;
};

}  // namespace detail

}  // namespace lovage::http
