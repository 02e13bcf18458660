#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <array>
#include <cctype>

namespace lovage::log {

namespace {

constexpr std::string_view kMask = "********";

/// Names whose value is a secret wherever they stand as `name=value`: in a query, in a libpq
/// connection text.
constexpr std::array<std::string_view, 9> kSecretNames{"password", "passwd", "pwd",
                                                       "secret",   "token",  "access_token",
                                                       "api_key",  "apikey", "sslpassword"};

bool is_name_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

/// Where a URL or a value must end in running text.
bool ends_word(char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' ||
           c == '`' || c == '|';
}

bool is_all_digits(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// The password inside `rest`, which follows "://": offset and length, or an empty view when there
/// is none.
std::string_view password_in(std::string_view rest) {
    const auto word_end =
        static_cast<std::size_t>(std::ranges::find_if(rest, ends_word) - rest.begin());
    const std::string_view word = rest.substr(0, word_end);
    const std::size_t authority_end = std::min(word.find_first_of("/?#"), word.size());
    const std::string_view authority = word.substr(0, authority_end);

    std::size_t at = authority.rfind('@');
    if (at == std::string_view::npos) {
        // A password with a bare '/', '?' or '#' in it is no valid URL, but people write such: what
        // follows the colon is then no port number.
        const std::size_t colon = authority.find(':');
        if (colon == std::string_view::npos || is_all_digits(authority.substr(colon + 1)))
            return {};
        at = word.rfind('@');
        if (at == std::string_view::npos) return {};
    }
    const std::size_t colon = word.find(':');
    if (colon == std::string_view::npos || colon > at) return {};
    return word.substr(colon + 1, at - colon - 1);
}

/// Length of "name=" when `text` starts with a secret's name, else 0.
std::size_t secret_name_length(std::string_view text) {
    for (const std::string_view name : kSecretNames) {
        if (text.size() <= name.size() || text[name.size()] != '=') continue;
        const bool equal = std::ranges::equal(
            name, text.substr(0, name.size()), {}, {},
            [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
        if (equal) return name.size() + 1;
    }
    return 0;
}

}  // namespace

std::string mask_secrets(std::string_view text) {
    std::string masked;
    masked.reserve(text.size());
    std::size_t at = 0;
    while (at < text.size()) {
        const std::string_view rest = text.substr(at);
        if (rest.starts_with("://")) {
            const std::string_view password = password_in(rest.substr(3));
            if (!password.empty()) {
                const auto before = static_cast<std::size_t>(password.data() - rest.data());
                masked.append(rest.substr(0, before)).append(kMask);
                at += before + password.size();
                continue;
            }
        }
        const bool at_name_start = at == 0 || !is_name_character(text[at - 1]);
        if (const std::size_t name = at_name_start ? secret_name_length(rest) : 0; name != 0) {
            masked.append(rest.substr(0, name));
            at += name;
            const std::size_t value_start = at;
            while (at < text.size() && !ends_word(text[at]) && text[at] != '&' && text[at] != '#')
                ++at;
            if (at > value_start) masked.append(kMask);
            continue;
        }
        masked += text[at++];
    }
    return masked;
}

}  // namespace lovage::log
