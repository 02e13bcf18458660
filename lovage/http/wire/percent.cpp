#include <lovage/http/wire/percent.hpp>

#include <algorithm>

#include <lovage/http/wire/characters.hpp>

namespace lovage::http::wire {

namespace {

/// The length of the UTF-8 sequence at the front of `bytes`, or 0 when there is none; then `bad` is
/// how many bytes one U+FFFD stands for (the longest prefix of a sequence: Unicode 15, section 3.9,
/// as Python does).
std::size_t utf8_sequence(std::string_view bytes, std::size_t& bad) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned lead = byte(0);
    bad = 1;
    if (lead < 0x80) return 1;
    std::size_t length = 0;
    unsigned low = 0x80, high = 0xbf;  // bounds of the second byte
    if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f;
    } else {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i, low = 0x80, high = 0xbf) {
        if (i >= bytes.size() || byte(i) < low || byte(i) > high) {
            bad = i;
            return 0;
        }
    }
    return length;
}

std::string valid_utf8(std::string bytes) {
    const auto plain = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    if (std::ranges::all_of(bytes, plain)) return bytes;
    std::string text;
    text.reserve(bytes.size());
    for (std::string_view rest = bytes; !rest.empty();) {
        std::size_t bad = 0;
        const auto length = utf8_sequence(rest, bad);
        text += length > 0 ? rest.substr(0, length) : std::string_view{"\xef\xbf\xbd"};
        rest.remove_prefix(length > 0 ? length : bad);
    }
    return text;
}

}  // namespace

std::string percent_decode(std::string_view text, bool plus_is_blank) {
    std::string bytes;
    bytes.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            bytes += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            bytes += plus_is_blank && text[i] == '+' ? ' ' : text[i];
        }
    }
    return valid_utf8(std::move(bytes));
}

QueryPairs parse_query(std::string_view query) {
    QueryPairs pairs;
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        const auto equals = std::min(pair.find('='), pair.size());
        pairs.emplace_back(percent_decode(pair.substr(0, equals), true),
                           percent_decode(pair.substr(std::min(equals + 1, pair.size())), true));
    }
    return pairs;
}

}  // namespace lovage::http::wire
