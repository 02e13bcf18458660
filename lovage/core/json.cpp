#include <lovage/core/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace lovage {

namespace {

using Object = Json::Object;

/// Members in the order of their names; doubled names keep their order.
std::vector<const Json::Member*> sorted_by_name(const Object& members) {
    std::vector<const Json::Member*> sorted;
    sorted.reserve(members.size());
    for (const Json::Member& member : members) sorted.push_back(&member);
    std::ranges::sort(sorted, [](const Json::Member* left, const Json::Member* right) {
        const int order = left->first.compare(right->first);
        return order != 0 ? order < 0 : left < right;
    });
    return sorted;
}

bool same_names_in_order(const Object& left, const Object& right) {
    return std::ranges::equal(left, right, {}, &Json::Member::first, &Json::Member::first);
}

bool equal_objects(const Object& left, const Object& right) {
    if (left.size() != right.size()) return false;
    if (same_names_in_order(left, right)) return left == right;
    return std::ranges::equal(
        sorted_by_name(left), sorted_by_name(right),
        [](const Json::Member* l, const Json::Member* r) { return *l == *r; });
}

bool equal_reals(double left, double right) {
    return left == right || (std::isnan(left) && std::isnan(right));
}

/// What a raw value stands for. Text that is no JSON breaks raw()'s contract; it stays as it is and
/// equals only the same text.
Json expanded_to_compare(const Json& value) {
    if (!value.is_raw()) return value;
    Result<Json> parsed =
        value.expanded({.depth = kJsonDepthMax, .bytes = std::numeric_limits<std::size_t>::max()});
    return parsed ? std::move(*parsed) : value;
}

bool equal_raw(const Json& left, const Json& right) {
    if (left.is_raw() && right.is_raw() && left.raw_text() == right.raw_text()) return true;
    const Json l = expanded_to_compare(left);
    const Json r = expanded_to_compare(right);
    return !l.is_raw() && !r.is_raw() && l == r;
}

std::string_view type_name_of_text(std::string_view text) noexcept {
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    switch (start == std::string_view::npos ? 'n' : text[start]) {
        case 'n':
            return "None";
        case 't':
        case 'f':
            return "bool";
        case '"':
            return "str";
        case '[':
            return "list";
        case '{':
            return "dict";
        default:
            break;
    }
    return text.find_first_of(".eEIN") == std::string_view::npos ? "int" : "float";
}

Result<void> expand_every_level(Json& value, const JsonLimits& limits) {
    if (value.is_raw()) {
        Result<Json> parsed = parse_json(value.raw_text(), limits);
        if (!parsed) return std::unexpected{std::move(parsed.error())};
        value = std::move(*parsed);
        return {};
    }
    if (!value.is_array() && !value.is_object()) return {};
    if (limits.depth == 0) return fail(Errc::too_large, "JSON value nested deeper than the limit");
    const JsonLimits inner{.depth = limits.depth - 1, .bytes = limits.bytes};
    Result<void> done;
    if (value.is_array()) {
        for (Json& item : value.as_array()) {
            if (done = expand_every_level(item, inner); !done) return done;
        }
    } else {
        for (auto& [name, item] : value.as_object()) {
            if (done = expand_every_level(item, inner); !done) return done;
        }
    }
    return done;
}

bool equal_integers(const Json& left, const Json& right) {
    const std::optional<std::int64_t> small = left.as_int64();
    if (small || right.as_int64()) return small == right.as_int64();
    return left.integer_text() == right.integer_text();
}

}  // namespace

Json Json::integer(std::string_view decimal) {
    const bool negative = decimal.starts_with('-');
    std::string_view digits = decimal.substr(negative ? 1 : 0);
    LOVAGE_ASSERT(!digits.empty() &&
                  digits.find_first_not_of("0123456789") == std::string_view::npos);
    const std::size_t zeros = std::min(digits.find_first_not_of('0'), digits.size() - 1);
    digits.remove_prefix(zeros);

    Json value;
    constexpr std::size_t kInt64DigitsMax = 19;
    if (digits.size() <= kInt64DigitsMax) {
        std::string canonical{negative ? "-" : ""};
        canonical += digits;
        std::int64_t small = 0;
        const char* const end = canonical.data() + canonical.size();
        if (std::from_chars(canonical.data(), end, small).ec == std::errc{}) {
            value.value_ = small;
            return value;
        }
    }
    BigInteger big;
    big.text.reserve(digits.size() + 1);
    if (negative) big.text += '-';
    big.text += digits;
    value.value_ = std::move(big);
    return value;
}

Json Json::raw(std::string text) {
    LOVAGE_ASSERT(!text.empty());
    Json value;
    value.value_ = Raw{std::move(text)};
    return value;
}

Json::Kind Json::kind() const noexcept {
    constexpr Kind kKinds[] = {Kind::null,    Kind::boolean, Kind::integer,
                               Kind::integer, Kind::real,    Kind::string,
                               Kind::array,   Kind::object,  Kind::raw};
    static_assert(std::size(kKinds) == std::variant_size_v<Value>);
    return kKinds[value_.index()];
}

