#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/brokers/declaration.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>

namespace lovage {

struct SqliteBrokerOptions {
    /// Made when missing. Holds broker.sqlite3, broker.wake and peers/. Must be on a local file
    /// system.
    std::filesystem::path folder;
    MessageLimits limits = {};
    /// A consumer process that is stopped (not dead: that is noticed at once) loses its deliveries
    /// after that long. All processes on one folder should agree.
    std::chrono::milliseconds lease{15'000};
    std::chrono::milliseconds renew_every{5'000};
    // What may be on its way to the disk; further publishes wait, within their deadlines.
    std::size_t publish_window_messages = 4096;
    std::size_t publish_window_bytes = std::size_t{32} << 20U;
};

/// A connection to the broker in a folder, shared by any number of processes on this machine.
/// Durable: a confirmed message survives the death of every process and the loss of power.
[[nodiscard]] std::unique_ptr<Broker> make_sqlite_broker(Executor executor,
                                                         SqliteBrokerOptions options);

}  // namespace lovage
