#pragma once

#include <lovage/app/drivers.hpp>
#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/results/memory/memory_results.hpp>
#include <lovage/results/memory/memory_state_store.hpp>
#include <lovage/runtime/log.hpp>

#include <atomic>
#include <string>

namespace lovage {

/// Settings of an app whose broker and results live in this process only, apart from every other
/// test's.
inline Settings memory_settings() {
    log::configure({.level = log::Level::off});  // what a test expects to go wrong is no news
    register_broker_driver("memory",
                           {[](Executor executor, const std::string& url, const Settings&) {
                               return make_memory_broker(std::move(executor), url);
                           }});
    register_result_driver("memory",
                           {[](Executor executor, const std::string& url, const Settings&) {
                                return make_memory_results(std::move(executor), url);
                            },
                            [](Executor executor, const std::string& url, const Settings&) {
                                return make_memory_state_store(std::move(executor), url);
                            }});
    static std::atomic<int> next{0};
    Settings settings;
    settings.broker_url = "memory://test-" + std::to_string(++next);
    settings.result_backend = settings.broker_url;
    return settings;
}

}  // namespace lovage
