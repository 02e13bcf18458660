#pragma once

#include <lovage/brokers/conformance.hpp>
#include <lovage/brokers/test_client.hpp>

#include <utility>

namespace lovage::conformance {

/// A client of the test's store. For the suite's own files.
class Client : public TestClient {
public:
    explicit Client(BrokerStore& store)
        : TestClient{[&](Executor executor) { return store.make_broker(std::move(executor)); }} {}
};

}  // namespace lovage::conformance
