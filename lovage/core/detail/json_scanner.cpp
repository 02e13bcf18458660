#include <lovage/core/detail/json_scanner.hpp>

#include <fmt/format.h>

#include <lovage/core/detail/ascii.hpp>
#include <lovage/core/detail/utf8.hpp>

namespace lovage::detail {

bool JsonScanner::begin_document() {
    if (rest().starts_with("\xEF\xBB\xBF")) return fail_here("a value, not a byte order mark");
    skip_space();
    return true;
}

bool JsonScanner::end_document() {
    skip_space();
    return at_end() || fail_here("the end of the text");
}

bool JsonScanner::enter_container() {
    if (depth_left_ == 0) {
        error_ = Error{
            Errc::too_large,
            fmt::format("JSON at byte {}: nested deeper than {} containers", offset(), depth_max_)};
        return false;
    }
    --depth_left_;
    ++cursor_;
    skip_space();
    return true;
}

bool JsonScanner::next_item(char close, bool& failed) {
    skip_space();
    if (skip_if(',')) {
        skip_space();
        return true;
    }
    failed = !skip_if(close) && !fail_here(close == ']' ? "',' or ']'" : "',' or '}'");
    return false;
}

bool JsonScanner::read_word(std::string_view word) {
    if (!rest().starts_with(word)) return fail_here("a value");
    cursor_ += word.size();
    return true;
}

bool JsonScanner::read_string(std::string_view& text, std::string& scratch) {
    ++cursor_;
    const char* run = cursor_;
    if (!skip_unescaped()) return false;
    if (*cursor_ == '"') {
        text = {run, cursor_};
        ++cursor_;
        return true;
    }
    scratch.assign(run, cursor_);
    while (true) {
        if (!read_escape(scratch)) return false;
        run = cursor_;
        if (!skip_unescaped()) return false;
        scratch.append(run, cursor_);
        if (*cursor_ == '"') break;
    }
    ++cursor_;
    text = scratch;
    return true;
}

bool JsonScanner::read_name(std::string_view& name, std::string& scratch) {
    if (at_end() || *cursor_ != '"') return fail_here("a member's name in double quotes");
    if (!read_string(name, scratch)) return false;
    skip_space();
    if (!skip_if(':')) return fail_here("':'");
    skip_space();
    return true;
}

/// Moves to the next quote or backslash, over whatever may stand in a string as it is.
bool JsonScanner::skip_unescaped() {
    while (true) {
        cursor_ += plain_json_run(rest());
        if (cursor_ == end_) return fail_here("the string's closing quote");
        if (*cursor_ == '"' || *cursor_ == '\\') return true;
        if (static_cast<unsigned char>(*cursor_) < 0x20) {
            return fail_here("a control character to be escaped");
        }
        while (cursor_ != end_ && static_cast<unsigned char>(*cursor_) >= 0x80) {
            const CodePoint point = decode_wtf8(rest());
            if (point.length == 0 || point.is_surrogate()) return fail_here("UTF-8");
            cursor_ += point.length;
        }
    }
}

bool JsonScanner::read_escape(std::string& out) {
    ++cursor_;
    if (cursor_ == end_) return fail_here("the rest of an escape");
    char plain = *cursor_;
    switch (*cursor_) {
        case '"':
        case '\\':
        case '/':
            break;
        case 'b':
            plain = '\b';
            break;
        case 'f':
            plain = '\f';
            break;
        case 'n':
            plain = '\n';
            break;
        case 'r':
            plain = '\r';
            break;
        case 't':
            plain = '\t';
            break;
        case 'u':
            return read_unicode_escape(out);
        default:
            return fail_here("one of \" \\ / b f n r t u after a backslash");
    }
    ++cursor_;
    out += plain;
    return true;
}

bool JsonScanner::read_unicode_escape(std::string& out) {
    std::uint32_t value = 0;
    if (!read_four_hex_digits(value)) return false;
    const bool high = value >= 0xD800 && value <= 0xDBFF;
    if (high && rest().starts_with("\\u")) {
        const char* const second = cursor_;
        ++cursor_;
        std::uint32_t low = 0;
        if (!read_four_hex_digits(low)) return false;
        if (low >= 0xDC00 && low <= 0xDFFF) {
            value = 0x10000 + ((value - 0xD800) << 10U) + (low - 0xDC00);
        } else {
            cursor_ = second;
        }
    }
    append_wtf8(out, value);
    return true;
}

/// Expects the cursor at the `u`.
bool JsonScanner::read_four_hex_digits(std::uint32_t& value) {
    ++cursor_;
    for (int i = 0; i < 4; ++i, ++cursor_) {
        const char c = cursor_ == end_ ? '\0' : *cursor_;
        std::uint32_t digit = 0;
        if (is_digit(c)) {
            digit = static_cast<std::uint32_t>(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = static_cast<std::uint32_t>((c | 0x20) - 'a') + 10;
        } else {
            return fail_here("four hexadecimal digits after \\u");
        }
        value = (value << 4U) | digit;
    }
    return true;
}

bool JsonScanner::read_number(Number& number) {
    const char* const start = cursor_;
    if (skip_if('-') && rest().starts_with("Infinity")) {
        number.negative_infinity = true;
        return read_word("Infinity");
    }
    if (!skip_if('0') && !skip_digits()) {
        return fail_here(cursor_ == start ? "a value" : "a digit or Infinity after the minus sign");
    }
    if (skip_if('.')) {
        number.real = true;
        if (!skip_digits()) return fail_here("a digit after the decimal point");
    }
    if (skip_if('e') || skip_if('E')) {
        number.real = true;
        if (!skip_if('+')) skip_if('-');
        if (!skip_digits()) return fail_here("a digit in the exponent");
    }
    number.text = {start, cursor_};
    return true;
}

bool JsonScanner::skip_digits() noexcept {
    const char* const start = cursor_;
    while (cursor_ != end_ && is_digit(*cursor_)) ++cursor_;
    return cursor_ != start;
}

bool JsonScanner::fail_here(std::string_view expected) {
    error_ = Error{Errc::malformed, fmt::format("JSON at byte {}: expected {}, found {}", offset(),
                                                expected, found())};
    return false;
}

std::string JsonScanner::found() const {
    if (cursor_ == end_) return "the end of the text";
    const auto byte = static_cast<unsigned char>(*cursor_);
    if (byte > 0x20 && byte < 0x7F) return fmt::format("'{}'", *cursor_);
    const CodePoint point = decode_wtf8(rest());
    if (byte >= 0x80 && point.length != 0 && !point.is_surrogate()) {
        return fmt::format("'{}'", rest().substr(0, point.length));
    }
    return fmt::format("byte 0x{:02x}", byte);
}

}  // namespace lovage::detail
