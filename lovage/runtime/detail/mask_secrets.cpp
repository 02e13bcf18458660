#include <lovage/runtime/detail/mask_secrets.hpp>

#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace lovage::detail {

namespace {

constexpr std::array<std::string_view, 9> kSecretNames{"password", "passwd", "pwd",
                                                       "secret",   "token",  "access_token",
                                                       "api_key",  "apikey", "sslpassword"};
constexpr std::size_t kLongestSecretName = 12;
constexpr std::string_view kQuotes = "\"'`<>|";
constexpr std::string_view kStops = ".,;:)]}";

bool is_name_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

bool is_blank(char c) {
    return static_cast<unsigned char>(c) <= ' ';
}

bool is_all_digits(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// One pass over a text. Quotes do not end a password: they are legal in one, and what is hidden
/// too much costs less than what is shown too much.
class Masker {
public:
    explicit Masker(std::string_view text) : text_{text} {}

    MaskedText run(std::size_t bytes_max) {
        masked_.reserve(std::min(text_.size(), bytes_max));
        while (at_ < text_.size() && masked_.size() < bytes_max) {
            if (!mask_password() && !mask_named_value()) masked_ += text_[at_++];
        }
        return {std::move(masked_), text_.size() - at_};
    }

private:
    [[nodiscard]] std::string_view slice(std::size_t from, std::size_t to) const {
        return text_.substr(from, to - from);
    }
    /// Appends what is shown up to `from` and the mask for what stands from there to `to`.
    void hide(std::size_t from, std::size_t to) {
        masked_.append(slice(at_, from));
        if (to > from) masked_.append(kSecretMask);
        at_ = to;
    }

    bool mask_password() {
        if (!text_.substr(at_).starts_with("://")) return false;
        const std::size_t start = at_ + 3;
        read_word(start);
        // Ends before the next "://", so that no byte is looked at by two URLs.
        const std::string_view authority =
            slice(start, std::min(text_.find_first_of("/?#", start), word_end_));
        const std::size_t colon = authority.find(':');
        if (colon == std::string_view::npos) return false;
        std::size_t mark = authority.rfind('@');
        if (mark == std::string_view::npos) {
            // A password with a bare '/', '?' or '#' in it is no valid URL, but people write such:
            // what follows the colon is then no port number.
            if (is_all_digits(authority.substr(colon + 1))) return false;
            if (word_mark_ == std::string_view::npos || word_mark_ < start) return false;
            mark = word_mark_ - start;
        }
        if (colon >= mark || colon + 1 == mark) return false;
        hide(start + colon + 1, start + mark);
        return true;
    }

    /// Finds where the word around `place` ends, and its last '@', once for each word.
    void read_word(std::size_t place) {
        if (place < word_end_) return;
        const std::string_view rest = text_.substr(place);
        const std::string_view word = rest.substr(
            0, static_cast<std::size_t>(std::ranges::find_if(rest, is_blank) - rest.begin()));
        word_end_ = place + word.size();
        const std::size_t mark = word.rfind('@');
        word_mark_ = mark == std::string_view::npos ? mark : place + mark;
    }

    bool mask_named_value() {
        if (at_ > 0 && is_name_character(text_[at_ - 1])) return false;
        const std::string_view head = text_.substr(at_, kLongestSecretName + 1);
        const std::size_t equals = head.find('=');
        if (equals == std::string_view::npos || !is_secret_name(head.substr(0, equals))) {
            return false;
        }
        const std::size_t start = at_ + equals + 1;
        hide(start, value_end(start));
        return true;
    }

    [[nodiscard]] std::size_t value_end(std::size_t start) const {
        if (const std::size_t end = quoted_end(start); end != start) return end;
        std::size_t end = start;
        while (end < text_.size() && !is_blank(text_[end]) && text_[end] != '&' &&
               text_[end] != '#') {
            ++end;
        }
        // A quote and stops at its end are the text's around it: "…?token=abc'."
        std::size_t last = end;
        while (last > start && kStops.contains(text_[last - 1])) --last;
        return last > start && kQuotes.contains(text_[last - 1]) ? last - 1 : end;
    }

    /// libpq's `password='it\'s'`: behind the closing quote; `start` when there is none.
    [[nodiscard]] std::size_t quoted_end(std::size_t start) const {
        if (start == text_.size() || (text_[start] != '\'' && text_[start] != '"')) return start;
        for (std::size_t place = start + 1; place < text_.size(); ++place) {
            if (text_[place] == '\\') {
                ++place;
            } else if (text_[place] == text_[start]) {
                return place + 1;
            }
        }
        return start;
    }

    std::string_view text_;
    std::string masked_;
    std::size_t at_ = 0;
    std::size_t word_end_ = 0;
    std::size_t word_mark_ = std::string_view::npos;
};

bool ends_in_secret_name(std::string_view name) {
    if (is_secret_name(name)) return true;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const bool border = name[i] == '_' || name[i] == '-' || name[i] == '.';
        if (border && is_secret_name(name.substr(i + 1))) return true;
    }
    return false;
}

}  // namespace

bool is_secret_name(std::string_view name) noexcept {
    const auto lower = [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    };
    return std::ranges::any_of(kSecretNames, [&](std::string_view secret) {
        return std::ranges::equal(secret, name, {}, {}, lower);
    });
}

Json mask_members(Json value) {
    if (value.is_string()) return log::mask_secrets(value.as_string());
    if (value.is_array()) {
        for (Json& item : value.as_array()) item = mask_members(std::move(item));
    } else if (value.is_object()) {
        for (auto& [name, member] : value.as_object()) {
            member =
                ends_in_secret_name(name) ? Json{kSecretMask} : mask_members(std::move(member));
        }
    }
    return value;
}

std::string mask_url(std::string_view text) {
    const std::size_t scheme_end = text.find("://");
    const std::size_t start = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
    const std::size_t colon = text.find(':', start);
    const std::size_t mark = text.rfind('@');
    const bool has_password =
        colon != std::string_view::npos && mark != std::string_view::npos && colon + 1 < mark;
    if (!has_password) return log::mask_secrets(text);
    std::string shown{text.substr(0, colon + 1)};
    shown.append(kSecretMask);
    return shown + log::mask_secrets(text.substr(mark));
}

MaskedText mask_secrets(std::string_view text, std::size_t bytes_max) {
    return Masker{text}.run(bytes_max);
}

}  // namespace lovage::detail

namespace lovage::log {

std::string mask_secrets(std::string_view text) {
    return lovage::detail::mask_secrets(text, std::numeric_limits<std::size_t>::max()).text;
}

}  // namespace lovage::log
