#include <lovage/testing/memory_settings.hpp>

#include <lovage/cli/default_drivers.hpp>
#include <lovage/runtime/log.hpp>

#include <atomic>
#include <string>

namespace lovage::testing {

Settings memory_settings() {
    register_default_drivers();
    log::configure({.level = log::Level::warning});
    static std::atomic<int> next{0};
    Settings settings;
    settings.broker_url = "memory://testing-" + std::to_string(++next);
    settings.result_backend = settings.broker_url;
    return settings;
}

}  // namespace lovage::testing
