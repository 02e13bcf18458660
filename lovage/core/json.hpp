#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <lovage/core/error.hpp>

namespace lovage {

/// The deepest nesting any limit may allow (Python's own reader stops at about as many). Reading,
/// copying, comparing and destroying a value use the stack once a level.
inline constexpr std::size_t kJsonDepthMax = 1000;

/// Bounds for reading JSON from outside. Reaching one is Errc::too_large, never a crash.
struct JsonLimits {
    std::size_t depth = 512;  ///< Nested containers; above kJsonDepthMax counts as that.
    std::size_t bytes = std::size_t{16} << 20U;  ///< Length of the text.
};

/// A JSON value as Python's `json` module (3.11) knows it.
///
/// Integers of any size are exact; floats may be NaN or infinite; strings are UTF-8 in which a lone
/// surrogate is kept as its three-byte form (WTF-8), so that it is written back as the `\udXXX` it
/// was read from; object members keep their order, and when a name is doubled the last value wins
/// at the first one's place, as in a Python dict. A value may also be *raw*: validated JSON text
/// that nobody has looked into yet and that is written back byte for byte.
///
/// A plain value type: not synchronised; const access from several threads is safe.
class Json {
public:
    enum class Kind : std::uint8_t { null, boolean, integer, real, string, array, object, raw };
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>;

    Json() noexcept = default;
    Json(std::nullptr_t) noexcept {}
    Json(bool value) noexcept : value_{value} {}
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    Json(T value) : value_{from_integral(value)} {}
    Json(double value) noexcept : value_{value} {}
    Json(std::string value) noexcept : value_{std::move(value)} {}
    Json(std::string_view value) : value_{std::string{value}} {}
    Json(const char* value) : value_{std::string{value}} {}
    Json(Array value) noexcept : value_{std::move(value)} {}
    Json(Object value) noexcept : value_{std::move(value)} {}

    [[nodiscard]] static Json array(Array items = {}) { return Json{std::move(items)}; }
    [[nodiscard]] static Json object(Object members = {}) { return Json{std::move(members)}; }
    /// An integer of any size from its decimal text (`-?[0-9]+`); asserts on anything else.
    [[nodiscard]] static Json integer(std::string_view decimal);
    /// JSON text kept verbatim. The caller vouches that it is one valid JSON value.
    [[nodiscard]] static Json raw(std::string text);

    [[nodiscard]] Kind kind() const noexcept;
    [[nodiscard]] bool is_null() const noexcept { return kind() == Kind::null; }
    [[nodiscard]] bool is_bool() const noexcept { return kind() == Kind::boolean; }
    [[nodiscard]] bool is_integer() const noexcept { return kind() == Kind::integer; }
    [[nodiscard]] bool is_real() const noexcept { return kind() == Kind::real; }
    [[nodiscard]] bool is_string() const noexcept { return kind() == Kind::string; }
    [[nodiscard]] bool is_array() const noexcept { return kind() == Kind::array; }
    [[nodiscard]] bool is_object() const noexcept { return kind() == Kind::object; }
    [[nodiscard]] bool is_raw() const noexcept { return kind() == Kind::raw; }

    // Unchecked in type: asserts when the kind is another.
    [[nodiscard]] bool as_bool() const;
    [[nodiscard]] double as_real() const;
    [[nodiscard]] const std::string& as_string() const;
    [[nodiscard]] std::string& as_string();
    [[nodiscard]] const Array& as_array() const;
    [[nodiscard]] Array& as_array();
    [[nodiscard]] const Object& as_object() const;
    [[nodiscard]] Object& as_object();
    /// The text of a raw value.
    [[nodiscard]] const std::string& raw_text() const;

    /// The integer when it fits 64 bits signed, else nothing. Asserts when not an integer.
    [[nodiscard]] std::optional<std::int64_t> as_int64() const;
    /// The integer when it fits 64 bits unsigned, else nothing. Asserts when not an integer.
    [[nodiscard]] std::optional<std::uint64_t> as_uint64() const;
    /// The decimal text of an integer of any size. Asserts when not an integer.
    [[nodiscard]] std::string integer_text() const;

    /// The member named `name`, or nullptr: also when this is not an object.
    [[nodiscard]] const Json* find(std::string_view name) const noexcept;
    [[nodiscard]] Json* find(std::string_view name) noexcept;
    /// Sets a member, in place when it exists, else at the end. Makes an object of a null.
    void set(std::string_view name, Json value);
    /// Removes a member; false when there was none.
    bool erase(std::string_view name);
    /// Appends to an array. Makes an array of a null.
    void push_back(Json value);

    /// A raw value parsed one level deep (its children may be raw again); any other value as it is.
    [[nodiscard]] Result<Json> expanded(const JsonLimits& limits = {}) const;
    /// Like expanded(), with every level parsed.
    [[nodiscard]] Result<Json> fully_expanded(const JsonLimits& limits = {}) const;

    /// Python's word for the type: "None", "bool", "int", "float", "str", "list", "dict".
    /// For a raw value, by its first character.
    [[nodiscard]] std::string_view python_type_name() const noexcept;

    /// Same kind and content; integers by value, NaN equals NaN, objects regardless of member
    /// order. Raw values are expanded to compare.
    friend bool operator==(const Json& left, const Json& right);

private:
    struct BigInteger {
        std::string text;
    };
    struct Raw {
        std::string text;
    };
    using Value = std::variant<std::monostate, bool, std::int64_t, BigInteger, double, std::string,
                               Array, Object, Raw>;

    template <std::integral T>
    static Value from_integral(T value) {
        if (std::in_range<std::int64_t>(value)) return Value{static_cast<std::int64_t>(value)};
        return Value{BigInteger{std::to_string(value)}};
    }

    Value value_;
};

/// Reads one JSON value. Accepts what Python's `json.loads` accepts: NaN, Infinity and -Infinity,
/// lone surrogates, white space around; refuses what it refuses. Errors: Errc::malformed with the
/// byte offset and what was expected, Errc::too_large.
[[nodiscard]] Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

/// Reads one JSON value down to `levels` containers. Containers that lie deeper are validated and
/// kept raw, byte for byte; the scalars beside them are read. `levels` 0 validates the whole text
/// and returns one raw value, whatever it is.
[[nodiscard]] Result<Json> parse_json_shallow(std::string_view text, std::size_t levels,
                                              const JsonLimits& limits = {});

/// Layouts of written JSON.
enum class JsonStyle : std::uint8_t {
    python,   ///< As `json.dumps`: ", " and ": ", everything beyond ASCII escaped.
    compact,  ///< As FastAPI's replies: "," and ":", UTF-8 as it is (lone surrogates escaped).
};

/// Writes `value`; raw parts byte for byte. Floats as Python's repr (shortest that reads back
/// equal), in both styles NaN, Infinity and -Infinity for those that are not finite.
[[nodiscard]] std::string to_json_text(const Json& value, JsonStyle style = JsonStyle::python);
/// The same, appended to `out`.
void append_json_text(std::string& out, const Json& value, JsonStyle style = JsonStyle::python);
/// Appends a quoted and escaped JSON string. Bytes that are no UTF-8 are written as U+FFFD.
void append_json_string(std::string& out, std::string_view text,
                        JsonStyle style = JsonStyle::python);
/// Python's `repr(float)` for a finite or non-finite double ("1e+16", "0.1", "nan", "inf").
[[nodiscard]] std::string python_float_repr(double value);

}  // namespace lovage
