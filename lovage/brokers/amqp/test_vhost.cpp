#include <lovage/brokers/amqp/test_vhost.hpp>

#include <lovage/core/base64.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/url.hpp>
#include <tests/support/services.hpp>

#include <gtest/gtest.h>

#include <array>
#include <chrono>

namespace lovage::conformance {

namespace {

using namespace std::chrono_literals;
using lovage::testing_support::service_url;

/// One request on one connection; the reply ends with it.
Awaitable<std::string> exchange(std::string host, std::uint16_t port, std::string request) {
    auto stream = value_or_throw(co_await net::connect_tcp(host, port, Deadline::in(10s)));
    const std::array<std::string_view, 1> buffers{request};
    value_or_throw(co_await stream->write(buffers));
    std::string reply;
    std::array<char, 4096> buffer;
    while (true) {
        const auto bytes = value_or_throw(co_await stream->read_some(buffer));
        if (bytes == 0) co_return reply;
        reply.append(buffer.data(), bytes);
    }
}

}  // namespace

TestVhost::TestVhost() : name_{"lovage-test-" + uuid4()} {
    const std::string reply = api("PUT", "vhosts/{vhost}", "{}");
    EXPECT_TRUE(reply.contains(" 201 ")) << reply;
}

TestVhost::~TestVhost() {
    try {
        api("DELETE", "vhosts/{vhost}");
    } catch (const LovageError& error) {
        ADD_FAILURE() << error.what();
    }
}

std::string TestVhost::url(std::string server) const {
    Url url = value_or_throw(
        parse_url(server.empty() ? service_url("LOVAGE_TEST_AMQP_URL") : std::move(server)));
    return "amqp://" + url.user + ":" + url.password + "@" + url.host + ":" +
           std::to_string(url.port.value_or(5672)) + "/" + name_;
}

std::string TestVhost::api(const std::string& method, std::string path, const std::string& body) {
    const Url url = value_or_throw(parse_url(service_url("LOVAGE_TEST_AMQP_MANAGEMENT_URL")));
    if (const auto at = path.find("{vhost}"); at != std::string::npos) path.replace(at, 7, name_);
    const std::string request =
        method + " /api/" + path + " HTTP/1.1\r\nHost: " + url.host +
        "\r\nConnection: close\r\nAuthorization: Basic " +
        base64_encode(url.user + ":" + url.password) +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
    Loop loop{"management"};
    loop.start();
    return loop.run_blocking(exchange(url.host, url.port.value_or(15672), request));
}

}  // namespace lovage::conformance
