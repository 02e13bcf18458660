#pragma once

#include <string>

namespace lovage::conformance {

/// A virtual host of its own for one test, made and deleted through RabbitMQ's management API.
///
/// Needs LOVAGE_TEST_AMQP_URL and LOVAGE_TEST_AMQP_MANAGEMENT_URL; throws without them.
class TestVhost {
public:
    TestVhost();
    ~TestVhost();
    TestVhost(const TestVhost&) = delete;
    TestVhost& operator=(const TestVhost&) = delete;

    /// The broker's URL with this virtual host; `server` may be that of a proxy in front of it.
    [[nodiscard]] std::string url(std::string server = {}) const;
    /// A management request below /api/, with "{vhost}" replaced; returns the reply's status line
    /// and body. Throws LovageError when the server does not answer.
    std::string api(const std::string& method, std::string path, const std::string& body = {});

private:
    std::string name_;
};

}  // namespace lovage::conformance
