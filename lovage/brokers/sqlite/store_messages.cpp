#include <lovage/brokers/declaration.hpp>
#include <lovage/brokers/sqlite/store.hpp>
#include <lovage/brokers/sqlite/topology.hpp>
#include <lovage/runtime/failpoint.hpp>

#include <algorithm>
#include <limits>

namespace lovage::sqlite_broker {

using sqlite::Blob;
using sqlite::Sql;
using sqlite::Statement;

namespace {

/// Longer bodies live in their own table: taking and returning a message rewrites its row.
constexpr std::size_t kInlineBodyBytesMax = 2048;
/// A claim stops after that much, so that a few large messages do not fill the memory.
constexpr std::size_t kClaimBytes = std::size_t{8} << 20U;

constexpr Sql kInsert{
    "INSERT INTO message(queue, holder, rank, expires_at, exchange, routing_key, content_type, "
    "content_encoding, "
    "correlation_id, reply_to, priority, delivery_mode, expiration_ms, headers, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"};
constexpr Sql kPromote{
    "UPDATE message SET holder = 0, rank = -min(coalesce(priority, 0), ?) "
    "WHERE holder = -1 AND queue = ? AND rank <= ?"};
constexpr Sql kReadyOnes{
    "SELECT message.id, deliveries, expires_at, exchange, routing_key, content_type, "
    "content_encoding, "
    "correlation_id, reply_to, priority, delivery_mode, expiration_ms, headers, message.body, "
    "large_body.body "
    "FROM message LEFT JOIN large_body ON message.body IS NULL AND large_body.id = message.id "
    "WHERE holder = 0 AND queue = ? ORDER BY rank, message.id LIMIT ?"};
constexpr Sql kTake{
    "UPDATE message SET holder = ?, deliveries = deliveries + 1 WHERE id = ? AND holder = 0"};
constexpr Sql kNextDue{"SELECT min(rank) FROM message WHERE holder = -1 AND queue = ?"};
constexpr Sql kDiscard{"DELETE FROM message WHERE id = ? AND holder = ? AND queue = ?"};
constexpr Sql kRequeue{"UPDATE message SET holder = 0 WHERE id = ? AND holder = ? AND queue = ?"};
constexpr Sql kUnclaim{
    "UPDATE message SET holder = 0, deliveries = deliveries - 1 WHERE id = ? AND holder = ? AND "
    "queue = ?"};

std::int64_t later(std::int64_t now, std::chrono::milliseconds by) {
    const std::int64_t room = std::numeric_limits<std::int64_t>::max() - now;
    return now + std::min<std::int64_t>(by.count(), room);
}

Result<void> insert(Connection& connection, const Topology::Queue& queue, std::int64_t key,
                    const Publication& publication, std::string_view headers, Now now) {
    const MessageProperties& properties = publication.message.properties;
    const bool delayed = publication.delay.count() > 0;
    const int highest = queue.declaration.max_priority.value_or(0);
    const std::int64_t rank = delayed ? later(now.wall, publication.delay)
                                      : -std::min<int>(properties.priority.value_or(0), highest);
    auto ttl = properties.expiration;
    if (const auto& limit = queue.declaration.message_ttl; limit && (!ttl || *limit < *ttl))
        ttl = limit;
    std::optional<std::int64_t> expires_at;
    if (ttl) expires_at = later(now.wall, *ttl);
    std::optional<std::int64_t> expiration;
    if (properties.expiration) expiration = properties.expiration->count();
    const std::string& body = publication.message.body;
    const bool large = body.size() > kInlineBodyBytesMax;

    const auto inserted =
        connection.run(kInsert, key, delayed ? kDelayed : kReady, rank, expires_at,
                       publication.exchange, publication.routing_key, properties.content_type,
                       properties.content_encoding, properties.correlation_id, properties.reply_to,
                       properties.priority, properties.delivery_mode, expiration, headers,
                       large ? std::nullopt : std::optional{Blob{body}});
    if (!inserted) return std::unexpected{inserted.error()};
    if (!large) return {};
    const auto stored = connection.run("INSERT INTO large_body VALUES (?, ?)",
                                       connection.last_insert_id(), Blob{body});
    if (!stored) return std::unexpected{stored.error()};
    return {};
}

Delivery read_delivery(const Statement& row, const std::string& queue, Now now) {
    Delivery delivery;
    delivery.queue = queue;
    delivery.redelivered = row.integer(1) > 0;
    delivery.expired = !row.is_null(2) && row.integer(2) <= now.wall;
    delivery.exchange = row.text(3);
    delivery.routing_key = row.text(4);
    MessageProperties& properties = delivery.message.properties;
    properties.content_type = row.text(5);
    properties.content_encoding = row.text(6);
    properties.correlation_id = row.text(7);
    properties.reply_to = row.text(8);
    if (!row.is_null(9)) properties.priority = static_cast<std::uint8_t>(row.integer(9));
    properties.delivery_mode = static_cast<std::uint8_t>(row.integer(10));
    if (!row.is_null(11)) properties.expiration = std::chrono::milliseconds{row.integer(11)};
    delivery.message.headers = Json::raw(std::string{row.text(12)});
    delivery.message.body = row.blob(row.is_null(13) ? 14 : 13);
    return delivery;
}

/// Reads up to `limit` ready messages into `claim`; false when the byte limit ended it.
Result<bool> read_ready(Connection& connection, std::int64_t key, const std::string& queue,
                        std::size_t limit, std::size_t& bytes, Claim& claim, Now now) {
    Statement rows = connection.query(kReadyOnes, key, limit);
    while (true) {
        const auto row = rows.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return true;
        claim.items.push_back({{rows.integer(0), key}, read_delivery(rows, queue, now)});
        bytes += claim.items.back().delivery.message.body.size();
        if (bytes >= kClaimBytes) return false;
    }
}

Result<void> note_next_due(Connection& connection, std::int64_t key, Claim& claim) {
    const auto due = connection.integer(kNextDue, key);
    if (!due) return std::unexpected{due.error()};
    if (*due) claim.next_due = std::min(claim.next_due.value_or(**due), **due);
    return {};
}

}  // namespace

Result<void> publish(Connection& connection, const Publication& publication,
                     std::string_view headers, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    std::vector<ExchangeTable::QueueKey> keys;
    if (auto routed = (*topology)->table.route(publication.exchange, publication.routing_key, keys);
        !routed) {
        return routed;
    }
    if (keys.empty()) {
        if (publication.mandatory) return no_queue_takes(publication);
        return {};
    }
    if (connection.low_on_space()) {
        return fail(Errc::unavailable,
                    "'" + connection.file().string() +
                        "': the disk is full: no message is taken until space is free (messages "
                        "are still delivered and settled)");
    }
    for (const auto key : keys) {
        auto done = insert(connection, (*topology)->queues.at(key), key, publication, headers, now);
        if (!done) return done;
    }
    if (failpoint::fails(failpoint::Point::send_unconfirmed)) {
        return fail(Errc::unavailable, "failpoint: the disk did not take it");
    }
    connection.request_wake();
    return {};
}

Result<Claim> claim(Connection& connection, PeerId peer, std::span<const std::string> queues,
                    std::size_t first, std::size_t limit, Now now) {
    Claim claim;
    const auto alive = connection.integer("SELECT 1 FROM peer WHERE id = ?", peer);
    if (!alive) return std::unexpected{alive.error()};
    if (!*alive) {
        claim.lost = true;
        return claim;
    }
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};

