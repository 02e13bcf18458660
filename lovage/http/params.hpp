#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <lovage/core/convert.hpp>
#include <lovage/http/input.hpp>

namespace lovage::http {

namespace detail {

template <class T>
struct Unwrapped {
    using type = T;
    static constexpr bool kOptional = false;
};
template <class T>
struct Unwrapped<std::optional<T>> {
    using type = T;
    static constexpr bool kOptional = true;
};
template <class T>
inline constexpr bool kList = false;
template <class T, class Allocator>
inline constexpr bool kList<std::vector<T, Allocator>> = true;

template <class T>
concept Number = !std::same_as<T, bool> && !std::same_as<T, std::string> && !kList<T> &&
                 requires(const T& a, const T& b) {
                     { a < b } -> std::convertible_to<bool>;
                 };

/// The length pydantic counts: characters of a text, items of a list.
[[nodiscard]] std::size_t characters(std::string_view utf8) noexcept;

/// One bound of a number, in the words of JSON Schema and of pydantic.
struct BoundWords {
    std::string_view keyword;  ///< "minimum"
    std::string_view type;     ///< "greater_than_equal"
    std::string_view phrase;   ///< "greater than or equal to"
    std::string_view context;  ///< "ge"
};
inline constexpr BoundWords kGe{"minimum", "greater_than_equal", "greater than or equal to", "ge"};
inline constexpr BoundWords kGt{"exclusiveMinimum", "greater_than", "greater than", "gt"};
inline constexpr BoundWords kLe{"maximum", "less_than_equal", "less than or equal to", "le"};
inline constexpr BoundWords kLt{"exclusiveMaximum", "less_than", "less than", "lt"};

[[nodiscard]] JsonIssue bound_issue(const BoundWords& words, const Json& bound, const Json& input);
[[nodiscard]] JsonIssue length_issue(bool list, bool too_short, std::size_t limit,
                                     std::size_t actual, const Json& input);

}  // namespace detail

/// How one parameter is described in the OpenAPI document.
struct ParamDoc {
    Source source = Source::query;
    std::string name;
    bool required = true;
    std::string description;
    Json schema;  ///< constraints, default and title included
};

/// One parameter of a handler: where it comes from, its type, default and constraints, said once,
/// enforced and documented. Made by query(), path(), header(), body() and query_or_body():
///
///     query<int>("limit").ge(1).le(100) = 20
///
/// A std::optional without a default is absent when it is not sent.
template <class T>
class Param {
public:
    using Value = T;
    using Inner = typename detail::Unwrapped<T>::type;
    static constexpr bool kOptional = detail::Unwrapped<T>::kOptional;
    static constexpr bool kHasLength = std::same_as<Inner, std::string> || detail::kList<Inner>;

    Param(Source source, std::string name) : source_{source}, name_{std::move(name)} {}

    /// The value when the parameter is not sent.
    Param operator=(T value) && {
        default_ = std::move(value);
        return std::move(*this);
    }

    // Bounds of numbers.
    Param ge(Inner bound) &&
        requires detail::Number<Inner>
    {
        return bounded(ge_, std::move(bound));
    }
    Param gt(Inner bound) &&
        requires detail::Number<Inner>
    {
        return bounded(gt_, std::move(bound));
    }
    Param le(Inner bound) &&
        requires detail::Number<Inner>
    {
        return bounded(le_, std::move(bound));
    }
    Param lt(Inner bound) &&
        requires detail::Number<Inner>
    {
        return bounded(lt_, std::move(bound));
    }
    // Characters of a text or items of a list.
    Param min_length(std::size_t length) &&
        requires kHasLength
    {
        min_length_ = length;
        return std::move(*this);
    }
    Param max_length(std::size_t length) &&
        requires kHasLength
    {
        max_length_ = length;
        return std::move(*this);
    }
    Param description(std::string text) && {
        description_ = std::move(text);
        return std::move(*this);
    }

