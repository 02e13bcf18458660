#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace lovage::detail {

/// One code point taken from the front of a text.
struct CodePoint {
    std::uint32_t value = 0;
    std::size_t length = 0;  ///< Bytes it took; 0 when the bytes are not UTF-8.

    [[nodiscard]] bool is_surrogate() const noexcept { return value >= 0xD800 && value <= 0xDFFF; }
};

/// Decodes the first code point of a non-empty text as WTF-8: UTF-8 that may also hold surrogates.
/// Overlong forms, stray and missing continuation bytes and values past U+10FFFF are refused.
[[nodiscard]] inline CodePoint decode_wtf8(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    if (lead < 0xC2 || lead > 0xF4) return {};
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (text.size() < length) return {};
    std::uint32_t value = lead & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return {};
        value = (value << 6U) | (byte(i) & 0x3FU);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < kSmallest[length] || value > 0x10FFFF) return {};
    return {value, length};
}

inline void append_wtf8(std::string& out, std::uint32_t value) {
    if (value < 0x80) {
        out += static_cast<char>(value);
    } else if (value < 0x800) {
        out += static_cast<char>(0xC0U | (value >> 6U));
        out += static_cast<char>(0x80U | (value & 0x3FU));
    } else if (value < 0x10000) {
        out += static_cast<char>(0xE0U | (value >> 12U));
        out += static_cast<char>(0x80U | ((value >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (value & 0x3FU));
    } else {
        out += static_cast<char>(0xF0U | (value >> 18U));
        out += static_cast<char>(0x80U | ((value >> 12U) & 0x3FU));
        out += static_cast<char>(0x80U | ((value >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (value & 0x3FU));
    }
}

/// UTF-8 proper: WTF-8 without surrogates.
[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const CodePoint point = decode_wtf8(text);
        if (point.length == 0 || point.is_surrogate()) return false;
        text.remove_prefix(point.length);
    }
    return true;
}

/// How many bytes at the front of `text` may stand in a JSON string as they are whatever the style:
/// ASCII from the blank on, but neither quote nor backslash. (DEL counts; Python's style escapes
/// it.)
[[nodiscard]] inline std::size_t plain_json_run(std::string_view text) noexcept {
    // Eight bytes at a time: a byte's high bit ends up set when the byte is not ASCII, is below
    // 0x20, or is one of the two characters (whose difference to itself, less one, borrows). A
    // borrow can taint the byte above, which only ends the fast loop early.
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    constexpr std::uint64_t kHigh = kOnes * 0x80;
    std::size_t done = 0;
    while (text.size() - done >= sizeof(std::uint64_t)) {
        std::uint64_t word;
        std::memcpy(&word, text.data() + done, sizeof word);
        const std::uint64_t quote = (word ^ (kOnes * '"')) - kOnes;
        const std::uint64_t backslash = (word ^ (kOnes * '\\')) - kOnes;
        if (((word | (word - kOnes * 0x20) | quote | backslash) & kHigh) != 0) break;
        done += sizeof word;
    }
    while (done < text.size()) {
        const auto byte = static_cast<unsigned char>(text[done]);
        if (byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\') break;
        ++done;
    }
    return done;
}

}  // namespace lovage::detail
