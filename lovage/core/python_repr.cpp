#include <lovage/core/python_repr.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include <lovage/core/detail/utf8.hpp>
#include <lovage/core/task_message.hpp>

namespace lovage {
namespace {

constexpr std::string_view kEllipsis = "...";

/// The length of `text` in code points, counting at most `max`.
std::size_t count_characters(std::string_view text, std::size_t max) {
    std::size_t count = 0;
    for (const char c : text) {
        if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;
        if (++count == max) break;
    }
    return count;
}

/// The first `count` code points of `text`.
std::string_view first_characters(std::string_view text, std::size_t count) {
    std::size_t end = 0;
    for (; end < text.size(); ++end) {
        if ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) continue;
        if (count-- == 0) break;
    }
    return text.substr(0, end);
}

/// null, true, 12 or 0.5 as Python shows them.
std::string scalar_repr(const Json& value) {
    switch (value.kind()) {
        case Json::Kind::boolean:
            return value.as_bool() ? "True" : "False";
        case Json::Kind::integer:
            return value.integer_text();
        case Json::Kind::real:
            return python_float_repr(value.as_real());
        default:
            return "None";
    }
}

bool is_list(const Json& value) {
    return value.python_type_name() == "list";
}
bool is_container(const Json& value) {
    return is_list(value) || value.python_type_name() == "dict";
}

// ---------------------------------------------------------------------------------- Python's repr

struct CodePointRange {
    std::uint32_t first;
    std::uint32_t last;
};

/// What `str.isprintable` refuses: controls, formats, separators other than the blank, surrogates,
/// private use and non-characters (Unicode 14, as Python 3.11). Unassigned code points are not
/// listed: they would be a table of hundreds of rows for text nobody writes.
constexpr CodePointRange kNotPrintable[] = {
    {0x0000, 0x001F},   {0x007F, 0x00A0},    {0x00AD, 0x00AD},   {0x0600, 0x0605},
    {0x061C, 0x061C},   {0x06DD, 0x06DD},    {0x070F, 0x070F},   {0x0890, 0x0891},
    {0x08E2, 0x08E2},   {0x1680, 0x1680},    {0x180E, 0x180E},   {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x2064},    {0x2066, 0x206F},   {0x3000, 0x3000},
    {0xD800, 0xF8FF},   {0xFDD0, 0xFDEF},    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},
    {0xFFFE, 0xFFFF},   {0x110BD, 0x110BD},  {0x110CD, 0x110CD}, {0x13430, 0x13438},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},  {0x1FFFE, 0x1FFFF}, {0x2FFFE, 0x2FFFF},
    {0x3FFFE, 0x3FFFF}, {0x4FFFE, 0x4FFFF},  {0x5FFFE, 0x5FFFF}, {0x6FFFE, 0x6FFFF},
    {0x7FFFE, 0x7FFFF}, {0x8FFFE, 0x8FFFF},  {0x9FFFE, 0x9FFFF}, {0xAFFFE, 0xAFFFF},
    {0xBFFFE, 0xBFFFF}, {0xCFFFE, 0xCFFFF},  {0xDFFFE, 0xDFFFF}, {0xE0001, 0xE0001},
    {0xE0020, 0xE007F}, {0xEFFFE, 0x10FFFF},
};

bool is_printable(std::uint32_t code_point) {
    const auto* range =
        std::ranges::lower_bound(kNotPrintable, code_point, {}, &CodePointRange::last);
    return range == std::end(kNotPrintable) || code_point < range->first;
}

std::string escaped_code_point(std::uint32_t code_point) {
    switch (code_point) {
        case '\t':
            return "\\t";
        case '\n':
            return "\\n";
        case '\r':
            return "\\r";
        default:
            break;
    }
    if (code_point < 0x100) return fmt::format("\\x{:02x}", code_point);
    if (code_point < 0x10000) return fmt::format("\\u{:04x}", code_point);
    return fmt::format("\\U{:08x}", code_point);
}

class ReprWriter {
public:
    explicit ReprWriter(std::size_t characters_max) : characters_max_{characters_max} {}

    void value(const Json& value) {
        if (full()) return;
        switch (value.kind()) {
            case Json::Kind::string:
                string(value.as_string());
                break;
            case Json::Kind::array:
                array(value.as_array());
                break;
            case Json::Kind::object:
                object(value.as_object());
                break;
            case Json::Kind::raw:
                if (const Result<Json> open = value.expanded({.depth = kJsonDepthMax})) {
                    this->value(*open);
                } else {
                    append(kEllipsis);
                }
                break;
            default:
                append(scalar_repr(value));
        }
    }

    [[nodiscard]] std::string take() && {
        if (!full()) return std::move(text_);
        text_.resize(first_characters(text_, characters_max_).size());
        return text_.append(kEllipsis);
    }

private:
    /// One character past the limit is enough to know that something must be cut.
    [[nodiscard]] bool full() const { return characters_ > characters_max_; }

    void append(std::string_view text) {
        text_ += text;
        characters_ += count_characters(text, characters_max_ + 1);
    }

