#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lovage::detail {

enum class Lines : std::uint8_t {
    keep,    ///< Line ends stay, what follows them is indented by four blanks; a tab becomes four
             ///< blanks.
    escape,  ///< Line ends and tabs become \n and \t.
};

/// Appends foreign text so that it can neither steer a terminal nor forge a line: control
/// characters become
/// \xNN, bytes that are not UTF-8 become U+FFFD.
void append_printable(std::string& out, std::string_view text, Lines lines);

/// One line of foreign text, made printable.
[[nodiscard]] std::string printable_line(std::string_view text);

/// A control character that has no place in one line of text (C0 and DEL).
[[nodiscard]] constexpr bool is_control(unsigned char byte) noexcept {
    return byte < 0x20 || byte == 0x7F;
}

}  // namespace lovage::detail
