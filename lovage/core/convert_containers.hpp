#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lovage/core/conversion.hpp>

/// Converters of values made of others: optional, lists, tuples, string-keyed maps.
namespace lovage {

namespace detail {

/// The items of a list; reports `list_type` or `tuple_type` and gives nullptr for anything else.
[[nodiscard]] const Json::Array* read_list(const Json& value, std::string expected,
                                           ConversionContext& context);
[[nodiscard]] const Json::Array* read_tuple(const Json& value, std::string expected,
                                            ConversionContext& context);
/// The members of a map; reports `dict_type` and gives nullptr for anything else.
[[nodiscard]] const Json::Object* read_map(const Json& value, std::string expected,
                                           ConversionContext& context);
/// Reports `too_short` or `too_long` when `value` has not exactly `wanted` items.
[[nodiscard]] bool has_length(const Json& value, std::size_t wanted, std::string expected,
                              ConversionContext& context);
/// Reports `too_long` when a tuple has more than `wanted` items.
[[nodiscard]] bool fits_tuple(const Json& value, std::size_t wanted, std::string expected,
                              ConversionContext& context);

[[nodiscard]] Json nullable_schema(Json schema);
[[nodiscard]] Json list_schema(Json items);
[[nodiscard]] Json array_schema(Json items, std::size_t length);
[[nodiscard]] Json tuple_schema(Json::Array items);
[[nodiscard]] Json map_schema(Json values);
[[nodiscard]] std::string tuple_type_name(const std::vector<std::string>& items);

}  // namespace detail

/// null is nothing.
template <class T>
struct JsonConverter<std::optional<T>> {
    static void read(const Json& value, std::optional<T>& out, ConversionContext& context) {
        if (value.is_null()) {
            out.reset();
        } else {
            read_json(value, out.emplace(), context);
        }
    }
    static Json write(const std::optional<T>& value) { return value ? to_json(*value) : Json{}; }
    static Json schema(SchemaDefinitions& definitions) {
        return detail::nullable_schema(json_schema<T>(definitions));
    }
    static std::string type_name() { return JsonConverter<T>::type_name() + " or None"; }
};

template <class T>
struct JsonConverter<std::vector<T>> {
    static void read(const Json& value, std::vector<T>& out, ConversionContext& context) {
        const Json::Array* const items = detail::read_list(value, type_name(), context);
        if (items == nullptr) return;
        out.clear();
        out.reserve(items->size());
        for (std::size_t i = 0; i < items->size() && !context.full(); ++i) {
            const ConversionContext::Step step{context, i};
            T item{};
            read_json((*items)[i], item, context);
            out.push_back(std::move(item));
        }
    }
    static Json write(const std::vector<T>& value) {
        Json::Array items;
        items.reserve(value.size());
        for (const T& item : value) items.push_back(to_json<T>(item));
        return Json{std::move(items)};
    }
    static Json schema(SchemaDefinitions& definitions) {
        return detail::list_schema(json_schema<T>(definitions));
    }
    static std::string type_name() { return "list of " + JsonConverter<T>::type_name(); }
};

/// A list of exactly `N` items.
template <class T, std::size_t N>
struct JsonConverter<std::array<T, N>> {
    static void read(const Json& value, std::array<T, N>& out, ConversionContext& context) {
        const Json::Array* const items = detail::read_list(value, type_name(), context);
        if (items == nullptr || !detail::has_length(value, N, type_name(), context)) return;
        for (std::size_t i = 0; i < N; ++i) {
            const ConversionContext::Step step{context, i};
            read_json((*items)[i], out[i], context);
        }
    }
    static Json write(const std::array<T, N>& value) {
        Json::Array items;
        items.reserve(N);
        for (const T& item : value) items.push_back(to_json(item));
        return Json{std::move(items)};
    }
    static Json schema(SchemaDefinitions& definitions) {
        return detail::array_schema(json_schema<T>(definitions), N);
    }
    static std::string type_name() {
        return "list of " + std::to_string(N) + " " + JsonConverter<T>::type_name();
    }
};

namespace detail {

/// Tuples and pairs: a list with one type a place.
template <class Tuple, class... T>
struct TupleConverter {
    static void read(const Json& value, Tuple& out, ConversionContext& context) {
        const Json::Array* const items = read_tuple(value, type_name(), context);
        if (items == nullptr || !fits_tuple(value, sizeof...(T), type_name(), context)) return;
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (read_item<T>(value, I, std::get<I>(out), context), ...);
        }(std::index_sequence_for<T...>{});
    }
    static Json write(const Tuple& value) {
        return std::apply([](const T&... item) { return Json::array({to_json<T>(item)...}); },
                          value);
    }
    static Json schema(SchemaDefinitions& definitions) {
        return tuple_schema({json_schema<T>(definitions)...});
    }
    static std::string type_name() { return tuple_type_name({JsonConverter<T>::type_name()...}); }

private:
    template <class Item>
    static void read_item(const Json& value, std::size_t index, Item& out,
                          ConversionContext& context) {
        const Json::Array& items = value.as_array();
        const ConversionContext::Step step{context, index};
        if (index < items.size()) {
            read_json(items[index], out, context);
        } else {
            context.report_missing(JsonConverter<Item>::type_name(), value);
        }
    }
};

/// Maps with text for keys, in the order of their keys.
template <class Map>
struct MapConverter {
    using Mapped = typename Map::mapped_type;

    static void read(const Json& value, Map& out, ConversionContext& context) {
        const Json::Object* const members = read_map(value, type_name(), context);
        if (members == nullptr) return;
        out.clear();
        for (const auto& [name, item] : *members) {
            if (context.full()) return;
            const ConversionContext::Step step{context, name};
            read_json(item, out[name], context);
        }
    }
    static Json write(const Map& value) {
        std::map<std::string_view, const Mapped*> sorted;
        for (const auto& [name, item] : value) sorted.emplace(name, &item);
        Json::Object members;
        members.reserve(value.size());
        for (const auto& [name, item] : sorted) {
            members.emplace_back(std::string{name}, to_json<Mapped>(*item));
        }
        return Json{std::move(members)};
    }
    static Json schema(SchemaDefinitions& definitions) {
        return map_schema(json_schema<Mapped>(definitions));
    }
    static std::string type_name() {
        return "dict of str to " + JsonConverter<Mapped>::type_name();
    }
};

}  // namespace detail

template <class... T>
struct JsonConverter<std::tuple<T...>> : detail::TupleConverter<std::tuple<T...>, T...> {};
template <class A, class B>
struct JsonConverter<std::pair<A, B>> : detail::TupleConverter<std::pair<A, B>, A, B> {};
template <class T, class... Rest>
struct JsonConverter<std::map<std::string, T, Rest...>>
    : detail::MapConverter<std::map<std::string, T, Rest...>> {};
template <class T, class... Rest>
struct JsonConverter<std::unordered_map<std::string, T, Rest...>>
    : detail::MapConverter<std::unordered_map<std::string, T, Rest...>> {};

}  // namespace lovage
