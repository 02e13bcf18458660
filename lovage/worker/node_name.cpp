#include <lovage/worker/worker.hpp>

#include <array>

#include <unistd.h>

namespace lovage {

namespace {

std::string machine_host() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
    return name.data();
}

/// What `%mark` stands for in a node name: %h the host, %n its first label, %d what follows the
/// first dot.
std::string expansion(char mark, const std::string& host) {
    const auto dot = host.find('.');
    switch (mark) {
        case 'h':
            return host;
        case 'n':
            return host.substr(0, dot);
        case 'd':
            return dot == std::string::npos ? "" : host.substr(dot + 1);
        case 'i':
        case 'I':
        case '%':
            return mark == '%' ? "%" : "";
        default:
            break;
    }
    throw LovageError{Error{Errc::invalid_argument,
                            std::string{"node name: unknown mark '%"} + mark +
                                "'; known are %h (host), %n (its first label), %d (its domain)"}};
}

}  // namespace

std::string node_name(const std::string& name) {
    const std::string host = machine_host();
    std::string text;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] != '%' || i + 1 == name.size()) {
            text += name[i];
        } else {
            text += expansion(name[++i], host);
        }
    }
    const auto at = text.find('@');
    if (text.empty()) return "celery@" + host;
    if (at == std::string::npos) return "celery@" + text;
    if (at + 1 == text.size()) return text + host;
    if (at == 0) return "celery" + text;
    return text;
}

}  // namespace lovage
