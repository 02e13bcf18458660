#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <typeindex>
#include <utility>
#include <variant>
#include <vector>

#include <lovage/core/json.hpp>

/// The frame of typed conversion: what a converter is, what it is given, what it reports. The
/// converters themselves, and what most code should include, are in convert.hpp.
namespace lovage {

/// One thing that does not fit its type. `type`, `msg` and `ctx` are pydantic v2's where pydantic
/// has a word for it, so an HTTP 422 reply reads as FastAPI's; `expected` and `received` are for
/// the messages of failed tasks.
struct JsonIssue {
    /// A member's name or an item's index.
    using Step = std::variant<std::string, std::int64_t>;

    std::vector<Step> loc;  ///< From the converted value down; empty when it is the value itself.
    std::string type;       ///< "int_parsing", "missing", …
    std::string msg;        ///< "Field required", …
    std::string expected;   ///< "int", "list of int", "Point", …
    std::string received;   ///< Python's type and value, cut at 64 characters: "str 'abc'".
    /// The value found (of `missing`: the container that lacks it). One that takes more than
    /// kIssueInputBytesMax is replaced by a text that says so.
    Json input;
    std::optional<Json> ctx = std::nullopt;
};

inline constexpr std::size_t kIssueInputBytesMax = std::size_t{16} << 10U;
/// A conversion reports at most this many issues.
inline constexpr std::size_t kIssuesMax = 100;

/// "point.tags[2]: expected int, received str 'abc'"; without a path "expected int, …".
[[nodiscard]] std::string describe_issue(const JsonIssue& issue);

enum class ConversionMode : std::uint8_t {
    /// For task arguments and results. Kinds must fit: no text for numbers, no numbers for
    /// booleans, no
    /// 1.0 for an integer. An integer is taken for a float when that loses no digit.
    strict,
    /// For HTTP input, as pydantic's lax mode: "1", 1.0 and true for an integer, "yes" and 1 for a
    /// boolean, seconds since 1970 for a time, …
    lax,
};

/// What a converter is given besides the value: the mode, the place, and where to report issues.
/// Belongs to one conversion on one thread.
class ConversionContext {
public:
    explicit ConversionContext(ConversionMode mode) noexcept : mode_{mode} {}
    ConversionContext(const ConversionContext&) = delete;
    ConversionContext& operator=(const ConversionContext&) = delete;

    [[nodiscard]] bool lax() const noexcept { return mode_ == ConversionMode::lax; }

    /// Goes one step down the path for as long as it lives. `name` must live as long.
    class Step {
    public:
        Step(ConversionContext& context, std::string_view name) noexcept
            : Step{context, name, kNamed} {}
        Step(ConversionContext& context, std::size_t index) noexcept : Step{context, {}, index} {}
        ~Step() { context_.place_ = parent_; }
        Step(const Step&) = delete;
        Step& operator=(const Step&) = delete;

    private:
        friend ConversionContext;
        static constexpr std::size_t kNamed = static_cast<std::size_t>(-1);
        Step(ConversionContext& context, std::string_view name, std::size_t index) noexcept
            : context_{context}, parent_{context.place_}, name_{name}, index_{index} {
            context.place_ = this;
        }

        ConversionContext& context_;
        const Step* parent_;
        std::string_view name_;
        std::size_t index_;
    };

    /// Reports that `input`, which is at the current place, is not what was expected. Past
    /// kIssuesMax issues only the fact is kept.
    void report(std::string_view type, std::string msg, std::string expected, const Json& input,
                std::optional<Json> ctx = std::nullopt);
    /// Reports that nothing is at the current place of `container`.
    void report_missing(std::string expected, const Json& container);

    /// Has anything been reported?
    [[nodiscard]] bool failed() const noexcept { return !issues_.empty(); }
    /// No more issues are taken: a converter of many items may stop.
    [[nodiscard]] bool full() const noexcept { return issues_.size() >= kIssuesMax; }
    [[nodiscard]] std::vector<JsonIssue> take_issues() noexcept {
        return std::exchange(issues_, {});
    }