    [[nodiscard]] Source source() const noexcept { return source_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// For Source::path: which of the path's parameters this is.
    void set_path_index(int index) noexcept { path_index_ = index; }

    /// The value, or nothing after reporting why there is none.
    [[nodiscard]] std::optional<T> read(Input& input) const {
        auto found = input.find(source_, name_, path_index_, detail::kList<Inner>);
        if (!found) {
            if (default_) return *default_;
            if constexpr (kOptional) return std::optional<T>{std::in_place, std::nullopt};
            input.report_missing(source_, name_);
            return std::nullopt;
        }
        auto value = from_json<T>(found->value(), ConversionMode::lax);
        if (!value) {
            input.report(found->source, name_, std::move(value.error()));
            return std::nullopt;
        }
        if (auto issue = check(*value, found->value())) {
            std::vector<JsonIssue> issues;
            issues.push_back(*std::move(issue));
            input.report(found->source, name_, std::move(issues));
            return std::nullopt;
        }
        return std::optional<T>{*std::move(value)};
    }

    [[nodiscard]] ParamDoc document(SchemaDefinitions& definitions) const {
        ParamDoc doc{.source = source_,
                     .name = name_,
                     .required = !default_ && !kOptional,
                     .description = description_,
                     .schema = json_schema<T>(definitions)};
        Json* branch = &doc.schema;
        if (auto* any = doc.schema.find("anyOf")) branch = &any->as_array().front();
        add_bound(*branch, detail::kGe, ge_);
        add_bound(*branch, detail::kGt, gt_);
        add_bound(*branch, detail::kLe, le_);
        add_bound(*branch, detail::kLt, lt_);
        if (min_length_) branch->set(detail::kList<Inner> ? "minItems" : "minLength", *min_length_);
        if (max_length_) branch->set(detail::kList<Inner> ? "maxItems" : "maxLength", *max_length_);
        if (default_) doc.schema.set("default", to_json(*default_));
        if (!name_.empty()) add_schema_title(doc.schema, name_);
        return doc;
    }

private:
    struct Nothing {};
    using Bound = std::conditional_t<detail::Number<Inner>, std::optional<Inner>, Nothing>;

    Param bounded(Bound& which, Inner bound) {
        which = std::move(bound);
        return std::move(*this);
    }

    static void add_bound(Json& schema, const detail::BoundWords& words, const Bound& bound) {
        if constexpr (detail::Number<Inner>) {
            if (bound) schema.set(words.keyword, to_json(*bound));
        }
    }

    [[nodiscard]] std::optional<JsonIssue> check(const T& value, const Json& input) const {
        if constexpr (kOptional) {
            return value ? check_inner(*value, input) : std::nullopt;
        } else {
            return check_inner(value, input);
        }
    }

    [[nodiscard]] std::optional<JsonIssue> check_inner(const Inner& value,
                                                       const Json& input) const {
        if constexpr (detail::Number<Inner>) {
            // Written so that NaN, which compares false with everything, fails. pydantic's order.
            const auto fails = [&](const Bound& bound, const detail::BoundWords& words,
                                   bool holds) {
                return bound && !holds
                           ? std::optional{detail::bound_issue(words, to_json(*bound), input)}
                           : std::nullopt;
            };
            if (auto issue = fails(le_, detail::kLe, le_ && value <= *le_)) return issue;
            if (auto issue = fails(lt_, detail::kLt, lt_ && value < *lt_)) return issue;
            if (auto issue = fails(ge_, detail::kGe, ge_ && value >= *ge_)) return issue;
            if (auto issue = fails(gt_, detail::kGt, gt_ && value > *gt_)) return issue;
        } else if constexpr (kHasLength) {
            std::size_t length = 0;
            if constexpr (detail::kList<Inner>) {
                length = value.size();
            } else {
                length = detail::characters(value);
            }
            if (min_length_ && length < *min_length_) {
                return detail::length_issue(detail::kList<Inner>, true, *min_length_, length,
                                            input);
            }
            if (max_length_ && length > *max_length_) {
                return detail::length_issue(detail::kList<Inner>, false, *max_length_, length,
                                            input);
            }
        }
        return std::nullopt;
    }

    Source source_;
    std::string name_;
    int path_index_ = -1;
    std::optional<T> default_;
    [[no_unique_address]] Bound ge_{};
    [[no_unique_address]] Bound gt_{};
    [[no_unique_address]] Bound le_{};
    [[no_unique_address]] Bound lt_{};
    std::optional<std::size_t> min_length_;
    std::optional<std::size_t> max_length_;
    std::string description_;
};

/// A parameter of the query; a std::vector takes a name given several times.
template <class T>
[[nodiscard]] Param<T> query(std::string name) {
    return {Source::query, std::move(name)};
}
/// A parameter of the path template.
template <class T>
[[nodiscard]] Param<T> path(std::string name) {
    return {Source::path, std::move(name)};
}
/// A header of the request.
template <class T>
[[nodiscard]] Param<T> header(std::string name) {
    return {Source::header, std::move(name)};
}
/// The whole body as JSON: a described struct, a vector, a Json, …
template <class T>
[[nodiscard]] Param<T> body() {
    return {Source::body, {}};
}
/// A parameter of the query or, when it is not there, a member of the JSON object in the body.
template <class T>
[[nodiscard]] Param<T> query_or_body(std::string name) {
    return {Source::query_or_body, std::move(name)};
}

}  // namespace lovage::http
