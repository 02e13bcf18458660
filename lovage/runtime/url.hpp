#pragma once

#include <lovage/core/error.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage {

/// A broker's, result backend's or database's URL (RFC 3986 with an authority), in its decoded
/// parts.
struct Url {
    std::string scheme;    ///< Lower case, e.g. "amqp", "postgresql+asyncpg".
    std::string user;      ///< Empty when there is none.
    std::string password;  ///< Empty when there is none.
    std::string host;      ///< An IPv6 address without its brackets; empty when there is none.
    std::optional<std::uint16_t> port;
    std::string path;  ///< With its leading slash; empty when there is none.
    std::vector<std::pair<std::string, std::string>> query;  ///< `name=value` pairs in order.

    /// The last value of a query parameter, or nullptr.
    [[nodiscard]] const std::string* find_query(std::string_view name) const noexcept;
    /// The URL for people: the password, and secrets in the query, as `********`.
    [[nodiscard]] std::string display() const;
};

/// Percent escapes are decoded everywhere, `+` means a blank in the query (as SQLAlchemy and kombu
/// read them). Errors: malformed, naming what is wrong; the detail never holds the password.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

/// One URL or several with ';' between them, as Url::display() shows them. A text that cannot be
/// read as such is shown without what may be a password.
[[nodiscard]] std::string display_urls(std::string_view text);

/// The folder a file-based URL names, with SQLAlchemy's slashes: `sqlite:///relative` and
/// `sqlite:////absolute`. Errors: invalid_argument when the URL has a host (two slashes) or no
/// folder.
[[nodiscard]] Result<std::filesystem::path> url_folder(const Url& url);

}  // namespace lovage
