#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/describe/modifiers.hpp>
#include <boost/mp11/algorithm.hpp>

#include <lovage/core/conversion.hpp>

/// Converters of enums and structs described with Boost.Describe.
///
/// An enum is the text of its enumerator's name. A struct is a map with a key a public member, base
/// classes' members first; unknown keys are ignored. A member must be there unless
///  - it is a std::optional, or
///  - the struct says that it has a default:
///
///     struct Options {
///         std::int64_t width;
///         int retries = 3;
///         std::optional<std::string> label;
///     };
///     BOOST_DESCRIBE_STRUCT(Options, (), (width, retries, label))
///     LOVAGE_JSON_DEFAULTS(Options, retries)
///
/// (C++ cannot see which members have initialisers.) A member that may be left out then keeps what
/// a default-constructed struct has.

/// Names the members of `Type` that a JSON object may leave out. Stands beside
/// BOOST_DESCRIBE_STRUCT, in the struct's namespace; a name that is no described member does not
/// compile.
#define LOVAGE_JSON_DEFAULTS(Type, ...)                                                 \
    [[maybe_unused]] constexpr const char* lovage_json_defaults(const Type*) noexcept { \
        return #__VA_ARGS__;                                                            \
    }

namespace lovage {

namespace detail {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

/// The compiler's text for a function whose only template argument is `T`; it has the type's name
/// in it.
template <class T>
constexpr std::string_view function_text_naming() noexcept {
    return __PRETTY_FUNCTION__;
}
/// "ns::Point" from such a text.
[[nodiscard]] std::string qualified_type_name(std::string_view function_text);
/// "Point".
[[nodiscard]] std::string short_type_name(std::string_view function_text);

template <class T>
concept DescribedStruct = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;
template <class T>
concept DescribedEnum = std::is_enum_v<T> && boost::describe::has_describe_enumerators<T>::value;

template <class T>
using DescribedMembers = boost::describe::describe_members<T, boost::describe::mod_public |
                                                                  boost::describe::mod_inherited>;

/// The members LOVAGE_JSON_DEFAULTS names, as one text "a, b".
template <class T>
constexpr std::string_view defaulted_members() noexcept {
    if constexpr (requires { lovage_json_defaults(static_cast<const T*>(nullptr)); }) {
        return lovage_json_defaults(static_cast<const T*>(nullptr));
    } else {
        return {};
    }
}

/// Is `name` one of the names in `list`, which looks like "a, b"?
constexpr bool is_listed(std::string_view list, std::string_view name) noexcept {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        if (list.substr(0, end) == name) return true;
        list.remove_prefix(end);
        while (list.starts_with(',') || list.starts_with(' ')) list.remove_prefix(1);
    }
    return false;
}

template <class T>
constexpr bool defaults_are_members() noexcept {
    constexpr std::string_view kList = defaulted_members<T>();
    std::size_t names = kList.empty() ? 0 : 1;
    for (const char c : kList) names += c == ',' ? 1 : 0;
    std::size_t found = 0;
    boost::mp11::mp_for_each<DescribedMembers<T>>(
        [&](auto member) { found += is_listed(kList, member.name) ? 1 : 0; });
    return names == found;
}

template <class T, class Member>
using MemberType = std::remove_cvref_t<decltype(std::declval<T&>().*Member::pointer)>;

/// The members of a map; reports `model_attributes_type` and gives false for anything else.
[[nodiscard]] bool is_model(const Json& value, std::string expected, ConversionContext& context);
[[nodiscard]] Json model_schema(const std::string& title, Json properties, Json::Array required);

/// Reports that `value` is none of `names`.
void report_enum(const std::vector<std::string_view>& names, const Json& value,
                 ConversionContext& context);
[[nodiscard]] Json enum_schema(const std::string& title,
                               const std::vector<std::string_view>& names);

}  // namespace detail

template <detail::DescribedStruct T>
struct JsonConverter<T> {
    static_assert(
        detail::defaults_are_members<T>(),
        "LOVAGE_JSON_DEFAULTS names something that is no described member of this struct");

    static void read(const Json& value, T& out, ConversionContext& context) {
        if (!detail::is_model(value, type_name(), context)) return;
        boost::mp11::mp_for_each<detail::DescribedMembers<T>>([&](auto member) {
            using Member = detail::MemberType<T, decltype(member)>;
            const ConversionContext::Step step{context, member.name};
            if (const Json* const found = value.find(member.name)) {
                read_json(*found, out.*member.pointer, context);
            } else if (!may_be_absent<Member>(member.name)) {
                context.report_missing(JsonConverter<Member>::type_name(), value);
            }
        });
    }

    static Json write(const T& value) {
        Json::Object members;
        members.reserve(boost::mp11::mp_size<detail::DescribedMembers<T>>::value);
        boost::mp11::mp_for_each<detail::DescribedMembers<T>>([&](auto member) {
            members.emplace_back(member.name, to_json(value.*member.pointer));
        });
        return Json{std::move(members)};
    }

    static Json schema(SchemaDefinitions& definitions) {
        const auto make = [&](const std::string& name) {
            Json properties = Json::object();
            Json::Array required;
            boost::mp11::mp_for_each<detail::DescribedMembers<T>>([&](auto member) {
                using Member = detail::MemberType<T, decltype(member)>;
                Json property = json_schema<Member>(definitions);
                add_schema_title(property, member.name);
                if (!may_be_absent<Member>(member.name)) {
                    required.emplace_back(member.name);
                } else if (Json standard = to_json(T{}.*member.pointer); !standard.is_null()) {
                    property.set("default", std::move(standard));
                }
                properties.set(member.name, std::move(property));
            });
            return detail::model_schema(name, std::move(properties), std::move(required));
        };
        constexpr std::string_view kText = detail::function_text_naming<T>();
        return definitions.reference(typeid(T), detail::qualified_type_name(kText), make);
    }

    static std::string type_name() {
        return detail::short_type_name(detail::function_text_naming<T>());
    }

private:
    template <class Member>
    static constexpr bool may_be_absent(std::string_view name) noexcept {
        return detail::kIsOptional<Member> ||
               detail::is_listed(detail::defaulted_members<T>(), name);
    }
};

/// A value that is none of the enumerators is written as its number (and not read again).
template <detail::DescribedEnum T>
struct JsonConverter<T> {
    static void read(const Json& value, T& out, ConversionContext& context) {
        bool found = false;
        if (value.is_string()) {
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
                [&](auto enumerator) {
                    if (found || value.as_string() != enumerator.name) return;
                    out = enumerator.value;
                    found = true;
                });
        }
        if (!found) detail::report_enum(names(), value, context);
    }

    static Json write(T value) {
        if (const char* const name = boost::describe::enum_to_string(value, nullptr))
            return Json{name};
        return Json{static_cast<std::underlying_type_t<T>>(value)};
    }

    static Json schema(SchemaDefinitions& definitions) {
        constexpr std::string_view kText = detail::function_text_naming<T>();
        return definitions.reference(
            typeid(T), detail::qualified_type_name(kText),
            [](const std::string& name) { return detail::enum_schema(name, names()); });
    }

    static std::string type_name() {
        return detail::short_type_name(detail::function_text_naming<T>());
    }

private:
    static std::vector<std::string_view> names() {
        std::vector<std::string_view> all;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
            [&](auto enumerator) { all.emplace_back(enumerator.name); });
        return all;
    }
};

}  // namespace lovage
