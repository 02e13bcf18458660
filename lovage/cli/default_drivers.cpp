#include <lovage/cli/default_drivers.hpp>

#include <lovage/app/drivers.hpp>
#include <lovage/brokers/amqp/amqp_broker.hpp>
#include <lovage/brokers/memory/memory_broker.hpp>
#include <lovage/brokers/sqlite/sqlite_broker.hpp>
#include <lovage/results/memory/memory_results.hpp>
#include <lovage/results/memory/memory_state_store.hpp>
#include <lovage/results/redis/redis_results.hpp>
#include <lovage/results/redis/redis_state_store.hpp>
#include <lovage/results/sqlite/sqlite_results.hpp>
#include <lovage/results/sqlite/sqlite_state_store.hpp>
#include <lovage/runtime/url.hpp>

#include <chrono>
#include <filesystem>
#include <utility>

namespace lovage {

namespace {

/// What tells one in-memory store from another: all of the URL behind its scheme.
std::string memory_name(const std::string& url) {
    const Url parsed = value_or_throw(parse_url(url));
    return parsed.host + parsed.path;
}

std::filesystem::path folder_of(const std::string& url) {
    return value_or_throw(url_folder(value_or_throw(parse_url(url))));
}

/// The results' drivers write "for good" as zero.
std::chrono::milliseconds expiry_of(const Settings& settings) {
    return settings.result_expires.value_or(std::chrono::seconds{0});
}

std::unique_ptr<Broker> memory_broker(Executor executor, const std::string& url,
                                      const Settings& /*settings*/) {
    return make_memory_broker(std::move(executor), memory_name(url));
}

std::unique_ptr<ResultBackend> memory_results(Executor executor, const std::string& url,
                                              const Settings& settings) {
    MemoryResultsOptions options;
    options.result_expires = expiry_of(settings);
    return make_memory_results(std::move(executor), memory_name(url), std::move(options));
}

std::unique_ptr<StateStore> memory_state(Executor executor, const std::string& url,
                                         const Settings& /*settings*/) {
    return make_memory_state_store(std::move(executor), memory_name(url));
}

std::unique_ptr<Broker> amqp_broker(Executor executor, const std::string& url,
                                    const Settings& /*settings*/) {
    AmqpBrokerOptions options;
    options.url = url;
    return make_amqp_broker(std::move(executor), std::move(options));
}

std::unique_ptr<Broker> sqlite_broker(Executor executor, const std::string& url,
                                      const Settings& /*settings*/) {
    SqliteBrokerOptions options;
    options.folder = folder_of(url);
    return make_sqlite_broker(std::move(executor), std::move(options));
}

std::unique_ptr<ResultBackend> sqlite_results(Executor executor, const std::string& url,
                                              const Settings& settings) {
    SqliteResultsOptions options;
    options.folder = folder_of(url);
    options.result_expires = expiry_of(settings);
    return make_sqlite_results(std::move(executor), std::move(options));
}

std::unique_ptr<StateStore> sqlite_state(Executor executor, const std::string& url,
                                         const Settings& /*settings*/) {
    SqliteStateOptions options;
    options.folder = folder_of(url);
    return make_sqlite_state_store(std::move(executor), std::move(options));
}

redis::Options redis_server(const std::string& url) {
    return value_or_throw(redis::options_from_url(value_or_throw(parse_url(url))));
}

std::unique_ptr<ResultBackend> redis_results(Executor executor, const std::string& url,
                                             const Settings& settings) {
    RedisResultsOptions options;
    options.server = redis_server(url);
    options.key_prefix = settings.result_backend_transport_options.global_keyprefix;
    options.result_expires = expiry_of(settings);
    return make_redis_results(std::move(executor), std::move(options));
}

std::unique_ptr<StateStore> redis_state(Executor executor, const std::string& url,
                                        const Settings& settings) {
    RedisStateOptions options;
    options.server = redis_server(url);
    options.key_prefix = settings.result_backend_transport_options.global_keyprefix;
    return make_redis_state_store(std::move(executor), std::move(options));
}

}  // namespace

void register_default_drivers() {
    register_broker_driver("memory", {memory_broker});
    register_broker_driver("sqlite", {sqlite_broker});
    for (const char* scheme : {"amqp", "pyamqp", "amqps"}) {
        register_broker_driver(scheme, {amqp_broker});
    }
    register_result_driver("memory", {memory_results, memory_state});
    register_result_driver("sqlite", {sqlite_results, sqlite_state});
    for (const char* scheme : {"redis", "rediss", "redis+socket", "socket", "unix"}) {
        register_result_driver(scheme, {redis_results, redis_state});
    }
}

}  // namespace lovage
