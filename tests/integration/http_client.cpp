#include "http_client.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lovage::integration {
namespace {

/// A connection to a port of this machine, open until the end of its scope.
class Connection {
public:
    explicit Connection(std::uint16_t port)
        : descriptor_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
            0) {
            const std::string reason = std::strerror(errno);
            ::close(descriptor_);
            throw std::runtime_error{"cannot connect to port " + std::to_string(port) + ": " +
                                     reason};
        }
    }
    ~Connection() { ::close(descriptor_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void send(const std::string& text) const {
        for (std::size_t done = 0; done < text.size();) {
            const auto bytes =
                ::send(descriptor_, text.data() + done, text.size() - done, MSG_NOSIGNAL);
            if (bytes < 0)
                throw std::runtime_error{std::string{"cannot send: "} + std::strerror(errno)};
            done += static_cast<std::size_t>(bytes);
        }
    }
    /// Everything up to the end of the connection.
    [[nodiscard]] std::string rest(Deadline deadline) const {
        std::string text;
        std::array<char, 16'384> buffer;
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining());
            pollfd readable{.fd = descriptor_, .events = POLLIN, .revents = 0};
            if (poll(&readable, 1, static_cast<int>(left.count())) <= 0) {
                throw std::runtime_error{"no complete reply in time, only: " + text};
            }
            const auto bytes = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
            if (bytes < 0)
                throw std::runtime_error{std::string{"cannot read: "} + std::strerror(errno)};
            if (bytes == 0) return text;
            text.append(buffer.data(), static_cast<std::size_t>(bytes));
        }
    }

private:
    int descriptor_;
};

HttpReply parse(const std::string& text) {
    const auto head_end = text.find("\r\n\r\n");
    if (head_end == std::string::npos) throw std::runtime_error{"not a reply: " + text};
    HttpReply reply;
    reply.body = text.substr(head_end + 4);

    std::istringstream head{text.substr(0, head_end)};
    std::string version;
    head >> version >> reply.status;
    std::string line;
    std::getline(head, line);  // the reason
    while (std::getline(head, line)) {
        if (line.ends_with('\r')) line.pop_back();
        const auto colon = line.find(": ");
        if (colon == std::string::npos) throw std::runtime_error{"not a field: " + line};
        std::string name = line.substr(0, colon);
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        reply.fields[name] = line.substr(colon + 2);
    }
    if (reply.fields["content-length"] != std::to_string(reply.body.size())) {
        throw std::runtime_error{"content-length and body differ: " + text};
    }
    return reply;
}

}  // namespace

Json HttpReply::json() const {
    return value_or_throw(parse_json(body));
}

std::string shown(const HttpReply& reply) {
    return std::to_string(reply.status) + " " + reply.body;
}

HttpReply http_request(std::uint16_t port, const std::string& method, const std::string& target,
                       const std::string& body, Deadline deadline) {
    std::string request =
        method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
    if (!body.empty()) {
        request +=
            "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\n";
    }
    const Connection connection{port};
    connection.send(request + "\r\n" + body);
    return parse(connection.rest(deadline));
}

}  // namespace lovage::integration
