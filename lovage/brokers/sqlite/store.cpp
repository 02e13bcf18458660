#include <lovage/brokers/sqlite/store.hpp>

#include <lovage/brokers/declaration.hpp>
#include <lovage/brokers/sqlite/topology.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>

#include <time.h>

namespace lovage::sqlite_broker {

using sqlite::Sql;
using sqlite::Statement;

namespace {

constexpr std::array<Sql, 1> kSteps{R"sql(
CREATE TABLE topology(
    stamp INTEGER NOT NULL,       -- another random number after every change of queues, exchanges, bindings
    boot_id TEXT NOT NULL         -- which boot unused_since counts in
) STRICT;
INSERT INTO topology VALUES (1, '');

CREATE TABLE queue(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    durable INTEGER NOT NULL,
    exclusive_to INTEGER NOT NULL,  -- peer, 0: none
    auto_delete INTEGER NOT NULL,
    max_priority INTEGER,
    expires_ms INTEGER,
    message_ttl_ms INTEGER,
    arguments TEXT NOT NULL,
    unused_since INTEGER NOT NULL   -- boot clock; counts while it has no consumer
) STRICT;

CREATE TABLE exchange(
    name TEXT PRIMARY KEY,
    type INTEGER NOT NULL,          -- 0 direct, 1 fanout, 2 topic
    durable INTEGER NOT NULL,
    auto_delete INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE binding(
    exchange TEXT NOT NULL,
    queue INTEGER NOT NULL,
    routing_key TEXT NOT NULL,
    PRIMARY KEY (exchange, queue, routing_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE peer(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    tag TEXT NOT NULL,              -- for people: host and process
    boot_id TEXT NOT NULL,
    lease_until INTEGER NOT NULL    -- boot clock
) STRICT;

CREATE TABLE consumer(
    peer INTEGER NOT NULL,
    name TEXT NOT NULL,
    queue INTEGER NOT NULL,
    PRIMARY KEY (peer, name, queue)
) STRICT, WITHOUT ROWID;

CREATE TABLE message(
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    holder INTEGER NOT NULL,        -- 0 ready, -1 delayed, else the peer it was delivered to
    rank INTEGER NOT NULL,          -- negated priority; of a delayed one its due time, Unix ms
    deliveries INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER,             -- Unix ms
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_encoding TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    reply_to TEXT NOT NULL,
    priority INTEGER,
    delivery_mode INTEGER NOT NULL,
    expiration_ms INTEGER,
    headers TEXT NOT NULL,          -- JSON
    body BLOB                       -- NULL: in large_body, so that changing the state does not rewrite it
) STRICT;
CREATE INDEX message_by_holder ON message(holder, queue, rank);

CREATE TABLE large_body(
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
CREATE TRIGGER message_gone AFTER DELETE ON message WHEN old.body IS NULL BEGIN
    DELETE FROM large_body WHERE id = old.id;
END;
)sql"};

template <class T>
std::optional<std::int64_t> count_of(const std::optional<T>& value) {
    if (!value) return std::nullopt;
    if constexpr (std::integral<T>) {
        return static_cast<std::int64_t>(*value);
    } else {
        return value->count();
    }
}

template <class T>
std::optional<T> optional_from(const Statement& row, int column) {
    const auto value = row.optional_integer(column);
    if (!value) return std::nullopt;
    return T(*value);
}

Result<void> ignore_count(Result<std::int64_t> done) {
    if (!done) return std::unexpected{std::move(done.error())};
    return {};
}

/// Calls `use(row)` for every row.
template <class F>
Result<void> for_each(Statement statement, F use) {
    while (true) {
        const auto row = statement.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return {};
        use(statement);
    }
}

Result<void> drop_queue(Connection& connection, ExchangeTable::QueueKey key) {
    auto done = ignore_count(connection.run(
        "DELETE FROM exchange WHERE auto_delete AND name IN (SELECT exchange FROM binding WHERE "
        "queue = ?1) "
        "AND NOT EXISTS (SELECT 1 FROM binding WHERE exchange = exchange.name AND queue <> ?1)",
        key));
    if (done) done = ignore_count(connection.run("DELETE FROM binding WHERE queue = ?", key));
    if (done) done = ignore_count(connection.run("DELETE FROM consumer WHERE queue = ?", key));
    if (done) done = ignore_count(connection.run("DELETE FROM message WHERE queue = ?", key));
    if (done) done = ignore_count(connection.run("DELETE FROM queue WHERE id = ?", key));
    if (done) done = Topology::changed(connection);
    connection.request_wake();  // its consumers learn that it is gone
    return done;
}

/// A queue lost a consumer: auto-delete ones end with the last, expiring ones begin to count.
Result<void> left_by_consumer(Connection& connection, ExchangeTable::QueueKey key, Now now) {
    const auto left = connection.integer("SELECT count(*) FROM consumer WHERE queue = ?", key);
    if (!left) return std::unexpected{left.error()};
    if (left->value_or(0) > 0) return {};
    const auto auto_delete = connection.integer("SELECT auto_delete FROM queue WHERE id = ?", key);
    if (!auto_delete) return std::unexpected{auto_delete.error()};
    if (auto_delete->value_or(0) != 0) return drop_queue(connection, key);
    const auto expiring = connection.run(
        "UPDATE queue SET unused_since = ? WHERE id = ? AND expires_ms IS NOT NULL", now.boot, key);
    if (!expiring) return std::unexpected{expiring.error()};
    return *expiring > 0 ? Topology::changed(connection) : Result<void>{};
}

Result<ExchangeTable::QueueKey> key_of(const Topology& topology, std::string_view name) {
    const auto* key = topology.table.find_queue(name);
    if (key == nullptr) return no_such_queue(name);
    return *key;
}

Result<void> check_exclusive(const Topology& topology, ExchangeTable::QueueKey key, PeerId peer) {
    const Topology::Queue& queue = topology.queues.at(key);
    if (queue.exclusive_to == 0 || queue.exclusive_to == peer) return {};
    return fail(Errc::conflict, fmt::format("queue '{}' is exclusive to another connection",
                                            queue.declaration.name));
}

}  // namespace

const sqlite::Schema& schema() {
    static const sqlite::Schema broker{"broker", 0x4c764271, kSteps};  // "LvBq"
    return broker;
}

Now Now::read() {
    timespec boot{};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    return {.wall = std::chrono::duration_cast<std::chrono::milliseconds>(wall).count(),
            .boot = static_cast<std::int64_t>(boot.tv_sec) * 1000 + boot.tv_nsec / 1'000'000};
}

const std::string& boot_id() {
    static const std::string id = [] {
        std::string text;
        std::ifstream{"/proc/sys/kernel/random/boot_id"} >> text;
        return text;
    }();
    return id;
}

// --- Topology ------------------------------------------------------------------------

namespace {

Result<void> load(Connection& connection, Topology& topology) {
    topology = Topology{};
    auto done = for_each(
        connection.query("SELECT id, name, durable, exclusive_to, auto_delete, max_priority, "
                         "expires_ms, message_ttl_ms, "
                         "arguments, unused_since, EXISTS (SELECT 1 FROM consumer WHERE queue = "
                         "queue.id) FROM queue"),
        [&](const Statement& row) {
            QueueDeclaration queue{.name = std::string{row.text(1)},
                                   .durable = row.integer(2) != 0,
                                   .exclusive = row.integer(3) != 0,
                                   .auto_delete = row.integer(4) != 0,
                                   .max_priority = optional_from<std::uint8_t>(row, 5),
                                   .expires = optional_from<std::chrono::milliseconds>(row, 6),
                                   .message_ttl = optional_from<std::chrono::milliseconds>(row, 7),
                                   .arguments = Json::raw(std::string{row.text(8)})};
            if (queue.expires && row.integer(10) == 0) {
                topology.next_queue_end =
                    std::min(topology.next_queue_end, row.integer(9) + queue.expires->count());
            }
            topology.table.add_queue(queue.name, row.integer(0));
            topology.queues.emplace(row.integer(0),
                                    Topology::Queue{std::move(queue), row.integer(3)});
        });
    if (!done) return done;
    done = for_each(
        connection.query("SELECT name, type, durable, auto_delete FROM exchange"),
        [&](const Statement& row) {
            (void)topology.table.declare_exchange(
                {.name = std::string{row.text(0)},
                 .type = static_cast<ExchangeType>(std::clamp<std::int64_t>(row.integer(1), 0, 2)),
                 .durable = row.integer(2) != 0,
                 .auto_delete = row.integer(3) != 0});
        });
    if (!done) return done;
    return for_each(
        connection.query(
            "SELECT queue.name, exchange, routing_key FROM binding JOIN queue ON queue.id = queue"),
        [&](const Statement& row) {
            (void)topology.table.bind({.queue = std::string{row.text(0)},
                                       .exchange = std::string{row.text(1)},
                                       .routing_key = std::string{row.text(2)}});
        });
}

Result<void> drop_unused_queues(Connection& connection, Now now) {
    std::vector<ExchangeTable::QueueKey> unused;
    auto done = for_each(
        connection.query(
            "SELECT id FROM queue WHERE expires_ms IS NOT NULL AND unused_since + expires_ms <= ? "
            "AND NOT EXISTS (SELECT 1 FROM consumer WHERE queue = queue.id)",
            now.boot),
        [&](const Statement& row) { unused.push_back(row.integer(0)); });
    for (const auto key : unused) {
        if (done) done = drop_queue(connection, key);
    }
    return done;
}

}  // namespace

Result<Topology*> Topology::current(Connection& connection, Now now) {
    auto& topology = connection.attachment<Topology>();
    if (topology.checked_in_transaction == connection.transaction_number()) return &topology;
    while (true) {
        const auto stamp = connection.integer("SELECT stamp FROM topology");
        if (!stamp) return std::unexpected{stamp.error()};
        if (topology.stamp != stamp->value_or(0)) {
            if (auto done = load(connection, topology); !done) return std::unexpected{done.error()};
            topology.stamp = stamp->value_or(0);
        }
        if (now.boot < topology.next_queue_end) break;
        if (auto done = drop_unused_queues(connection, now); !done) {
            return std::unexpected{done.error()};
        }
    }
    topology.checked_in_transaction = connection.transaction_number();
    return &topology;
}

Result<void> Topology::changed(Connection& connection) {
    connection.attachment<Topology>().forget();
    // Random rather than counted: after a rollback, another process may make the next number with
    // other content.
    return ignore_count(connection.run("UPDATE topology SET stamp = random()"));
}

Result<void> enter(Connection& connection, const std::string& boot, Now now) {
    auto changed = connection.run("UPDATE topology SET boot_id = ?1 WHERE boot_id <> ?1", boot);
    if (!changed || *changed == 0) return ignore_count(std::move(changed));
    auto done = ignore_count(connection.run("UPDATE queue SET unused_since = ?", now.boot));
    return done ? Topology::changed(connection) : done;
}

Result<void> declare_queue(Connection& connection, const QueueDeclaration& queue, PeerId peer,
                           Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    if (const auto* key = (*topology)->table.find_queue(queue.name)) {
        if (auto ours = check_exclusive(**topology, *key, peer); !ours) return ours;
        const auto& existing = (*topology)->queues.at(*key).declaration;
        auto same = check_redeclaration(existing, queue);
        if (!same || !queue.expires) return same;
        same = ignore_count(
            connection.run("UPDATE queue SET unused_since = ? WHERE id = ?", now.boot, *key));
        return same ? Topology::changed(connection) : same;
    }
    auto done = ignore_count(
        connection.run("INSERT INTO queue(name, durable, exclusive_to, auto_delete, max_priority, "
                       "expires_ms, message_ttl_ms, "
                       "arguments, unused_since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       queue.name, queue.durable, queue.exclusive ? peer : 0, queue.auto_delete,
                       count_of(queue.max_priority), count_of(queue.expires),
                       count_of(queue.message_ttl), to_json_text(queue.arguments), now.boot));
    return done ? Topology::changed(connection) : done;
}

Result<void> declare_exchange(Connection& connection, const ExchangeDeclaration& exchange,
                              Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    (*topology)
        ->forget();  // the table judges the declaration, and is read again before its next use
    if (auto accepted = (*topology)->table.declare_exchange(exchange); !accepted) return accepted;
    const auto added = connection.run(
        "INSERT INTO exchange VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", exchange.name,
        static_cast<int>(exchange.type), exchange.durable, exchange.auto_delete);
    if (!added) return std::unexpected{added.error()};
    return *added > 0 ? Topology::changed(connection) : Result<void>{};
}

Result<void> bind(Connection& connection, const Binding& binding, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    (*topology)->forget();
    if (auto accepted = (*topology)->table.bind(binding); !accepted) return accepted;
    const auto key = key_of(**topology, binding.queue);
    if (!key) return std::unexpected{key.error()};
    const auto added = connection.run("INSERT INTO binding VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                                      binding.exchange, *key, binding.routing_key);
    if (!added) return std::unexpected{added.error()};
    return *added > 0 ? Topology::changed(connection) : Result<void>{};
}

Result<void> delete_queue(Connection& connection, std::string_view name, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    const auto key = key_of(**topology, name);
    if (!key) return std::unexpected{key.error()};
    return drop_queue(connection, *key);
}

Result<std::uint64_t> purge(Connection& connection, std::string_view name, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    const auto key = key_of(**topology, name);
    if (!key) return std::unexpected{key.error()};
    const auto removed =
        connection.run("DELETE FROM message WHERE holder IN (0, -1) AND queue = ?", *key);
    if (!removed) return std::unexpected{removed.error()};
    const auto messages =
        connection.integer("SELECT changes()");  // without what the trigger removed
    if (!messages) return std::unexpected{messages.error()};
    return static_cast<std::uint64_t>(messages->value_or(0));
}

Result<QueueStatus> status(Connection& connection, std::string_view name, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    const auto key = key_of(**topology, name);
    if (!key) return std::unexpected{key.error()};
    Statement row = connection.query(
        "SELECT (SELECT count(*) FROM message WHERE holder = 0 AND queue = ?1), "
        "(SELECT count(*) FROM message WHERE holder = -1 AND queue = ?1), "
        "(SELECT count(*) FROM message WHERE holder = -1 AND queue = ?1 AND rank <= ?2), "
        "(SELECT count(*) FROM message WHERE holder > 0 AND queue = ?1), "
        "(SELECT count(*) FROM consumer WHERE queue = ?1)",
        *key, now.wall);
    const auto stepped = row.step();
    if (!stepped) return std::unexpected{stepped.error()};
    const auto number = [&](int column) { return static_cast<std::uint64_t>(row.integer(column)); };
    return QueueStatus{.ready = number(0) + number(2),
                       .delayed = number(1) - number(2),
                       .unsettled = number(3),
                       .consumers = static_cast<std::uint32_t>(number(4))};
}

Result<std::vector<std::string>> list_queues(Connection& connection, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    return (*topology)->table.queue_names();
}

// --- peers and consumers -------------------------------------------------------------

Result<PeerId> add_peer(Connection& connection, std::string_view name, std::string_view tag,
                        std::int64_t lease_until) {
    const auto added =
        connection.run("INSERT INTO peer(name, tag, boot_id, lease_until) VALUES (?, ?, ?, ?)",
                       name, tag, boot_id(), lease_until);
    if (!added) return std::unexpected{added.error()};
    return connection.last_insert_id();
}

Result<Renewal> renew(Connection& connection, PeerId peer, const std::string& boot,
                      std::int64_t lease_until, Now now) {
    Renewal renewal;
    const auto renewed =
        connection.run("UPDATE peer SET lease_until = ? WHERE id = ?", lease_until, peer);
    if (!renewed) return std::unexpected{renewed.error()};
    renewal.alive = *renewed > 0;

    std::vector<std::string> ended;
    auto done =
        for_each(connection.query(
                     "SELECT name FROM peer WHERE id <> ? AND (boot_id <> ? OR lease_until <= ?)",
                     peer, boot, now.boot),
                 [&](const Statement& row) { ended.emplace_back(row.text(0)); });
    if (!done) return std::unexpected{done.error()};
    for (const std::string& name : ended) {
        const auto rescue = remove_peer(connection, name, now);
        if (!rescue) return std::unexpected{rescue.error()};
        renewal.rescued += rescue->messages;
    }
    const auto next = connection.integer("SELECT min(lease_until) FROM peer WHERE id <> ?", peer);
    if (!next) return std::unexpected{next.error()};
    renewal.next_lease_end = *next;
    return renewal;
}

Result<Rescue> remove_peer(Connection& connection, std::string_view name, Now now) {
    const auto peer = connection.integer("SELECT id FROM peer WHERE name = ?", name);
    if (!peer) return std::unexpected{peer.error()};
    if (!*peer) return Rescue{};
    const auto returned = connection.run("UPDATE message SET holder = 0 WHERE holder = ?", **peer);
    if (!returned) return std::unexpected{returned.error()};

    std::vector<ExchangeTable::QueueKey> left;
    auto done =
        for_each(connection.query("SELECT DISTINCT queue FROM consumer WHERE peer = ?", **peer),
                 [&](const Statement& row) { left.push_back(row.integer(0)); });
    if (done) done = ignore_count(connection.run("DELETE FROM consumer WHERE peer = ?", **peer));
    for (const auto queue : left) {
        if (done) done = left_by_consumer(connection, queue, now);
    }
    std::vector<ExchangeTable::QueueKey> exclusive;
    if (done) {
        done = for_each(connection.query("SELECT id FROM queue WHERE exclusive_to = ?", **peer),
                        [&](const Statement& row) { exclusive.push_back(row.integer(0)); });
    }
    for (const auto queue : exclusive) {
        if (done) done = drop_queue(connection, queue);
    }
    if (done) done = ignore_count(connection.run("DELETE FROM peer WHERE id = ?", **peer));
    if (!done) return std::unexpected{done.error()};
    if (*returned > 0) connection.request_wake();
    return Rescue{.existed = true, .messages = static_cast<std::uint64_t>(*returned)};
}

Result<std::vector<std::string>> peer_names(Connection& connection) {
    std::vector<std::string> names;
    auto done = for_each(connection.query("SELECT name FROM peer"),
                         [&](const Statement& row) { names.emplace_back(row.text(0)); });
    if (!done) return std::unexpected{done.error()};
    return names;
}

Result<void> add_consumer(Connection& connection, PeerId peer, std::string_view consumer,
                          std::span<const std::string> queues, Now now) {
    auto topology = Topology::current(connection, now);
    if (!topology) return std::unexpected{topology.error()};
    std::vector<ExchangeTable::QueueKey> keys;
    bool expiring = false;
    for (const std::string& name : queues) {
        const auto key = key_of(**topology, name);
        if (!key) return std::unexpected{key.error()};
        if (auto ours = check_exclusive(**topology, *key, peer); !ours) return ours;
        expiring = expiring || (*topology)->queues.at(*key).declaration.expires.has_value();
        keys.push_back(*key);
    }
    for (const auto key : keys) {
        const auto added = connection.run(
            "INSERT INTO consumer VALUES (?, ?, ?) ON CONFLICT DO NOTHING", peer, consumer, key);
        if (!added) return std::unexpected{added.error()};
    }
    return expiring ? Topology::changed(connection) : Result<void>{};
}

Result<void> remove_consumer(Connection& connection, PeerId peer, std::string_view consumer,
                             std::span<const std::string> queues, Now now) {
    for (const std::string& name : queues) {
        auto topology = Topology::current(connection, now);
        if (!topology) return std::unexpected{topology.error()};
        const auto* found = (*topology)->table.find_queue(name);
        if (found == nullptr) continue;
        const auto key = *found;
        const auto removed = connection.run(
            "DELETE FROM consumer WHERE peer = ? AND name = ? AND queue = ?", peer, consumer, key);
        if (!removed) return std::unexpected{removed.error()};
        if (*removed == 0) continue;
        if (auto done = left_by_consumer(connection, key, now); !done) return done;
    }
    return {};
}

}  // namespace lovage::sqlite_broker
