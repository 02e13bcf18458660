#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lovage/core/convert.hpp>
#include <lovage/core/json.hpp>

/// What the compiler knows of whether a value of one task fits the parameter of another, when it
/// has travelled as JSON between them.
namespace lovage::detail {

template <class T>
concept MapLike = std::ranges::range<T> && requires { typename T::mapped_type; };
template <class T>
concept ListLike =
    std::ranges::range<T> && !MapLike<T> && !std::convertible_to<const T&, std::string_view>;

/// Every value of `From` can be a `To`, as far as types tell: numbers may still be out of range.
/// Json is unchecked, on either side; void arrives as null.
template <class From, class To>
consteval bool fits() {
    if constexpr (std::same_as<From, To> || std::same_as<From, Json> || std::same_as<To, Json>) {
        return true;
    } else if constexpr (std::is_void_v<From>) {
        return kIsOptional<To>;
    } else if constexpr (kIsOptional<To>) {
        if constexpr (kIsOptional<From>) {
            return fits<typename From::value_type, typename To::value_type>();
        } else {
            return fits<From, typename To::value_type>();
        }
    } else if constexpr (std::same_as<From, bool> || std::same_as<To, bool>) {
        return false;
    } else if constexpr (std::is_arithmetic_v<From> && std::is_arithmetic_v<To>) {
        return std::floating_point<To> || std::integral<From>;
    } else if constexpr (MapLike<From> && MapLike<To>) {
        return fits<typename From::mapped_type, typename To::mapped_type>();
    } else if constexpr (ListLike<From> && ListLike<To>) {
        return fits<std::ranges::range_value_t<From>, std::ranges::range_value_t<To>>();
    } else {
        return std::is_convertible_v<From, To>;
    }
}

/// Arguments of types `Given` fit the parameters from number `First` on.
template <class Values, std::size_t First, class... Given>
consteval bool arguments_fit() {
    if constexpr (First + sizeof...(Given) > std::tuple_size_v<Values>) {
        return false;
    } else {
        return []<std::size_t... I>(std::index_sequence<I...>) {
            return (true && ... && fits<Given, std::tuple_element_t<First + I, Values>>());
        }(std::index_sequence_for<Given...>{});
    }
}

/// What an argument is kept as: text owns its characters, `nullptr` is null.
template <class A>
using Kept = std::conditional_t<
    std::same_as<std::decay_t<A>, std::nullptr_t>, Json,
    std::conditional_t<std::convertible_to<A, std::string_view>, std::string, std::decay_t<A>>>;

/// Its type as far as fitting goes: one for all integers, so that calls with different ones are of
/// one type.
template <class A>
using Shape =
    std::conditional_t<std::integral<Kept<A>> && !std::same_as<Kept<A>, bool>, std::int64_t,
                       std::conditional_t<std::floating_point<Kept<A>>, double, Kept<A>>>;

}  // namespace lovage::detail
