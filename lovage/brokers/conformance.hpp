#pragma once

#include <lovage/brokers/broker.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

namespace lovage::conformance {

/// One empty store of a driver, and connections to it. Lives as long as one test.
class BrokerStore {
public:
    virtual ~BrokerStore() = default;
    /// A connection for the loop of `executor`; the suite connects and closes it.
    [[nodiscard]] virtual std::unique_ptr<Broker> make_broker(Executor executor) = 0;
};

/// A driver and what it can do: where brokers differ by nature, the suite asks.
struct BrokerDriver {
    std::string name;  ///< Letters and digits: part of the tests' names.
    std::function<std::unique_ptr<BrokerStore>()> make_store;
    /// Messages whose time is over are delivered, marked (RabbitMQ discards them).
    bool delivers_expired = true;
    /// A rejected message goes back to its place (Redis appends it; RabbitMQ may deliver
    /// the next one first).
    bool requeues_in_place = true;
    /// Integers of any size pass in headers (AMQP's tables end at 64 bits with a sign).
    bool passes_wide_integers = true;
    /// The queues of one consumer are taken strictly in turn (RabbitMQ: at random).
    bool takes_strict_turns = true;
    /// Arguments that mean nothing to the broker must be equal too when a queue is declared again.
    bool compares_unknown_arguments = true;
};

/// The suite every broker driver passes. A driver's test file instantiates it:
///
///     INSTANTIATE_TEST_SUITE_P(Memory, BrokerConformance, testing::Values(driver), driver_name);
///
/// Each connection has a loop (a thread) of its own. The tests wait for events, never for a fixed
/// time.
class BrokerConformance : public testing::TestWithParam<BrokerDriver> {
protected:
    void SetUp() override { store_ = GetParam().make_store(); }
    std::unique_ptr<BrokerStore> store_;
};

inline std::string driver_name(const testing::TestParamInfo<BrokerDriver>& info) {
    return info.param.name;
}

}  // namespace lovage::conformance