    struct Source {
        std::int64_t key;
        const std::string* name;
        bool exhausted = false;
    };
    std::vector<Source> sources;
    sources.reserve(queues.size());
    for (std::size_t i = 0; i < queues.size(); ++i) {
        const std::string& name = queues[(first + i) % queues.size()];
        if (const auto* key = (*topology)->table.find_queue(name)) {
            sources.push_back({*key, &name});
        } else {
            claim.gone_queues.push_back(name);
        }
    }
    std::size_t bytes = 0;
    bool room = true;
    // Two rounds: each queue its share, then whatever has more. Reading marks nothing, so what the
    // first round read is taken before the second reads on.
    for (std::size_t round = 0; round < 2; ++round) {
        std::size_t left = static_cast<std::size_t>(
            std::ranges::count_if(sources, [](const Source& source) { return !source.exhausted; }));
        for (Source& source : sources) {
            if (source.exhausted) continue;
            const std::size_t free = limit - claim.items.size();
            const std::size_t share = round == 0 ? (free + left - 1) / left : free;
            --left;
            if (share == 0 || !room) continue;
            const auto& declaration = (*topology)->queues.at(source.key).declaration;
            if (round == 0) {
                const auto promoted = connection.run(kPromote, declaration.max_priority.value_or(0),
                                                     source.key, now.wall);
                if (!promoted) return std::unexpected{promoted.error()};
            }
            const std::size_t before = claim.items.size();
            const auto within =
                read_ready(connection, source.key, *source.name, share, bytes, claim, now);
            if (!within) return std::unexpected{within.error()};
            room = *within;
            for (std::size_t i = before; i < claim.items.size(); ++i) {
                const auto taken = connection.run(kTake, peer, claim.items[i].message.id);
                if (!taken) return std::unexpected{taken.error()};
            }
            source.exhausted = room && claim.items.size() - before < share;
        }
    }
    claim.more =
        std::ranges::any_of(sources, [](const Source& source) { return !source.exhausted; });
    for (const Source& source : sources) {
        if (!source.exhausted) continue;
        if (auto done = note_next_due(connection, source.key, claim); !done) {
            return std::unexpected{done.error()};
        }
    }
    return claim;
}

Result<std::uint64_t> settle(Connection& connection, PeerId peer, std::span<const Settle> settles) {
    std::uint64_t stale = 0;
    for (const auto& [message, how] : settles) {
        const Sql sql = how == Settlement::discard   ? kDiscard
                        : how == Settlement::requeue ? kRequeue
                                                     : kUnclaim;
        const auto changed = connection.run(sql, message.id, peer, message.queue);
        if (!changed) return std::unexpected{changed.error()};
        if (*changed == 0) {
            ++stale;
        } else if (how != Settlement::discard) {
            connection.request_wake();
        }
    }
    return stale;
}

}  // namespace lovage::sqlite_broker
