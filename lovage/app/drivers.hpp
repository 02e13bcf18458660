#pragma once

#include <functional>
#include <memory>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/results/result_backend.hpp>
#include <lovage/results/state_store.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// Makers of drivers by URL scheme. The app names no driver: `register_default_drivers()` (module
/// cli) fills the table, and a program may add its own.
struct BrokerDriver {
    std::function<std::unique_ptr<Broker>(Executor, const std::string& url, const Settings&)> make;
};
struct ResultDriver {
    std::function<std::unique_ptr<ResultBackend>(Executor, const std::string& url, const Settings&)>
        make_results;
    std::function<std::unique_ptr<StateStore>(Executor, const std::string& url, const Settings&)>
        make_state;
};

// Registering a scheme again replaces its driver. Thread-safe.
void register_broker_driver(const std::string& scheme, BrokerDriver driver);
void register_result_driver(const std::string& scheme, ResultDriver driver);

// Throw LovageError (invalid_argument) for a scheme nobody registered, naming those that are.
[[nodiscard]] std::unique_ptr<Broker> make_broker(Executor executor, const Settings& settings);
[[nodiscard]] std::unique_ptr<ResultBackend> make_results(Executor executor,
                                                          const Settings& settings);
[[nodiscard]] std::unique_ptr<StateStore> make_state(Executor executor, const Settings& settings);

}  // namespace lovage