    /// `value` with every raw part parsed, or nothing after reporting why that failed.
    [[nodiscard]] std::optional<Json> expand(const Json& value);

private:
    void add(JsonIssue issue);

    ConversionMode mode_;
    const Step* place_ = nullptr;
    std::vector<JsonIssue> issues_;
};

/// The named schemas of an OpenAPI document's `components/schemas`.
class SchemaDefinitions {
public:
    /// A `{"$ref": "#/components/schemas/Name"}` for a type. The first call for a type gives it its
    /// name and calls `make` for the schema; so a type may refer to itself. When two types have the
    /// same name the later one is called by its qualified name, as pydantic does.
    template <std::invocable<const std::string&> Make>
    [[nodiscard]] Json reference(std::type_index type, std::string_view qualified_name, Make make) {
        const auto known = names_.find(type);
        if (known != names_.end()) return reference_to(known->second);
        const std::string name = claim(type, qualified_name);
        Json schema = make(name);  // May itself add definitions.
        schemas_[name] = std::move(schema);
        return reference_to(name);
    }

    /// By name.
    [[nodiscard]] const std::map<std::string, Json>& schemas() const noexcept { return schemas_; }

private:
    [[nodiscard]] std::string claim(std::type_index type, std::string_view qualified_name);
    [[nodiscard]] static Json reference_to(const std::string& name);

    std::map<std::type_index, std::string> names_;
    std::map<std::string, Json> schemas_;
};

/// "many_things" → "Many Things": the title pydantic gives a member or parameter.
[[nodiscard]] std::string schema_title(std::string_view name);
/// Adds a member's title to its schema, except to a mere reference, as pydantic.
void add_schema_title(Json& schema, std::string_view member_name);

/// How a C++ type becomes JSON and back: the one customisation point of task arguments, results and
/// HTTP. Specialise it for a type of your own:
///
///     template <>
///     struct lovage::JsonConverter<Temperature> {
///         /// Sets `out` or reports to `context`. `value` is never raw, but its parts may be: pass
///         /// them on with read_json().
///         static void read(const Json& value, Temperature& out, ConversionContext& context);
///         static Json write(const Temperature& value);
///         /// JSON Schema 2020-12 as pydantic writes it, without a title.
///         static Json schema(SchemaDefinitions& definitions);
///         /// A short word for messages: "temperature".
///         static std::string type_name();
///     };
template <class T>
struct JsonConverter;

template <class T>
concept JsonConvertible = requires { sizeof(JsonConverter<T>); };

namespace detail {

template <class T>
constexpr void check_convertible() {
    static_assert(JsonConvertible<T>,
                  "this type has no JSON form: describe a struct or enum with Boost.Describe "
                  "(BOOST_DESCRIBE_STRUCT, BOOST_DESCRIBE_ENUM), include convert_cpp_int.hpp for "
                  "cpp_int, or specialise lovage::JsonConverter");
}

}  // namespace detail

/// Converts a part of a value; what converters call for their members and items.
template <class T>
void read_json(const Json& value, T& out, ConversionContext& context) {
    detail::check_convertible<T>();
    if (!value.is_raw()) {
        JsonConverter<T>::read(value, out, context);
    } else if (const std::optional<Json> expanded = context.expand(value)) {
        JsonConverter<T>::read(*expanded, out, context);
    }
}

/// The value as a `T` (which must be default constructible), or everything that does not fit.
template <class T>
[[nodiscard]] std::expected<T, std::vector<JsonIssue>> from_json(
    const Json& value, ConversionMode mode = ConversionMode::strict) {
    ConversionContext context{mode};
    T out{};
    read_json(value, out, context);
    if (context.failed()) return std::unexpected{context.take_issues()};
    return out;
}

template <class T>
[[nodiscard]] Json to_json(const T& value) {
    detail::check_convertible<T>();
    return JsonConverter<T>::write(value);
}

template <class T>
[[nodiscard]] Json json_schema(SchemaDefinitions& definitions) {
    detail::check_convertible<T>();
    return JsonConverter<T>::schema(definitions);
}

}  // namespace lovage
