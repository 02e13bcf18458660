#include <lovage/clients/redis/options.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace lovage::redis {

namespace {

std::unexpected<Error> refuse(const Url& url, std::string_view why) {
    return fail(Errc::invalid_argument, fmt::format("{}: {}", url.display(), why));
}

template <class T>
std::optional<T> number(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string query_or(const Url& url, std::string_view name, std::string otherwise = {}) {
    const std::string* value = url.find_query(name);
    return value != nullptr ? *value : std::move(otherwise);
}

Result<void> read_database(const Url& url, bool socket, Options& options) {
    std::string text = query_or(url, "virtual_host", query_or(url, "db"));
    if (!socket && url.path.size() > 1) text = url.path;
    if (text.starts_with('/')) text.erase(0, 1);
    if (text.empty()) return {};
    const auto database = number<std::uint32_t>(text);
    if (!database) return refuse(url, fmt::format("the database is a number, not '{}'", text));
    options.database = *database;
    return {};
}

Result<void> read_tls(const Url& url, Options& options) {
    net::TlsOptions tls;
    tls.ca_file = query_or(url, "ssl_ca_certs");
    tls.certificate_file = query_or(url, "ssl_certfile");
    tls.key_file = query_or(url, "ssl_keyfile");

    const std::string verify = query_or(url, "ssl_cert_reqs", "required");
    if (verify == "none" || verify == "CERT_NONE") {
        tls.verify = net::TlsVerify::none;
    } else if (verify != "required" && verify != "CERT_REQUIRED" && verify != "optional" &&
               verify != "CERT_OPTIONAL") {
        // Python's clients treat "optional" like "required": servers always show a certificate.
        return refuse(url, "ssl_cert_reqs is one of required, optional and none");
    }
    const std::string verify_host = query_or(url, "ssl_check_hostname", "true");
    constexpr std::array<std::string_view, 6> kNo{"0", "f", "false", "n", "no", "False"};
    tls.verify_host = std::ranges::find(kNo, verify_host) == kNo.end();
    options.tls = std::move(tls);
    return {};
}

Result<void> read_timeout(const Url& url, Options& options) {
    const std::string* text = url.find_query("socket_connect_timeout");
    if (text == nullptr) return {};
    const auto seconds = number<double>(*text);
    if (!seconds || !(*seconds > 0 && *seconds <= 3600)) {
        return refuse(url, "socket_connect_timeout is a number of seconds, at most 3600");
    }
    options.connect_timeout = std::chrono::milliseconds{static_cast<std::int64_t>(*seconds * 1e3)};
    return {};
}

}  // namespace

std::string Options::display_url() const {
    const std::string_view scheme = tls ? "rediss" : socket_path.empty() ? "redis" : "redis+socket";
    std::string text = fmt::format("{}://{}", scheme, user);
    if (password) text += ":********";
    if (password || !user.empty()) text += '@';
    if (!socket_path.empty())
        return fmt::format("{}{}?virtual_host={}", text, socket_path, database);
    const bool v6 = host.contains(':');
    return fmt::format("{}{}{}{}:{}/{}", text, v6 ? "[" : "", host, v6 ? "]" : "", port, database);
}

Result<Options> options_from_url(const Url& url) {
    Options options;
    const bool socket =
        url.scheme == "redis+socket" || url.scheme == "socket" || url.scheme == "unix";
    const bool tls = url.scheme == "rediss" || url.scheme == "redis+rediss";
    if (!socket && !tls && url.scheme != "redis") {
        return refuse(url, "the scheme is redis, rediss or redis+socket");
    }
    if (socket) {
        if (!url.host.empty() || url.path.size() < 2) {
            return refuse(url,
                          "write three slashes before the socket's path: "
                          "redis+socket:///run/redis/redis.sock");
        }
        options.socket_path = url.path;
    } else {
        if (!url.host.empty()) options.host = url.host;
        options.port = url.port.value_or(options.port);
    }
    options.user = query_or(url, "username", url.user);
    if (std::string text = query_or(url, "password", url.password); !text.empty()) {
        options.password = std::move(text);
    }
    options.client_name = query_or(url, "client_name");

    const bool asks_for_tls = std::ranges::any_of(
        url.query, [](const auto& parameter) { return parameter.first.starts_with("ssl_"); });
    if (asks_for_tls && !tls) return refuse(url, "ssl_… settings need the scheme rediss://");

    Result<void> read = read_database(url, socket, options);
    if (read) read = read_timeout(url, options);
    if (read && tls) read = read_tls(url, options);
    if (!read) return std::unexpected{std::move(read.error())};
    return options;
}

}  // namespace lovage::redis
