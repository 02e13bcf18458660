#include <lovage/runtime/url.hpp>

#include <lovage/runtime/detail/mask_secrets.hpp>
#include <lovage/runtime/log.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/core.h>

namespace lovage {

namespace {

constexpr std::size_t kUrlBytesMax = 4096;
/// Shown as they are in names and values of a query.
constexpr std::string_view kQueryMarks = "/:@!$'()*,;";

bool is_alpha(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0;
}
bool is_alnum(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum class Plus : std::uint8_t { literal, blank };

std::optional<std::string> decode(std::string_view text, Plus plus = Plus::literal) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus == Plus::blank) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            const int high = i + 1 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) return std::nullopt;
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return decoded;
}

/// Percent-encodes what would change a URL's structure or a terminal's state.
std::string encode(std::string_view text, std::string_view keep) {
    std::string encoded;
    for (const char c : text) {
        if (is_alnum(c) || std::string_view{"-._~"}.contains(c) || keep.contains(c)) {
            encoded += c;
        } else {
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return encoded;
}

/// Cuts `text` at the first `mark`: the part before is returned, `text` keeps the part behind
/// (empty when there is no mark).
std::string_view cut(std::string_view& text, char mark) {
    const std::size_t at = text.find(mark);
    const std::string_view before = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
    return before;
}

/// Reads a URL part by part; `problem` tells what is wrong with the first bad one.
class Reader {
public:
    std::optional<Url> read(std::string_view text) {
        if (text.size() > kUrlBytesMax) return refuse("it is longer than 4,096 bytes");
        const std::size_t scheme_end = text.find("://");
        if (scheme_end == std::string_view::npos) return refuse("it has no '://'");
        if (!read_scheme(text.substr(0, scheme_end))) return std::nullopt;
        text.remove_prefix(scheme_end + 3);

        std::string_view before_fragment = cut(text, '#');
        const std::string_view location = cut(before_fragment, '?');
        const std::string_view query = before_fragment;
        const std::size_t authority_end = std::min(location.find('/'), location.size());
        if (!read_authority(location.substr(0, authority_end))) return std::nullopt;
        if (!assign(url_.path, location.substr(authority_end))) return std::nullopt;
        if (!read_query(query)) return std::nullopt;
        return std::move(url_);
    }

    std::string problem;

private:
    std::nullopt_t refuse(std::string why) {
        problem = std::move(why);
        return std::nullopt;
    }
    bool assign(std::string& part, std::string_view text, Plus plus = Plus::literal) {
        auto decoded = decode(text, plus);
        if (decoded) {
            part = std::move(*decoded);
        } else {
            problem = "a '%' is not followed by two hexadecimal digits";
        }
        return decoded.has_value();
    }

    bool read_scheme(std::string_view text) {
        const bool valid =
            !text.empty() && is_alpha(text[0]) && std::ranges::all_of(text, [](char c) {
                return is_alnum(c) || c == '+' || c == '-' || c == '.';
            });
        if (!valid) {
            problem = "what stands before '://' is no scheme";
            return false;
        }
        std::ranges::transform(text, std::back_inserter(url_.scheme), [](char c) {
            return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        });
        return true;
    }

    bool read_authority(std::string_view text) {
        if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
            std::string_view password = text.substr(0, at);
            const std::string_view user = cut(password, ':');
            if (!assign(url_.user, user) || !assign(url_.password, password)) return false;
            text.remove_prefix(at + 1);
        }
        if (text.starts_with('[')) {
            const std::size_t end = text.find(']');
            if (end == std::string_view::npos) {
                problem = "the IPv6 address has no ']'";
                return false;
            }
            url_.host = text.substr(1, end - 1);
            text.remove_prefix(end + 1);
            if (text.empty()) return true;
            if (!text.starts_with(':')) {
                problem = "something other than a port follows the IPv6 address";
                return false;
            }
            return read_port(text.substr(1));
        }
        const bool has_port = text.contains(':');
        return assign(url_.host, cut(text, ':')) && (!has_port || read_port(text));
    }

    bool read_port(std::string_view text) {
        if (text.empty()) return true;  // "host:" means the default port
        std::uint16_t port = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
        if (error != std::errc{} || end != text.data() + text.size() || port == 0) {
            // The text itself stays out: in "amqp://user:pass/word@host" it is half of a password.
            problem =
                "what follows the host's ':' is no port (1 to 65535); a '/', '?' or '#' in a "
                "password is "
                "written %2F, %3F or %23";
            return false;
        }
        url_.port = port;
        return true;
    }

    bool read_query(std::string_view text) {
        while (!text.empty()) {
            std::string_view value = cut(text, '&');
            if (value.empty()) continue;
            auto& [name, decoded] = url_.query.emplace_back();
            const std::string_view name_text = cut(value, '=');
            if (!assign(name, name_text, Plus::blank) || !assign(decoded, value, Plus::blank)) {
                return false;
            }
        }
        return true;
    }

    Url url_;
};

}  // namespace

const std::string* Url::find_query(std::string_view name) const noexcept {
    const auto found = std::find_if(query.rbegin(), query.rend(),
                                    [&](const auto& parameter) { return parameter.first == name; });
    return found == query.rend() ? nullptr : &found->second;
}

std::string Url::display() const {
    std::string text = scheme + "://";
    text += encode(user, "!$&'()*+,;=");
    if (!password.empty()) text.append(":").append(detail::kSecretMask);
    if (!user.empty() || !password.empty()) text += '@';
    text += host.contains(':') ? "[" + host + "]" : encode(host, "!$&'()*+,;=");
    if (port) text += fmt::format(":{}", *port);
    text += encode(path, "/:@!$&'()*+,;=");
    char mark = '?';
    for (const auto& [name, value] : query) {
        text += mark + encode(name, kQueryMarks) + "=";
        text += detail::is_secret_name(name) && !value.empty()
                    ? std::string{detail::kSecretMask}
                    : log::mask_secrets(encode(value, kQueryMarks));
        mark = '&';
    }
    return text;
}

Result<Url> parse_url(std::string_view text) {
    Reader reader;
    if (auto url = reader.read(text)) return std::move(*url);
    std::string shown = detail::mask_url(text);
    if (shown.size() > 120) shown = shown.substr(0, 120) + "…";
    return fail(Errc::malformed, fmt::format("'{}' is no URL: {}", shown, reader.problem));
}

std::string display_urls(std::string_view text) {
    std::string shown;
    for (std::string_view rest = text;;) {
        const std::size_t end = std::min(rest.find(';'), rest.size());
        const auto url = parse_url(rest.substr(0, end));
        if (!url) return detail::mask_url(text);
        shown += (shown.empty() ? "" : ";") + url->display();
        if (end == rest.size()) return shown;
        rest.remove_prefix(end + 1);
    }
}

Result<std::filesystem::path> url_folder(const Url& url) {
    if (!url.host.empty() || !url.user.empty() || url.port) {
        return fail(
            Errc::invalid_argument,
            fmt::format("{}: write three slashes for a folder below the working directory "
                        "({}:///folder) and four for an absolute one ({}:////var/lib/folder)",
                        url.display(), url.scheme, url.scheme));
    }
    if (url.path.size() < 2) {
        return fail(Errc::invalid_argument,
                    fmt::format("{} names no folder; the default is {}:///.lovage", url.display(),
                                url.scheme));
    }
    if (url.path.contains('\0')) {
        return fail(Errc::invalid_argument, url.display() + ": a folder's name holds no zero byte");
    }
    return std::filesystem::path{url.path.substr(1)};
}

}  // namespace lovage
