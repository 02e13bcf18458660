#include <lovage/runtime/detail/printable.hpp>

#include <lovage/runtime/detail/utf8.hpp>

#include <fmt/core.h>

namespace lovage::detail {

namespace {

/// C1 controls (U+0080–U+009F) steer terminals just as the ASCII ones do.
bool is_c1_control(std::string_view sequence) {
    return sequence.size() == 2 && sequence[0] == '\xC2' &&
           static_cast<unsigned char>(sequence[1]) < 0xA0;
}

}  // namespace

void append_printable(std::string& out, std::string_view text, Lines lines) {
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        const std::string_view sequence = text.substr(0, length);
        const auto first = static_cast<unsigned char>(text[0]);
        if (length == 0) {
            out += kReplacementCharacter;
        } else if (first == '\n') {
            out += lines == Lines::keep ? "\n    " : "\\n";
        } else if (first == '\t') {
            out += lines == Lines::keep ? "    " : "\\t";
        } else if (is_control(first)) {
            out += fmt::format("\\x{:02x}", first);
        } else if (is_c1_control(sequence)) {
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(sequence[1]));
        } else {
            out += sequence;
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

std::string printable_line(std::string_view text) {
    std::string line;
    append_printable(line, text, Lines::escape);
    return line;
}

}  // namespace lovage::detail