bool Json::as_bool() const {
    LOVAGE_ASSERT(is_bool());
    return *std::get_if<bool>(&value_);
}

double Json::as_real() const {
    LOVAGE_ASSERT(is_real());
    return *std::get_if<double>(&value_);
}

const std::string& Json::as_string() const {
    LOVAGE_ASSERT(is_string());
    return *std::get_if<std::string>(&value_);
}

std::string& Json::as_string() {
    LOVAGE_ASSERT(is_string());
    return *std::get_if<std::string>(&value_);
}

const Json::Array& Json::as_array() const {
    LOVAGE_ASSERT(is_array());
    return *std::get_if<Array>(&value_);
}

Json::Array& Json::as_array() {
    LOVAGE_ASSERT(is_array());
    return *std::get_if<Array>(&value_);
}

const Json::Object& Json::as_object() const {
    LOVAGE_ASSERT(is_object());
    return *std::get_if<Object>(&value_);
}

Json::Object& Json::as_object() {
    LOVAGE_ASSERT(is_object());
    return *std::get_if<Object>(&value_);
}

const std::string& Json::raw_text() const {
    LOVAGE_ASSERT(is_raw());
    return std::get_if<Raw>(&value_)->text;
}

std::optional<std::int64_t> Json::as_int64() const {
    LOVAGE_ASSERT(is_integer());
    if (const auto* small = std::get_if<std::int64_t>(&value_)) return *small;
    return std::nullopt;  // BigInteger holds only what does not fit.
}

std::optional<std::uint64_t> Json::as_uint64() const {
    LOVAGE_ASSERT(is_integer());
    if (const auto* small = std::get_if<std::int64_t>(&value_)) {
        if (*small < 0) return std::nullopt;
        return static_cast<std::uint64_t>(*small);
    }
    const std::string& text = std::get_if<BigInteger>(&value_)->text;
    std::uint64_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc{}) return std::nullopt;
    return value;
}

std::string Json::integer_text() const {
    LOVAGE_ASSERT(is_integer());
    if (const auto* small = std::get_if<std::int64_t>(&value_)) return std::to_string(*small);
    return std::get_if<BigInteger>(&value_)->text;
}

const Json* Json::find(std::string_view name) const noexcept {
    const auto* members = std::get_if<Object>(&value_);
    if (members == nullptr) return nullptr;
    const auto found = std::ranges::find(*members, name, &Member::first);
    return found == members->end() ? nullptr : &found->second;
}

Json* Json::find(std::string_view name) noexcept {
    return const_cast<Json*>(std::as_const(*this).find(name));
}

void Json::set(std::string_view name, Json value) {
    if (is_null()) value_ = Object{};
    if (Json* const existing = find(name)) {
        *existing = std::move(value);
    } else {
        as_object().emplace_back(std::string{name}, std::move(value));
    }
}

bool Json::erase(std::string_view name) {
    Object& members = as_object();
    const auto found = std::ranges::find(members, name, &Member::first);
    if (found == members.end()) return false;
    members.erase(found);
    return true;
}

void Json::push_back(Json value) {
    if (is_null()) value_ = Array{};
    as_array().push_back(std::move(value));
}

Result<Json> Json::expanded(const JsonLimits& limits) const {
    if (!is_raw()) return *this;
    return parse_json_shallow(raw_text(), 1, limits);
}

Result<Json> Json::fully_expanded(const JsonLimits& limits) const {
    Json copy = *this;
    JsonLimits left = limits;
    left.depth = std::min(left.depth, kJsonDepthMax);
    if (Result<void> done = expand_every_level(copy, left); !done) {
        return std::unexpected{std::move(done.error())};
    }
    return copy;
}

std::string_view Json::python_type_name() const noexcept {
    switch (kind()) {
        case Kind::null:
            return "None";
        case Kind::boolean:
            return "bool";
        case Kind::integer:
            return "int";
        case Kind::real:
            return "float";
        case Kind::string:
            return "str";
        case Kind::array:
            return "list";
        case Kind::object:
            return "dict";
        case Kind::raw:
            return type_name_of_text(std::get_if<Raw>(&value_)->text);
    }
    return "None";
}

bool operator==(const Json& left, const Json& right) {
    if (left.is_raw() || right.is_raw()) return equal_raw(left, right);
    if (left.kind() != right.kind()) return false;
    switch (left.kind()) {
        case Json::Kind::null:
            return true;
        case Json::Kind::boolean:
            return left.as_bool() == right.as_bool();
        case Json::Kind::integer:
            return equal_integers(left, right);
        case Json::Kind::real:
            return equal_reals(left.as_real(), right.as_real());
        case Json::Kind::string:
            return left.as_string() == right.as_string();
        case Json::Kind::array:
            return left.as_array() == right.as_array();
        case Json::Kind::object:
            return equal_objects(left.as_object(), right.as_object());
        case Json::Kind::raw:
            break;
    }
    return false;
}

}  // namespace lovage
