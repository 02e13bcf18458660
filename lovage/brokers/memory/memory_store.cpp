#include <lovage/brokers/memory/memory_store.hpp>

#include <lovage/brokers/declaration.hpp>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include <algorithm>

namespace lovage {

namespace {

/// What all messages of one store may hold together; beyond it publishers are told to wait.
constexpr std::size_t kBodyBytesMax = std::size_t{1} << 30U;

}  // namespace

std::shared_ptr<MemoryStore> MemoryStore::shared(const std::string& name) {
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<MemoryStore>> stores;
    const std::lock_guard lock{mutex};
    auto& entry = stores[name];
    if (auto existing = entry.lock()) return existing;
    auto store = std::make_shared<MemoryStore>();
    entry = store;
    return store;
}

MemoryStore::ConnectionId MemoryStore::connect() {
    const std::lock_guard lock{mutex_};
    return next_id_++;
}

void MemoryStore::disconnect(ConnectionId connection, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    std::vector<QueueKey> owned;
    for (const auto& [key, queue] : queues_) {
        if (queue.owner == connection) owned.push_back(key);
    }
    for (const QueueKey key : owned) remove_queue(key);
    remove_unused_queues(now);
}

Result<void> MemoryStore::declare_queue(const QueueDeclaration& declaration,
                                        ConnectionId connection, Clock::time_point now) {
    if (auto valid = check_declaration(declaration); !valid) return valid;
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    if (find(declaration.name) != nullptr) {
        auto existing = usable(declaration.name, connection);
        if (!existing) return std::unexpected{existing.error()};
        (*existing)->unused_since = now;
        return check_redeclaration((*existing)->declaration, declaration);
    }
    const auto key = static_cast<QueueKey>(next_id_++);
    Queue& queue = queues_[key];
    queue.declaration = declaration;
    queue.owner = declaration.exclusive ? connection : 0;
    queue.unused_since = now;
    if (declaration.expires) ++expiring_queues_;
    table_.add_queue(declaration.name, key);
    return {};
}

Result<void> MemoryStore::declare_exchange(const ExchangeDeclaration& declaration) {
    const std::lock_guard lock{mutex_};
    return table_.declare_exchange(declaration);
}

Result<void> MemoryStore::bind(const Binding& binding, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    return table_.bind(binding);
}

Result<void> MemoryStore::delete_queue(std::string_view name, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    const QueueKey* key = table_.find_queue(name);
    if (key == nullptr) return no_such_queue(name);
    remove_queue(*key);
    return {};
}

Result<void> MemoryStore::publish(Publication publication, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    std::vector<QueueKey> keys;
    if (auto routed = table_.route(publication.exchange, publication.routing_key, keys); !routed) {
        return routed;
    }
    if (keys.empty()) {
        if (publication.mandatory) return no_queue_takes(publication);
        return {};
    }
    const std::size_t bytes = publication.message.body.size() * keys.size();
    if (body_bytes_ + bytes > kBodyBytesMax) {
        return fail(
            Errc::unavailable,
            fmt::format(
                "the in-memory broker holds {} bytes of {}: wait for consumers, or use a broker "
                "on disk",
                body_bytes_, kBodyBytesMax));
    }
    body_bytes_ += bytes;
    const MessageId id = next_id_++;
    for (const QueueKey key : keys) {
        Queue& queue = queues_.at(key);
        const int highest = queue.declaration.max_priority.value_or(0);
        Stored stored{
            .place = {-std::min<int>(publication.message.properties.priority.value_or(0), highest),
                      id},
            .exchange = publication.exchange,
            .routing_key = publication.routing_key,
            .message = publication.message};
        auto ttl = publication.message.properties.expiration;
        if (const auto& limit = queue.declaration.message_ttl; limit && (!ttl || *limit < *ttl))
            ttl = limit;
        if (ttl) stored.expires_at = now + *ttl;
        if (publication.delay.count() > 0) {
            queue.delayed.emplace(now + publication.delay, std::move(stored));
        } else {
            const Place place = stored.place;
            queue.ready.emplace(place, std::move(stored));
        }
        wake_consumers_of(queue.declaration.name);
    }
    return {};
}

Result<std::uint64_t> MemoryStore::purge(std::string_view name, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    Queue* const queue = find(name);
    if (queue == nullptr) return no_such_queue(name);
    const std::uint64_t removed = queue->ready.size() + queue->delayed.size();
    for (const auto& [place, stored] : queue->ready) body_bytes_ -= stored.message.body.size();
    for (const auto& [due, stored] : queue->delayed) body_bytes_ -= stored.message.body.size();
    queue->ready.clear();
    queue->delayed.clear();
    return removed;
}

Result<QueueStatus> MemoryStore::status(std::string_view name, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    Queue* const queue = find(name);
    if (queue == nullptr) return no_such_queue(name);
    promote_due(*queue, now);
    return QueueStatus{.ready = queue->ready.size(),
                       .delayed = queue->delayed.size(),
                       .unsettled = queue->unsettled.size(),
                       .consumers = queue->consumers};
}

std::vector<std::string> MemoryStore::queue_names(Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    return table_.queue_names();
}

Result<MemoryStore::ConsumerId> MemoryStore::add_consumer(ConnectionId connection,
                                                          const std::vector<std::string>& queues,
                                                          std::shared_ptr<Waker> waker,
                                                          Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    for (const std::string& name : queues) {
        if (auto queue = usable(name, connection); !queue) return std::unexpected{queue.error()};
    }
    for (const std::string& name : queues) ++find(name)->consumers;
    const ConsumerId id = next_id_++;
    consumers_.emplace(
        id, Consumer{.connection = connection, .queues = queues, .waker = std::move(waker)});
    return id;
}

Result<void> MemoryStore::add_queue(ConsumerId id, const std::string& name, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    Consumer& consumer = consumers_.at(id);
    if (std::ranges::find(consumer.queues, name) != consumer.queues.end()) return {};
    auto queue = usable(name, consumer.connection);
    if (!queue) return std::unexpected{queue.error()};
    ++(*queue)->consumers;
    consumer.queues.push_back(name);
    return {};
}

Result<void> MemoryStore::cancel_queue(ConsumerId id, const std::string& name,
                                       Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    Consumer& consumer = consumers_.at(id);
    if (std::erase(consumer.queues, name) == 0) return no_such_queue(name);
    leave_queue(name, now);
    return {};
}

void MemoryStore::cancel(ConsumerId id, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    Consumer& consumer = consumers_.at(id);
    consumer.cancelled = true;
    for (const std::string& name : std::exchange(consumer.queues, {})) leave_queue(name, now);
}

void MemoryStore::remove_consumer(ConsumerId id, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    const auto found = consumers_.find(id);
    if (found == consumers_.end()) return;
    auto consumer = consumers_.extract(found);
    for (const auto& [message, key] : consumer.mapped().holds) {
        const auto queue = queues_.find(key);
        if (queue == queues_.end()) continue;
        auto held = queue->second.unsettled.extract(message);
        const Place place = held.mapped().stored.place;
        queue->second.ready.emplace(place, std::move(held.mapped().stored));
        wake_consumers_of(queue->second.declaration.name);
    }
    for (const std::string& name : consumer.mapped().queues) leave_queue(name, now);
}

MemoryStore::Taken MemoryStore::take(ConsumerId id, std::size_t limit, Clock::time_point now) {
    const std::lock_guard lock{mutex_};
    remove_unused_queues(now);
    Taken taken;
    Consumer& consumer = consumers_.at(id);
    for (auto name = consumer.queues.begin(); name != consumer.queues.end(); ++name) {
        if (find(*name) != nullptr) continue;
        taken.deleted_queue = std::move(*name);
        consumer.queues.erase(name);
        return taken;
    }
    if (consumer.queues.empty()) return taken;
    const std::size_t count = consumer.queues.size();
    const std::size_t first = consumer.turn++ % count;
    // Two rounds: each queue its share, then whatever has more.
    for (std::size_t step = 0; step < 2 * count && taken.items.size() < limit; ++step) {
        const std::string& name = consumer.queues[(first + step) % count];
        const std::size_t free = limit - taken.items.size();
        const std::size_t share = step < count ? (free + count - step - 1) / (count - step) : free;
        const QueueKey key = *table_.find_queue(name);
        Queue& queue = queues_.at(key);
        promote_due(queue, now);
        take_from(queue, key, consumer, id, share, now, taken);
        if (!queue.delayed.empty()) {
            const auto due = queue.delayed.begin()->first;
            taken.next_due = taken.next_due ? std::min(*taken.next_due, due) : due;
        }
    }
    return taken;
}

void MemoryStore::take_from(Queue& queue, QueueKey key, Consumer& consumer, ConsumerId id,
                            std::size_t limit, Clock::time_point now, Taken& taken) {
    for (; limit > 0 && !queue.ready.empty(); --limit) {
        auto node = queue.ready.extract(queue.ready.begin());
        Stored& stored = node.mapped();
        const MessageId message = stored.place.second;
        taken.items.push_back(
            {message, Delivery{.tag = {},
                               .queue = queue.declaration.name,
                               .exchange = stored.exchange,
                               .routing_key = stored.routing_key,
                               .redelivered = stored.delivered_before,
                               .expired = stored.expires_at && *stored.expires_at <= now,
                               .message = stored.message}});
        stored.delivered_before = true;
        consumer.holds.emplace(message, key);
        queue.unsettled.emplace(message, Unsettled{id, std::move(stored)});
    }
}

bool MemoryStore::discard(ConsumerId id, MessageId message) {
    const std::lock_guard lock{mutex_};
    Consumer& consumer = consumers_.at(id);
    const auto held = consumer.holds.find(message);
    if (held == consumer.holds.end()) return false;
    const auto queue = queues_.find(held->second);
    consumer.holds.erase(held);
    if (queue == queues_.end()) return false;
    const auto unsettled = queue->second.unsettled.find(message);
    body_bytes_ -= unsettled->second.stored.message.body.size();
    queue->second.unsettled.erase(unsettled);
    return true;
}

bool MemoryStore::requeue(ConsumerId id, MessageId message, Clock::time_point) {
    const std::lock_guard lock{mutex_};
    Consumer& consumer = consumers_.at(id);
    const auto held = consumer.holds.find(message);
    if (held == consumer.holds.end()) return false;
    const auto queue = queues_.find(held->second);
    consumer.holds.erase(held);
    if (queue == queues_.end()) return false;
    auto unsettled = queue->second.unsettled.extract(message);
    const Place place = unsettled.mapped().stored.place;
    queue->second.ready.emplace(place, std::move(unsettled.mapped().stored));
    wake_consumers_of(queue->second.declaration.name);
    return true;
}

void MemoryStore::remove_unused_queues(Clock::time_point now) {
    if (expiring_queues_ == 0) return;
    std::vector<QueueKey> unused;
    for (const auto& [key, queue] : queues_) {
        const auto& expires = queue.declaration.expires;
        if (expires && queue.consumers == 0 && queue.unused_since + *expires <= now)
            unused.push_back(key);
    }
    for (const QueueKey key : unused) remove_queue(key);
}

void MemoryStore::remove_queue(QueueKey key) {
    const auto found = queues_.find(key);
    if (found == queues_.end()) return;
    Queue& queue = found->second;
    for (const auto& [place, stored] : queue.ready) body_bytes_ -= stored.message.body.size();
    for (const auto& [due, stored] : queue.delayed) body_bytes_ -= stored.message.body.size();
    for (const auto& [id, held] : queue.unsettled) body_bytes_ -= held.stored.message.body.size();
    if (queue.declaration.expires) --expiring_queues_;
    table_.remove_queue(queue.declaration.name);
    wake_consumers_of(queue.declaration.name);  // they learn that it is gone
    queues_.erase(found);
}

MemoryStore::Queue* MemoryStore::find(std::string_view name) {
    const QueueKey* key = table_.find_queue(name);
    return key == nullptr ? nullptr : &queues_.at(*key);
}

Result<MemoryStore::Queue*> MemoryStore::usable(const std::string& name, ConnectionId connection) {
    Queue* const queue = find(name);
    if (queue == nullptr) return no_such_queue(name);
    if (queue->owner != 0 && queue->owner != connection) {
        return fail(Errc::conflict,
                    fmt::format("queue '{}' is exclusive to another connection", name));
    }
    return queue;
}

void MemoryStore::leave_queue(const std::string& name, Clock::time_point now) {
    const QueueKey* key = table_.find_queue(name);
    if (key == nullptr) return;
    Queue& queue = queues_.at(*key);
    queue.unused_since = now;
    if (--queue.consumers == 0 && queue.declaration.auto_delete) remove_queue(*key);
}

void MemoryStore::wake_consumers_of(const std::string& queue) {
    for (auto& [id, consumer] : consumers_) {
        if (std::ranges::find(consumer.queues, queue) == consumer.queues.end()) continue;
        if (consumer.waker->pending.exchange(true)) continue;
        boost::asio::post(consumer.waker->executor, [weak = std::weak_ptr{consumer.waker}] {
            const auto waker = weak.lock();
            if (!waker) return;
            waker->pending = false;
            if (waker->wake) waker->wake();
        });
    }
}

void MemoryStore::promote_due(Queue& queue, Clock::time_point now) {
    while (!queue.delayed.empty() && queue.delayed.begin()->first <= now) {
        auto node = queue.delayed.extract(queue.delayed.begin());
        const Place place = node.mapped().place;
        queue.ready.emplace(place, std::move(node.mapped()));
    }
}

}  // namespace lovage
