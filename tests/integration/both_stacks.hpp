#pragma once

#include "both_brokers.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lovage/clients/redis/test_server.hpp>
#include <tests/support/free_port.hpp>

#include <fmt/format.h>

namespace lovage::integration {

/// A test for the embedded stores, and for RabbitMQ with a Redis of the test's own.
class BothStacks : public BothBrokers {
protected:
    BothStacks() {
        if (!vhost_) return;
        port_ = testing_support::free_port();
        redis_.emplace(
            std::vector<std::string>{"--port", std::to_string(port_), "--bind", "127.0.0.1"});
        settings_.result_backend = fmt::format("redis://127.0.0.1:{}/0", port_);
    }

    std::uint16_t port_ = 0;
    std::optional<redis::TestServer> redis_;
};

}  // namespace lovage::integration
