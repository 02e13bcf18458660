#include <lovage/runtime/detail/utf8.hpp>

namespace lovage::detail {

namespace {

constexpr bool between(unsigned char byte, unsigned char low, unsigned char high) {
    return byte >= low && byte <= high;
}

bool continues(char byte) {
    return between(static_cast<unsigned char>(byte), 0x80, 0xBF);
}

/// True when `text` holds `count` continuation bytes from index 2 on.
bool continues(std::string_view text, std::size_t count) {
    if (text.size() < 2 + count) return false;
    for (std::size_t i = 2; i < 2 + count; ++i) {
        if (!continues(text[i])) return false;
    }
    return true;
}

}  // namespace

std::size_t utf8_sequence_length(std::string_view text) noexcept {
    if (text.empty()) return 0;
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) return 1;
    if (text.size() < 2) return 0;
    // The second byte's range depends on the first one: that excludes overlong forms, surrogates
    // and code points past U+10FFFF.
    const auto second = static_cast<unsigned char>(text[1]);
    if (between(first, 0xC2, 0xDF)) return between(second, 0x80, 0xBF) ? 2 : 0;
    if (between(first, 0xE0, 0xEF)) {
        const unsigned char low = first == 0xE0 ? 0xA0 : 0x80;
        const unsigned char high = first == 0xED ? 0x9F : 0xBF;
        return between(second, low, high) && continues(text, 1) ? 3 : 0;
    }
    if (between(first, 0xF0, 0xF4)) {
        const unsigned char low = first == 0xF0 ? 0x90 : 0x80;
        const unsigned char high = first == 0xF4 ? 0x8F : 0xBF;
        return between(second, low, high) && continues(text, 2) ? 4 : 0;
    }
    return 0;
}

std::string to_valid_utf8(std::string_view text) {
    std::string valid;
    valid.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_sequence_length(text);
        valid += length == 0 ? kReplacementCharacter : text.substr(0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return valid;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) noexcept {
    if (text.size() <= bytes_max) return text;
    std::size_t end = bytes_max;
    while (end > 0 && bytes_max - end < 3 && continues(text[end])) --end;
    return text.substr(0, end);
}

std::string_view utf8_suffix(std::string_view text, std::size_t bytes_max) noexcept {
    if (text.size() <= bytes_max) return text;
    std::size_t begin = text.size() - bytes_max;
    for (int i = 0; i < 3 && begin < text.size() && continues(text[begin]); ++i) ++begin;
    return text.substr(begin);
}

}  // namespace lovage::detail
