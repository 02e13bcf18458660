#include <lovage/brokers/amqp/conversion.hpp>

#include <lovage/brokers/amqp/delay_queues.hpp>
#include <lovage/runtime/failpoint.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace lovage::amqp_broker {

namespace {

using std::chrono::milliseconds;

/// Ten years: RabbitMQ closes the channel over a longer one, and whatever else is on its way there
/// is lost with it. Such a message says when it expires in its headers only.
constexpr milliseconds kExpirationMax{315'360'000'000};

std::optional<std::string> unless_empty(std::string text) {
    if (text.empty()) return std::nullopt;
    return text;
}

/// Other producers may write anything; what is no number of milliseconds is as good as nothing.
std::optional<milliseconds> read_expiration(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), count);
    if (error != std::errc{} || end != text->data() + text->size() || count < 0) {
        return std::nullopt;
    }
    return milliseconds{count};
}

/// The text between `before` and the next `after`.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
    const std::size_t start = text.find(before);
    if (start == std::string_view::npos) return {};
    text.remove_prefix(start + before.size());
    const std::size_t end = text.find(after);
    return end == std::string_view::npos ? std::string_view{} : text.substr(0, end);
}

/// "the value '5' of type 'signedint'", "'true'" or "none" → 5, true, none.
std::string_view bare(std::string_view value) {
    const std::string_view quoted = between(value, "'", "'");
    return quoted.empty() ? value : quoted;
}

/// An argument as QueueDeclaration and the settings call it.
std::string argument_name(std::string_view argument) {
    if (argument == "x-max-priority") return "max_priority (setting task_queue_max_priority)";
    if (argument == "x-message-ttl") return "message_ttl";
    if (argument == "x-expires") return "expires";
    if (argument == "x-queue-type")
        return "x-queue-type (setting task_default_queue_type, or task_create_missing_queue_type)";
    if (argument.starts_with("x-")) return fmt::format("arguments' {}", argument);
    return std::string{argument};
}

}  // namespace

amqp::QueueSpec queue_spec(QueueDeclaration queue) {
    amqp::QueueSpec spec{.name = std::move(queue.name),
                         .durable = queue.durable,
                         .exclusive = queue.exclusive,
                         .auto_delete = queue.auto_delete};
    if (queue.expires) spec.arguments.set("x-expires", queue.expires->count());
    if (queue.message_ttl) spec.arguments.set("x-message-ttl", queue.message_ttl->count());
    if (queue.max_priority) spec.arguments.set("x-max-priority", *queue.max_priority);
    if (auto more = queue.arguments.expanded(); more && more->is_object()) {
        for (auto& [name, value] : more->as_object()) spec.arguments.set(name, std::move(value));
    }
    return spec;
}

amqp::ExchangeSpec exchange_spec(ExchangeDeclaration exchange) {
    return {.name = std::move(exchange.name),
            .type = std::string{to_string(exchange.type)},
            .durable = exchange.durable,
            .auto_delete = exchange.auto_delete};
}

amqp::Outgoing outgoing(Publication publication) {
    MessageProperties& from = publication.message.properties;
    amqp::Outgoing message{.exchange = std::move(publication.exchange),
                           .routing_key = std::move(publication.routing_key),
                           .mandatory = publication.mandatory,
                           .body = std::move(publication.message.body)};
    amqp::Properties& to = message.properties;
    to.content_type = unless_empty(std::move(from.content_type));
    to.content_encoding = unless_empty(std::move(from.content_encoding));
    to.headers = std::move(publication.message.headers);
    to.delivery_mode = from.delivery_mode;
    if (failpoint::left_out(failpoint::Line::persistent)) to.delivery_mode = 1;
    to.priority = from.priority;
    to.correlation_id = unless_empty(std::move(from.correlation_id));
    to.reply_to = unless_empty(std::move(from.reply_to));
    to.message_id = unless_empty(std::move(from.message_id));
    to.type = unless_empty(std::move(from.type));
    to.app_id = unless_empty(std::move(from.app_id));
    to.timestamp = from.timestamp;
    if (from.expiration && *from.expiration <= kExpirationMax) {
        to.expiration = std::to_string(std::max(*from.expiration, milliseconds{0}).count());
    }
    return message;
}

Delivery delivery(amqp::Incoming incoming) {
    amqp::Delivered& from = incoming.message;
    amqp::Properties& properties = from.properties;
    Delivery to;
    to.tag = {.epoch = incoming.id.epoch, .value = incoming.id.tag};
    to.queue = std::move(incoming.queue);
    to.exchange = std::move(from.exchange);
    to.routing_key = std::move(from.routing_key);
    to.redelivered = from.redelivered;
    to.message.body = std::move(from.body);
    if (properties.headers) to.message.headers = std::move(*properties.headers);
    erase_delay_marks(to.message.headers);
    MessageProperties& kept = to.message.properties;
    kept.content_type = std::move(properties.content_type).value_or("");
    kept.content_encoding = std::move(properties.content_encoding).value_or("");
    kept.correlation_id = std::move(properties.correlation_id).value_or("");
    kept.reply_to = std::move(properties.reply_to).value_or("");
    kept.message_id = std::move(properties.message_id).value_or("");
    kept.type = std::move(properties.type).value_or("");
    kept.app_id = std::move(properties.app_id).value_or("");
    kept.timestamp = properties.timestamp;
    kept.priority = properties.priority;
    kept.delivery_mode = properties.delivery_mode.value_or(1);
    kept.expiration = read_expiration(properties.expiration);
    return to;
}

Error declaration_error(Error refusal, std::string_view what, std::string_view name) {
    const std::string_view text = refusal.detail;
    if (refusal.code != Errc::conflict) {
        refusal.detail = fmt::format("{} '{}': {}", what, name, text);
        return refusal;
    }
    // Wire: "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'q' in vhost '/':
    // received the value '6' of type 'signedint' but current is the value '5' of type 'signedint'"
    const std::string_view argument = between(text, "inequivalent arg '", "'");
    const std::string_view wanted = between(text, ": received ", " but current is ");
    const std::size_t current = text.find(" but current is ");
    if (argument.empty() || wanted.empty()) {
        const bool locked = text.starts_with("405");
        refusal.detail = fmt::format(
            "{} '{}' {}: {}", what, name,
            locked ? "belongs to another connection (exclusive)" : "cannot be declared like this",
            text);
        return refusal;
    }
    const std::string_view existing =
        text.substr(current + std::string_view{" but current is "}.size());
    refusal.detail = fmt::format(
        "{} '{}' exists with {} {}, not {}: declare it alike, or delete it first (it "
        "keeps what it was made with)",
        what, name, argument_name(argument), bare(existing), bare(wanted));
    return refusal;
}

}  // namespace lovage::amqp_broker
