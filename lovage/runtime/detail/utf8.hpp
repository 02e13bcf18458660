#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lovage::detail {

/// Length (1–4) of the well-formed UTF-8 sequence `text` starts with (RFC 3629: no overlong forms,
/// no surrogates); 0 when it starts with none or is empty.
[[nodiscard]] std::size_t utf8_sequence_length(std::string_view text) noexcept;

/// U+FFFD as UTF-8: stands for each byte that belongs to no well-formed sequence.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// `text` with every stray byte replaced by U+FFFD.
[[nodiscard]] std::string to_valid_utf8(std::string_view text);

/// The longest prefix of at most `bytes_max` bytes that does not cut a sequence in two.
[[nodiscard]] std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) noexcept;
/// The longest suffix of at most `bytes_max` bytes that does not cut a sequence in two.
[[nodiscard]] std::string_view utf8_suffix(std::string_view text, std::size_t bytes_max) noexcept;

}  // namespace lovage::detail
