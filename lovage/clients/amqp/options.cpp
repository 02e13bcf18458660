#include <lovage/clients/amqp/options.hpp>

#include <lovage/runtime/url.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace lovage::amqp {

namespace {

constexpr std::uint16_t kPort = 5672;
constexpr std::uint16_t kTlsPort = 5671;

/// One query parameter; `value` is what follows the `=`. Errors are completed by the caller.
/// A parameter's reader, false when it does not take the value, and what it does take.
struct Setter {
    bool (*set)(Endpoint& endpoint, ClientOptions& options, const std::string& value);
    std::string_view takes;
};

template <class Number>
bool read_number(const std::string& text, Number& number, Number least, Number most) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number >= least &&
           number <= most;
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

std::optional<bool> read_bool(const std::string& text) {
    const std::string word = lower(text);
    if (word == "1" || word == "true" || word == "yes" || word == "on") return true;
    if (word == "0" || word == "false" || word == "no" || word == "off") return false;
    return std::nullopt;
}

net::TlsOptions& tls(Endpoint& endpoint) {
    if (!endpoint.tls) endpoint.tls.emplace();
    return *endpoint.tls;
}

bool set_heartbeat(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    int seconds = 0;
    if (!read_number(value, seconds, 0, 65'535)) return false;
    endpoint.session.heartbeat = std::chrono::seconds{seconds};
    return true;
}

bool set_ssl(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    const auto wanted = read_bool(value);
    if (!wanted) return false;
    if (*wanted) {
        (void)tls(endpoint);
    } else {
        endpoint.tls.reset();
    }
    return true;
}

template <std::string net::TlsOptions::* Member>
bool set_tls_text(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    tls(endpoint).*Member = value;
    return true;
}

bool set_verify(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    const std::string word = lower(value);
    if (word == "none" || word == "cert_none" || word == "verify_none") {
        tls(endpoint).verify = net::TlsVerify::none;
        return true;
    }
    tls(endpoint).verify = net::TlsVerify::required;
    return word == "required" || word == "cert_required" || word == "verify_peer";
}

bool set_mechanism(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    const std::string word = lower(value);
    endpoint.session.mechanism = word == "external" ? Mechanism::external : Mechanism::plain;
    return word == "external" || word == "plain";
}

bool set_timeout(Endpoint& /*endpoint*/, ClientOptions& options, const std::string& value) {
    double seconds = 0;
    if (!read_number(value, seconds, 0.001, 3600.0)) return false;
    options.connect_timeout = std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
    return true;
}

bool set_channel_max(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    return read_number<std::uint16_t>(value, endpoint.session.channel_max, 2, 65'535);
}

bool set_frame_max(Endpoint& endpoint, ClientOptions& /*options*/, const std::string& value) {
    return read_number<std::uint32_t>(value, endpoint.session.frame_bytes_max, kFrameBytesMin,
                                      std::uint32_t{16} << 20U);
}

const std::map<std::string, Setter, std::less<>>& setters() {
    using Tls = net::TlsOptions;
    constexpr std::string_view kPath = "the path of a file";
    constexpr std::string_view kSeconds = "0.001 to 3600 seconds";
    constexpr std::string_view kMechanism = "plain or external";
    constexpr std::string_view kVerify = "verify_peer or verify_none";
    static const std::map<std::string, Setter, std::less<>> table{
        {"auth_mechanism", {set_mechanism, kMechanism}},
        {"cacertfile", {set_tls_text<&Tls::ca_file>, kPath}},
        {"certfile", {set_tls_text<&Tls::certificate_file>, kPath}},
        {"channel_max", {set_channel_max, "2 to 65535"}},
        {"connect_timeout", {set_timeout, kSeconds}},
        {"connection_timeout", {set_timeout, kSeconds}},
        {"frame_max", {set_frame_max, "4096 to 16777216 bytes"}},
        {"heartbeat", {set_heartbeat, "0 to 65535 whole seconds"}},
        {"keyfile", {set_tls_text<&Tls::key_file>, kPath}},
        {"login_method", {set_mechanism, kMechanism}},
        {"server_name_indication", {set_tls_text<&Tls::server_name>, "a host name"}},
        {"ssl", {set_ssl, "true or false"}},
        {"ssl_ca_certs", {set_tls_text<&Tls::ca_file>, kPath}},
        {"ssl_cert_reqs", {set_verify, kVerify}},
        {"ssl_certfile", {set_tls_text<&Tls::certificate_file>, kPath}},
        {"ssl_keyfile", {set_tls_text<&Tls::key_file>, kPath}},
        {"verify", {set_verify, kVerify}},
    };
    return table;
}

Result<void> apply_query(const Url& url, Endpoint& endpoint, ClientOptions& options) {
    for (const auto& [name, value] : url.query) {
        const auto setter = setters().find(name);
        if (setter == setters().end()) {
            std::string known;
            for (const auto& [other, unused] : setters()) {
                known += (known.empty() ? "" : ", ") + other;
            }
            return fail(Errc::invalid_argument,
                        fmt::format("{}: unknown parameter '{}'; there are: {}", endpoint.display(),
                                    name, known));
        }
        if (!setter->second.set(endpoint, options, value)) {
            return fail(Errc::invalid_argument,
                        fmt::format("{}: {}='{}': it takes {}", endpoint.display(), name, value,
                                    setter->second.takes));
        }
    }
    return {};
}

Result<Endpoint> read_endpoint(std::string_view text, ClientOptions& options) {
    auto url = parse_url(text);
    if (!url) return std::unexpected{std::move(url.error())};
    Endpoint endpoint;
    if (url->scheme == "amqps") {
        (void)tls(endpoint);
    } else if (url->scheme != "amqp" && url->scheme != "pyamqp") {
        return fail(
            Errc::invalid_argument,
            fmt::format("'{}://' is not AMQP; it must be amqp, pyamqp or amqps", url->scheme));
    }
    if (!url->host.empty()) endpoint.host = url->host;
    SessionOptions& session = endpoint.session;
    if (!url->user.empty()) session.user = url->user;
    if (!url->user.empty() || !url->password.empty()) session.password = url->password;
    const std::string vhost = url->path.empty() ? std::string{} : url->path.substr(1);
    if (!vhost.empty()) session.vhost = vhost;
    endpoint.port = url->port.value_or(endpoint.tls ? kTlsPort : kPort);
    if (auto applied = apply_query(*url, endpoint, options); !applied) {
        return std::unexpected{std::move(applied.error())};
    }
    if (!url->port) endpoint.port = endpoint.tls ? kTlsPort : kPort;
    return endpoint;
}

}  // namespace

std::string Endpoint::display() const {
    const bool v6 = host.contains(':');
    const std::string where = v6 ? "[" + host + "]" : host;
    return fmt::format("{}://{}@{}:{}/{}", tls ? "amqps" : "amqp", session.user, where, port,
                       session.vhost == "/" ? "" : session.vhost);
}

Result<ClientOptions> parse_urls(std::string_view text) {
    ClientOptions options;
    while (true) {
        const std::size_t end = std::min(text.find(';'), text.size());
        auto endpoint = read_endpoint(text.substr(0, end), options);
        if (!endpoint) return std::unexpected{std::move(endpoint.error())};
        options.endpoints.push_back(std::move(*endpoint));
        if (end == text.size()) return options;
        text.remove_prefix(end + 1);
    }
}

}  // namespace lovage::amqp