    void string(std::string_view text) {
        const bool double_quotes = text.contains('\'') && !text.contains('"');
        const char quote = double_quotes ? '"' : '\'';
        append({&quote, 1});
        while (!text.empty() && !full()) {
            const detail::CodePoint point = detail::decode_wtf8(text);
            const std::size_t length = std::max<std::size_t>(point.length, 1);
            if (point.length == 0) {
                append(escaped_code_point(static_cast<unsigned char>(text.front())));
            } else if (point.value == '\\' || point.value == static_cast<unsigned char>(quote)) {
                append("\\");
                append(text.substr(0, 1));
            } else if (is_printable(point.value)) {
                append(text.substr(0, length));
            } else {
                append(escaped_code_point(point.value));
            }
            text.remove_prefix(length);
        }
        append({&quote, 1});
    }

    void array(const Json::Array& items) {
        append("[");
        for (std::size_t i = 0; i < items.size() && !full(); ++i) {
            if (i > 0) append(", ");
            value(items[i]);
        }
        append("]");
    }

    void object(const Json::Object& members) {
        append("{");
        for (std::size_t i = 0; i < members.size() && !full(); ++i) {
            if (i > 0) append(", ");
            string(members[i].first);
            append(": ");
            value(members[i].second);
        }
        append("}");
    }

    std::size_t characters_max_;
    std::size_t characters_ = 0;
    std::string text_;
};

// --------------------------------------------------------------------------------- Celery's repr

/// Writes the text token by token against a budget of characters, as Celery does. Its peculiar
/// results (checked against celery.utils.saferepr) follow from three rules:
///  - a string or number is cut to what is left, back to its last blank, and "..." is added;
///  - the first token that finds nothing left is lost and ", ..." stands in its place, even when it
///    is a closing bracket;
///  - after that only the closing brackets of containers still open are written.
class CeleryReprWriter {
public:
    void value(const Json& value, int level, bool as_tuple = false) {
        if (cut_off_) return;
        if (is_container(value)) {
            container(value, level, as_tuple);
        } else if (value.is_string()) {
            string(value.as_string());
        } else if (value.is_raw()) {
            const Result<Json> open = value.expanded();
            if (!open) return token(cut(kEllipsis));
            this->value(*open, level);
        } else {
            token(cut(scalar_repr(value)));
        }
    }

    [[nodiscard]] std::string take() && { return std::move(text_); }

private:
    static constexpr int kLevels = 3;
    static constexpr std::ptrdiff_t kCharacters = 1024;

    void token(std::string_view text) {
        if (cut_off_) return;
        if (left_ <= 0) {
            text_ += ", ...";
            cut_off_ = true;
            return;
        }
        text_ += text;
        left_ -= static_cast<std::ptrdiff_t>(count_characters(text, 2 * kCharacters));
    }

    void closing_bracket(std::string_view bracket) {
        if (cut_off_) {
            text_ += bracket;
        } else {
            token(bracket);
        }
    }

    [[nodiscard]] std::string cut(std::string_view text) const {
        const auto left = static_cast<std::size_t>(std::max<std::ptrdiff_t>(left_, 0));
        // As many characters as bytes at most.
        const bool fits = text.size() < left || count_characters(text, left) < left;
        if (left == 0 || fits) return std::string{text};
        const std::string_view kept = first_characters(text, left);
        return std::string{kept.substr(0, kept.rfind(' '))}.append(kEllipsis);
    }

    /// Only the single quote is escaped; line breaks and backslashes stay as they are.
    void string(std::string_view text) {
        if (left_ <= 0 || cut_off_) return token({});
        const std::string kept = cut(text);
        std::string quoted;
        quoted.reserve(kept.size() + 2);
        quoted += '\'';
        std::size_t done = 0;
        for (auto at = kept.find('\''); at != std::string::npos; at = kept.find('\'', at + 1)) {
            quoted.append(kept, done, at - done).append("\\'");
            done = at + 1;
        }
        quoted.append(kept, done).push_back('\'');
        token(quoted);
    }

    void container(const Json& value, int level, bool as_tuple) {
        const bool list = is_list(value);
        if (level >= kLevels) return token(cut(list ? "[...]" : "{...}"));
        if (!value.is_raw()) return contents(value, level, as_tuple);
        const Result<Json> open = value.expanded({.depth = kJsonDepthMax});
        if (!open) return token(cut(kEllipsis));
        contents(*open, level, as_tuple);
    }

    void contents(const Json& value, int level, bool as_tuple) {
        if (value.is_array()) {
            array(value.as_array(), level, as_tuple);
        } else {
            object(value.as_object(), level);
        }
    }

    void array(const Json::Array& items, int level, bool as_tuple) {
        token(as_tuple ? "(" : "[");
        for (std::size_t i = 0; i < items.size() && !cut_off_; ++i) {
            if (i > 0) token(", ");
            value(items[i], level + 1);
        }
        closing_bracket(!as_tuple ? "]" : items.size() == 1 ? ",)" : ")");
    }

    void object(const Json::Object& members, int level) {
        token("{");
        for (std::size_t i = 0; i < members.size() && !cut_off_; ++i) {
            if (i > 0) token(", ");
            string(members[i].first);
            token(": ");
            value(members[i].second, level + 1);
        }
        closing_bracket("}");
    }

    std::ptrdiff_t left_ = kCharacters;
    bool cut_off_ = false;
    std::string text_;
};

}  // namespace

std::string python_repr(const Json& value, std::size_t characters_max) {
    ReprWriter writer{characters_max};
    writer.value(value);
    return std::move(writer).take();
}

std::string celery_repr(const Json& value, bool as_tuple) {
    CeleryReprWriter writer;
    writer.value(value, 0, as_tuple && is_list(value));
    return std::move(writer).take();
}

}  // namespace lovage
