#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <lovage/core/error.hpp>

namespace lovage::detail {

/// The tokens of a JSON text as Python's `json` reads it, one after the other, and what to say when
/// the next one is not there. What the tokens mean is its users' business: json_reader.cpp makes
/// values of them, json_events.cpp reports them.
///
/// Each function moves the cursor over what it has read. Those that return bool say false after
/// fail_here(); error() then tells what was expected where.
class JsonScanner {
public:
    JsonScanner(std::string_view text, std::size_t depth_max) noexcept
        : begin_{text.data()},
          cursor_{text.data()},
          end_{text.data() + text.size()},
          depth_left_{depth_max},
          depth_max_{depth_max} {}

    [[nodiscard]] bool at_end() const noexcept { return cursor_ == end_; }
    /// The next character; not at the end.
    [[nodiscard]] char peek() const noexcept { return *cursor_; }
    [[nodiscard]] const char* cursor() const noexcept { return cursor_; }
    [[nodiscard]] std::string_view rest() const noexcept { return {cursor_, end_}; }

    void skip_space() noexcept {
        while (cursor_ != end_ &&
               (*cursor_ == ' ' || *cursor_ == '\n' || *cursor_ == '\t' || *cursor_ == '\r')) {
            ++cursor_;
        }
    }
    bool skip_if(char c) noexcept {
        if (cursor_ == end_ || *cursor_ != c) return false;
        ++cursor_;
        return true;
    }

    /// Space before the first value; a byte order mark is refused as Python refuses it.
    bool begin_document();
    /// Space behind the last value and nothing else.
    bool end_document();

    /// The bracket that begins a container, one level deeper.
    bool enter_container();
    void leave_container() noexcept { ++depth_left_; }
    /// Inside the outermost container and no deeper.
    [[nodiscard]] bool is_outermost() const noexcept { return depth_left_ + 1 == depth_max_; }
    /// Between two items: true at a comma, which is read; false at `close`, which is read too, and
    /// when neither is there (`failed`).
    bool next_item(char close, bool& failed);

    bool read_word(std::string_view word);
    /// A string in quotes. Its characters are in `text`: a piece of the JSON text itself when
    /// nothing is escaped, else `scratch`, which is overwritten.
    bool read_string(std::string_view& text, std::string& scratch);
    /// A member's name with the colon behind it.
    bool read_name(std::string_view& name, std::string& scratch);

    struct Number {
        std::string_view text;
        bool real = false;               ///< With a fraction or an exponent.
        bool negative_infinity = false;  ///< "-Infinity", which begins like a number.
    };
    bool read_number(Number& number);

    /// Always false, so that callers can return it.
    bool fail_here(std::string_view expected);
    [[nodiscard]] Error take_error() { return std::move(error_); }

private:
    bool skip_digits() noexcept;
    bool skip_unescaped();
    bool read_escape(std::string& out);
    bool read_unicode_escape(std::string& out);
    bool read_four_hex_digits(std::uint32_t& value);
    [[nodiscard]] std::size_t offset() const noexcept {
        return static_cast<std::size_t>(cursor_ - begin_);
    }
    [[nodiscard]] std::string found() const;

    const char* begin_;
    const char* cursor_;
    const char* end_;
    std::size_t depth_left_;
    std::size_t depth_max_;
    Error error_;
};

}  // namespace lovage::detail
