#include <lovage/core/json.hpp>

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include <lovage/core/detail/number_text.hpp>
#include <lovage/core/detail/utf8.hpp>

namespace lovage {

namespace {

/// A task message's body and its header table.
constexpr std::size_t kUsualItems = 3;
constexpr std::size_t kUsualMembers = 24;
constexpr std::size_t kAllLevels = std::numeric_limits<std::size_t>::max();

[[nodiscard]] bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

/// Applies Python's rule for doubled names: the last value wins, at the first one's place.
///
/// Small objects are compared name by name. Large ones are sorted by hash and name, which stays
/// O(n log n) even when someone chose names whose hashes collide.
void merge_doubled_names(Json::Object& members) {
    constexpr std::size_t kFewMembers = 32;
    if (members.size() <= kFewMembers) {
        for (std::size_t later = 1; later < members.size(); ++later) {
            for (std::size_t first = 0; first < later; ++first) {
                if (members[first].first != members[later].first) continue;
                members[first].second = std::move(members[later].second);
                members.erase(members.begin() + static_cast<std::ptrdiff_t>(later));
                --later;
                break;
            }
        }
        return;
    }

    struct Entry {
        std::size_t hash;
        std::size_t index;
    };
    std::vector<Entry> entries;
    entries.reserve(members.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
        entries.push_back({std::hash<std::string_view>{}(members[i].first), i});
    }
    std::ranges::sort(entries, [&](const Entry& left, const Entry& right) {
        if (left.hash != right.hash) return left.hash < right.hash;
        const int order = members[left.index].first.compare(members[right.index].first);
        return order != 0 ? order < 0 : left.index < right.index;
    });

    std::vector<bool> doubled;
    for (std::size_t begin = 0, end = 1; end <= entries.size(); ++end) {
        const bool same = end < entries.size() && entries[end].hash == entries[begin].hash &&
                          members[entries[end].index].first == members[entries[begin].index].first;
        if (same) continue;
        if (end - begin > 1) {
            doubled.resize(members.size());
            members[entries[begin].index].second =
                std::move(members[entries[end - 1].index].second);
            for (std::size_t i = begin + 1; i < end; ++i) doubled[entries[i].index] = true;
        }
        begin = end;
    }
    if (doubled.empty()) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (doubled[i]) continue;
        if (kept != i) members[kept] = std::move(members[i]);
        ++kept;
    }
    members.resize(kept);
}

/// One pass over a text. A null `out` anywhere means: check only, build nothing.
///
/// Recursion is bounded by `depth_max`, which parse() keeps at or below kJsonDepthMax.
class Reader {
public:
    Reader(std::string_view text, std::size_t depth_max)
        : begin_{text.data()},
          cursor_{text.data()},
          end_{text.data() + text.size()},
          depth_left_{depth_max},
          depth_max_{depth_max} {}

    Result<Json> read(std::size_t levels) {
        Json value;
        if (!read_document(value, levels)) return std::unexpected{std::move(error_)};
        return value;
    }

private:
    bool read_document(Json& value, std::size_t levels) {
        if (rest().starts_with("\xEF\xBB\xBF")) return fail_here("a value, not a byte order mark");
        skip_space();
        const char* const start = cursor_;
        if (!read_value(levels == 0 ? nullptr : &value, levels)) return false;
        if (levels == 0) value = Json::raw(std::string{start, cursor_});
        skip_space();
        return cursor_ == end_ || fail_here("the end of the text");
    }

    /// Expects `cursor_` at the value's first character.
    bool read_value(Json* out, std::size_t levels) {
        if (cursor_ == end_) return fail_here("a value");
        switch (*cursor_) {
            case '{':
            case '[':
                return read_container(out, levels);
            case '"': {
                if (out == nullptr) return read_string(nullptr);
                std::string text;
                if (!read_string(&text)) return false;
                *out = std::move(text);
                return true;
            }
            case 't':
                return read_word("true", out, true);
            case 'f':
                return read_word("false", out, false);
            case 'n':
                return read_word("null", out, nullptr);
            case 'N':
                return read_word("NaN", out, std::numeric_limits<double>::quiet_NaN());
            case 'I':
                return read_word("Infinity", out, std::numeric_limits<double>::infinity());
            default:
                return read_number(out);
        }
    }

