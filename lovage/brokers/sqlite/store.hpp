#pragma once

#include <lovage/brokers/broker.hpp>
#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/core/error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What the SQLite broker does inside a transaction: plain functions on a Connection, run by its
/// Database's writer. Each checks before it writes, so an error leaves nothing to undo, and each
/// may be run twice.
///
/// A message is one row that holds its whole state. `holder` says where it is: kReady, kDelayed, or
/// the number of the peer it was delivered to. Taking, settling and rescuing are compare-and-set on
/// it. One index, (holder, queue, rank), serves them all: `rank` is the negated priority of what
/// can be delivered and the due time of what is delayed.
namespace lovage::sqlite_broker {

using sqlite::Connection;
/// A connection that consumes; the numbers are never used twice.
using PeerId = std::int64_t;

inline constexpr std::int64_t kReady = 0;
inline constexpr std::int64_t kDelayed = -1;

[[nodiscard]] const sqlite::Schema& schema();

/// The clocks as one operation sees them, in milliseconds.
struct Now {
    std::int64_t wall;  ///< Unix time: due times and expiry of messages.
    std::int64_t boot;  ///< CLOCK_BOOTTIME: leases and unused queues; valid with boot_id only.
    [[nodiscard]] static Now read();
};
/// The kernel's id of this boot.
[[nodiscard]] const std::string& boot_id();

// --- topology (store.cpp) ------------------------------------------------------------

/// First thing on a connection: after a reboot, unused queues start counting anew.
Result<void> enter(Connection& connection, const std::string& boot, Now now);
Result<void> declare_queue(Connection& connection, const QueueDeclaration& queue, PeerId peer,
                           Now now);
Result<void> declare_exchange(Connection& connection, const ExchangeDeclaration& exchange, Now now);
Result<void> bind(Connection& connection, const Binding& binding, Now now);
Result<void> delete_queue(Connection& connection, std::string_view name, Now now);
Result<std::uint64_t> purge(Connection& connection, std::string_view name, Now now);
Result<QueueStatus> status(Connection& connection, std::string_view name, Now now);
Result<std::vector<std::string>> list_queues(Connection& connection, Now now);

// --- peers and consumers (store.cpp) -------------------------------------------------

/// `name` is that of the peer's lock file.
Result<PeerId> add_peer(Connection& connection, std::string_view name, std::string_view tag,
                        std::int64_t lease_until);

struct Renewal {
    bool alive = false;  ///< False: somebody took this peer for dead; everything it held is back in
                         ///< its queue.
    /// When the next lease of another peer ends, on the boot clock.
    std::optional<std::int64_t> next_lease_end;
    std::uint64_t rescued = 0;  ///< Messages taken back from peers whose lease had ended.
};
Result<Renewal> renew(Connection& connection, PeerId peer, const std::string& boot,
                      std::int64_t lease_until, Now now);

struct Rescue {
    bool existed = false;
    std::uint64_t messages = 0;
};
/// The peer is gone: what it held is ready again, its exclusive queues are deleted, and so are
/// auto-delete queues that lost their last consumer.
Result<Rescue> remove_peer(Connection& connection, std::string_view name, Now now);
Result<std::vector<std::string>> peer_names(Connection& connection);

/// Errors: not_found, conflict (exclusive to another connection).
Result<void> add_consumer(Connection& connection, PeerId peer, std::string_view consumer,
                          std::span<const std::string> queues, Now now);
Result<void> remove_consumer(Connection& connection, PeerId peer, std::string_view consumer,
                             std::span<const std::string> queues, Now now);

// --- messages (store_messages.cpp) ---------------------------------------------------

/// Errors: unroutable, not_found (no such exchange).
Result<void> publish(Connection& connection, const Publication& publication,
                     std::string_view headers, Now now);

/// What identifies a delivered message. A row's id may be used again once the row is gone, but
/// under a holder that only happens with its whole queue, whose number is never used again.
struct HeldMessage {
    std::int64_t id;
    std::int64_t queue;
};

struct Claim {
    struct Item {
        HeldMessage message;
        Delivery delivery;  ///< Its tag is not set.
    };
    std::vector<Item> items;
    bool lost = false;  ///< The peer was taken for dead; nothing was claimed.
    bool more = false;  ///< There may be more at once.
    std::optional<std::int64_t>
        next_due;  ///< Unix milliseconds; only told when nothing more is ready.
    std::vector<std::string> gone_queues;  ///< Do not exist (any more).
};
/// Takes at most `limit` messages and some 8 MiB (but at least one message) for the peer. The
/// queues share the limit; `first` says whose turn it is.
Result<Claim> claim(Connection& connection, PeerId peer, std::span<const std::string> queues,
                    std::size_t first, std::size_t limit, Now now);

enum class Settlement : std::uint8_t {
    discard,
    requeue,
    unclaim,  ///< Back as if it had never been delivered.
};
struct Settle {
    HeldMessage message;
    Settlement how;
};
/// Carries them out where the peer still holds the message; returns how many it did not.
Result<std::uint64_t> settle(Connection& connection, PeerId peer, std::span<const Settle> settles);

}  // namespace lovage::sqlite_broker
