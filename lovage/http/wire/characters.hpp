#pragma once
// The character classes of RFC 9110 and RFC 9112.

#include <string_view>

namespace lovage::http::wire {

/// A character of a method or field name (RFC 9110, section 5.6.2: tchar).
[[nodiscard]] constexpr bool is_token_character(char c) noexcept {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c != '\0' && std::string_view{"!#$%&'*+-.^_`|~"}.contains(c);
}

/// A character of a field value: visible, blank, tab or beyond ASCII.
[[nodiscard]] constexpr bool is_field_character(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/// The value of a hex digit, or -1.
[[nodiscard]] constexpr int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace lovage::http::wire
