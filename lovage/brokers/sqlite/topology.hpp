#pragma once

#include <lovage/brokers/exchange_table.hpp>
#include <lovage/brokers/sqlite/store.hpp>
#include <lovage/clients/sqlite/connection.hpp>

#include <cstdint>
#include <limits>
#include <unordered_map>

namespace lovage::sqlite_broker {

/// What the file's queues, exchanges and bindings were when they were read last; kept beside the
/// connection so that routing reads no rows. Every change stamps the file with a new random number,
/// which is compared once a transaction.
struct Topology {
    struct Queue {
        QueueDeclaration declaration;
        PeerId exclusive_to = 0;
    };

    ExchangeTable table;
    std::unordered_map<ExchangeTable::QueueKey, Queue> queues;
    /// When the first unused queue ends, on the boot clock.
    std::int64_t next_queue_end = std::numeric_limits<std::int64_t>::max();

    std::int64_t stamp = 0;  ///< 0: not read.
    std::uint64_t checked_in_transaction = 0;

    /// The topology as this transaction sees it; queues that were unused too long are gone.
    [[nodiscard]] static Result<Topology*> current(Connection& connection, Now now);
    /// Makes the next current() read everything again.
    void forget() noexcept { stamp = 0, checked_in_transaction = 0; }
    /// To be called after every change of what is cached here.
    static Result<void> changed(Connection& connection);
};

}  // namespace lovage::sqlite_broker