    bool read_word(std::string_view word, Json* out, Json value) {
        if (!rest().starts_with(word)) return fail_here("a value");
        cursor_ += word.size();
        if (out != nullptr) *out = std::move(value);
        return true;
    }

    bool read_container(Json* out, std::size_t levels) {
        if (depth_left_ == 0) {
            error_ = Error{Errc::too_large,
                           fmt::format("JSON at byte {}: nested deeper than {} containers",
                                       offset(cursor_), depth_max_)};
            return false;
        }
        --depth_left_;
        const char* const start = cursor_;
        const bool keep_raw = out != nullptr && levels == 0;
        Json* const target = keep_raw ? nullptr : out;
        const std::size_t inner = levels == 0 ? 0 : levels - 1;
        if (!(*start == '[' ? read_array(target, inner) : read_object(target, inner))) return false;
        if (keep_raw) *out = Json::raw(std::string{start, cursor_});
        ++depth_left_;
        return true;
    }

    bool read_array(Json* out, std::size_t levels) {
        ++cursor_;
        skip_space();
        Json::Array items;
        if (!skip_if(']')) {
            if (out != nullptr && is_outermost()) items.reserve(kUsualItems);
            while (true) {
                if (!read_value(out == nullptr ? nullptr : &items.emplace_back(), levels))
                    return false;
                skip_space();
                if (skip_if(']')) break;
                if (!skip_if(',')) return fail_here("',' or ']'");
                skip_space();
            }
        }
        if (out != nullptr) *out = std::move(items);
        return true;
    }

    bool read_object(Json* out, std::size_t levels) {
        ++cursor_;
        skip_space();
        Json::Object members;
        if (!skip_if('}')) {
            if (out != nullptr && is_outermost()) members.reserve(kUsualMembers);
            while (true) {
                Json::Member* const member = out == nullptr ? nullptr : &members.emplace_back();
                if (!read_member(member, levels)) return false;
                skip_space();
                if (skip_if('}')) break;
                if (!skip_if(',')) return fail_here("',' or '}'");
                skip_space();
            }
        }
        if (out != nullptr) {
            merge_doubled_names(members);
            *out = std::move(members);
        }
        return true;
    }

    /// Only one container a text gets room in advance: with all of them, a text of many small ones
    /// would cost much more memory than it has bytes.
    [[nodiscard]] bool is_outermost() const { return depth_left_ + 1 == depth_max_; }

    bool read_member(Json::Member* member, std::size_t levels) {
        if (cursor_ == end_ || *cursor_ != '"')
            return fail_here("a member's name in double quotes");
        if (!read_string(member == nullptr ? nullptr : &member->first)) return false;
        skip_space();
        if (!skip_if(':')) return fail_here("':'");
        skip_space();
        return read_value(member == nullptr ? nullptr : &member->second, levels);
    }

    bool read_string(std::string* out) {
        ++cursor_;
        while (true) {
            const char* const run = cursor_;
            if (!skip_unescaped()) return false;
            if (out != nullptr) out->append(run, cursor_);
            if (*cursor_ == '"') {
                ++cursor_;
                return true;
            }
            if (!read_escape(out)) return false;
        }
    }

    /// Moves to the next quote or backslash, over whatever may stand in a string as it is.
    bool skip_unescaped() {
        while (true) {
            cursor_ += detail::plain_json_run(rest());
            if (cursor_ == end_) return fail_here("the string's closing quote");
            if (*cursor_ == '"' || *cursor_ == '\\') return true;
            if (static_cast<unsigned char>(*cursor_) < 0x20) {
                return fail_here("a control character to be escaped");
            }
            while (cursor_ != end_ && static_cast<unsigned char>(*cursor_) >= 0x80) {
                const detail::CodePoint point = detail::decode_wtf8(rest());
                if (point.length == 0 || point.is_surrogate()) return fail_here("UTF-8");
                cursor_ += point.length;
            }
        }
    }

