#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lovage::detail {

/// The double nearest to a decimal number (`-?digits[.digits][e[+-]digits]`, at least one digit);
/// infinite past the range and zero below it, as Python's `float(text)`.
[[nodiscard]] double real_from_decimal(std::string_view text);

/// The integer a person meant, as pydantic's lax mode reads it: ASCII blanks around, a sign,
/// leading zeros, single underscores between digits, a fraction of zeros. Canonical decimal text.
[[nodiscard]] std::optional<std::string> lax_integer_text(std::string_view text);

/// The number a person meant, as Python's `float(text)`: also "inf", "nan", ".5", "5." and "1_000".
[[nodiscard]] std::optional<double> lax_real(std::string_view text);

}  // namespace lovage::detail
