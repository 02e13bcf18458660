#include <lovage/app/drivers.hpp>

#include <fmt/format.h>

#include <lovage/runtime/url.hpp>

#include <map>
#include <mutex>

namespace lovage {

namespace {

template <class Driver>
class DriverTable {
public:
    void add(const std::string& scheme, Driver driver) {
        const std::lock_guard lock{mutex_};
        drivers_.insert_or_assign(scheme, std::move(driver));
    }

    Driver find(const std::string& url, const char* setting) const {
        const std::lock_guard lock{mutex_};
        const std::string scheme = url.substr(0, url.find(':'));
        if (const auto found = drivers_.find(scheme); found != drivers_.end()) return found->second;
        std::string known;
        for (const auto& [name, driver] : drivers_) {
            known += (known.empty() ? "" : ", ") + name + "://";
        }
        throw LovageError{
            Error{Errc::invalid_argument,
                  fmt::format("{} = '{}': no driver for '{}://' is registered; there are: {}",
                              setting, display_urls(url), scheme, known.empty() ? "none" : known)}};
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, Driver> drivers_;
};

DriverTable<BrokerDriver>& broker_drivers() {
    static DriverTable<BrokerDriver> table;
    return table;
}
DriverTable<ResultDriver>& result_drivers() {
    static DriverTable<ResultDriver> table;
    return table;
}

}  // namespace

void register_broker_driver(const std::string& scheme, BrokerDriver driver) {
    broker_drivers().add(scheme, std::move(driver));
}
void register_result_driver(const std::string& scheme, ResultDriver driver) {
    result_drivers().add(scheme, std::move(driver));
}

std::unique_ptr<Broker> make_broker(Executor executor, const Settings& settings) {
    return broker_drivers()
        .find(settings.broker_url, "broker_url")
        .make(std::move(executor), settings.broker_url, settings);
}
std::unique_ptr<ResultBackend> make_results(Executor executor, const Settings& settings) {
    return result_drivers()
        .find(settings.result_backend, "result_backend")
        .make_results(std::move(executor), settings.result_backend, settings);
}
std::unique_ptr<StateStore> make_state(Executor executor, const Settings& settings) {
    return result_drivers()
        .find(settings.result_backend, "result_backend")
        .make_state(std::move(executor), settings.result_backend, settings);
}

}  // namespace lovage