    bool read_escape(std::string* out) {
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
        if (out != nullptr) *out += plain;
        return true;
    }

    bool read_unicode_escape(std::string* out) {
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
        if (out != nullptr) detail::append_wtf8(*out, value);
        return true;
    }

    /// Expects `cursor_` at the `u`.
    bool read_four_hex_digits(std::uint32_t& value) {
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

    bool read_number(Json* out) {
        const char* const start = cursor_;
        if (skip_if('-') && rest().starts_with("Infinity")) {
            return read_word("Infinity", out, -std::numeric_limits<double>::infinity());
        }
        if (!skip_if('0') && !skip_digits()) {
            return fail_here(cursor_ == start ? "a value"
                                              : "a digit or Infinity after the minus sign");
        }
        bool real = false;
        if (skip_if('.')) {
            real = true;
            if (!skip_digits()) return fail_here("a digit after the decimal point");
        }
        if (skip_if('e') || skip_if('E')) {
            real = true;
            if (!skip_if('+')) skip_if('-');
            if (!skip_digits()) return fail_here("a digit in the exponent");
        }
        if (out != nullptr) {
            const std::string_view text{start, cursor_};
            *out = real ? Json{detail::real_from_decimal(text)} : Json::integer(text);
        }
        return true;
    }

    bool skip_digits() {
        const char* const start = cursor_;
        while (cursor_ != end_ && is_digit(*cursor_)) ++cursor_;
        return cursor_ != start;
    }

    void skip_space() {
        while (cursor_ != end_ &&
               (*cursor_ == ' ' || *cursor_ == '\n' || *cursor_ == '\t' || *cursor_ == '\r')) {
            ++cursor_;
        }
    }

    bool skip_if(char c) {
        if (cursor_ == end_ || *cursor_ != c) return false;
        ++cursor_;
        return true;
    }

    [[nodiscard]] std::string_view rest() const { return {cursor_, end_}; }
    [[nodiscard]] std::size_t offset(const char* at) const {
        return static_cast<std::size_t>(at - begin_);
    }

    /// Always false, so that callers can return it.
    bool fail_here(std::string_view expected) {
        error_ = Error{Errc::malformed, fmt::format("JSON at byte {}: expected {}, found {}",
                                                    offset(cursor_), expected, found())};
        return false;
    }

    [[nodiscard]] std::string found() const {
        if (cursor_ == end_) return "the end of the text";
        const auto byte = static_cast<unsigned char>(*cursor_);
        if (byte > 0x20 && byte < 0x7F) return fmt::format("'{}'", *cursor_);
        const detail::CodePoint point = detail::decode_wtf8(rest());
        if (byte >= 0x80 && point.length != 0 && !point.is_surrogate()) {
            return fmt::format("'{}'", rest().substr(0, point.length));
        }
        return fmt::format("byte 0x{:02x}", byte);
    }

    const char* begin_;
    const char* cursor_;
    const char* end_;
    std::size_t depth_left_;
    std::size_t depth_max_;
    Error error_;
};

Result<Json> parse(std::string_view text, std::size_t levels, const JsonLimits& limits) {
    if (text.size() > limits.bytes) {
        return fail(Errc::too_large, fmt::format("JSON text of {} bytes, more than the limit of {}",
                                                 text.size(), limits.bytes));
    }
    return Reader{text, std::min(limits.depth, kJsonDepthMax)}.read(levels);
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
    return parse(text, kAllLevels, limits);
}

Result<Json> parse_json_shallow(std::string_view text, std::size_t levels,
                                const JsonLimits& limits) {
    return parse(text, levels, limits);
}

}  // namespace lovage
