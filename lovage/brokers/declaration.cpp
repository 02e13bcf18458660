#include <lovage/brokers/declaration.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace lovage {

namespace {

/// AMQP 0-9-1 short strings; the embedded brokers keep to it so that names work everywhere.
constexpr std::size_t kNameBytesMax = 255;

std::string shown(bool value) {
    return value ? "true" : "false";
}
std::string shown(const std::optional<std::uint8_t>& value) {
    return value ? std::to_string(*value) : "none";
}
std::string shown(const std::optional<std::chrono::milliseconds>& value) {
    return value ? fmt::format("{} ms", value->count()) : "none";
}
std::string shown(const Json& value) {
    return to_json_text(value);
}

template <class T>
Result<void> same(std::string_view queue, std::string_view argument, const T& existing,
                  const T& wanted) {
    if (existing == wanted) return {};
    return fail(
        Errc::conflict,
        fmt::format("queue '{}' exists with {} {}, not {}: declare it alike, or delete it first",
                    queue, argument, shown(existing), shown(wanted)));
}

Result<void> check_name(std::string_view what, std::string_view name) {
    if (name.size() <= kNameBytesMax) return {};
    return fail(Errc::invalid_argument, fmt::format("{} of {} bytes; at most {} are possible", what,
                                                    name.size(), kNameBytesMax));
}

}  // namespace

std::string_view to_string(ExchangeType type) noexcept {
    switch (type) {
        case ExchangeType::direct:
            return "direct";
        case ExchangeType::fanout:
            return "fanout";
        case ExchangeType::topic:
            return "topic";
    }
    return "direct";
}

Result<void> check_declaration(const QueueDeclaration& queue) {
    if (queue.name.empty()) return fail(Errc::invalid_argument, "a queue needs a name");
    if (auto done = check_name("a queue name", queue.name); !done) return done;
    if (queue.expires && queue.expires->count() <= 0) {
        return fail(Errc::invalid_argument,
                    fmt::format("queue '{}': expires must be longer than nothing", queue.name));
    }
    if (queue.message_ttl && queue.message_ttl->count() < 0) {
        return fail(Errc::invalid_argument,
                    fmt::format("queue '{}': message_ttl must not be negative", queue.name));
    }
    return {};
}

Result<void> check_redeclaration(const QueueDeclaration& existing, const QueueDeclaration& wanted) {
    const std::string& name = wanted.name;
    auto done = same(name, "durable", existing.durable, wanted.durable);
    if (done) done = same(name, "exclusive", existing.exclusive, wanted.exclusive);
    if (done) done = same(name, "auto_delete", existing.auto_delete, wanted.auto_delete);
    if (done) done = same(name, "max_priority", existing.max_priority, wanted.max_priority);
    if (done) done = same(name, "expires", existing.expires, wanted.expires);
    if (done) done = same(name, "message_ttl", existing.message_ttl, wanted.message_ttl);
    if (done) done = same(name, "arguments", existing.arguments, wanted.arguments);
    return done;
}

Result<void> check_consume(const ConsumeOptions& options) {
    if (options.prefetch < 1 || options.prefetch > std::numeric_limits<std::uint16_t>::max()) {
        return fail(Errc::invalid_argument,
                    fmt::format("prefetch {}: must be 1 to 65,535", options.prefetch));
    }
    for (auto queue = options.queues.begin(); queue != options.queues.end(); ++queue) {
        if (std::find(options.queues.begin(), queue, *queue) != queue) {
            return fail(Errc::invalid_argument, fmt::format("queue '{}' is named twice", *queue));
        }
    }
    return {};
}

Result<void> check_publication(const Publication& publication, std::size_t header_bytes,
                               const MessageLimits& limits) {
    if (publication.message.body.size() > limits.body_bytes_max && !publication.any_size) {
        return fail(
            Errc::too_large,
            fmt::format(
                "a message body of {} bytes; at most {} are allowed (store large data elsewhere "
                "and send a reference)",
                publication.message.body.size(), limits.body_bytes_max));
    }
    if (header_bytes > limits.header_bytes_max) {
        return fail(Errc::too_large,
                    fmt::format("message headers of {} bytes; at most {} are allowed", header_bytes,
                                limits.header_bytes_max));
    }
    if (auto done = check_name("a routing key", publication.routing_key); !done) return done;
    return check_name("an exchange name", publication.exchange);
}

std::unexpected<Error> no_such_queue(std::string_view name) {
    return fail(Errc::not_found, fmt::format("no queue named '{}'", name));
}

std::unexpected<Error> no_queue_takes(const Publication& publication) {
    if (publication.exchange.empty()) {
        return fail(
            Errc::unroutable,
            fmt::format("no queue named '{}': declare it, or start a worker that consumes it",
                        publication.routing_key));
    }
    return fail(Errc::unroutable,
                fmt::format("exchange '{}' has no queue bound for routing key '{}'",
                            publication.exchange, publication.routing_key));
}

}  // namespace lovage
