#include <lovage/events/event.hpp>

#include <lovage/events/event_fields.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <optional>
#include <utility>

namespace lovage {

namespace {

constexpr std::size_t kEventNameBytesMax = 255;

bool is_name(const Json* value) {
    return value != nullptr && value->is_string() && !value->as_string().empty() &&
           value->as_string().size() <= kEventNameBytesMax;
}

std::optional<double> number(const Json* value) {
    if (value == nullptr) return std::nullopt;
    if (value->is_real() && std::isfinite(value->as_real())) return value->as_real();
    if (value->is_integer()) {
        if (const auto whole = value->as_int64()) return static_cast<double>(*whole);
    }
    return std::nullopt;
}

std::int64_t integer_or_zero(const Json* value) {
    return value != nullptr && value->is_integer() ? value->as_int64().value_or(0) : 0;
}

bool is_common_field(std::string_view name) {
    static constexpr std::array<std::string_view, 6> kCommon{"hostname", "utcoffset", "pid",
                                                             "clock",    "timestamp", "type"};
    return std::ranges::find(kCommon, name) != kCommon.end();
}

/// Nothing: it is no event.
std::optional<Event> read_event(Json value) {
    const Json* const type = value.find("type");
    const Json* const hostname = value.find("hostname");
    const auto timestamp = number(value.find("timestamp"));
    if (!is_name(type) || !is_name(hostname) || !timestamp) return std::nullopt;
    Event event;
    event.type = type->as_string();
    event.hostname = hostname->as_string();
    event.timestamp = *timestamp;
    event.pid = integer_or_zero(value.find("pid"));
    event.clock = integer_or_zero(value.find("clock"));
    event.utcoffset = integer_or_zero(value.find("utcoffset"));
    Json::Object& members = value.as_object();
    std::erase_if(members,
                  [](const Json::Member& member) { return is_common_field(member.first); });
    event.fields = Json::object(std::move(members));
    return event;
}

void append_event(std::string& out, const Event& event) {
    EventSource source{event.hostname, event.pid};
    source.set_utc_offset(event.utcoffset);
    EventFields fields;
    for (const auto& [name, value] : event.fields.as_object()) fields.json(name, value);
    source.append(out, event.type, event.clock, event.timestamp, fields);
}

}  // namespace

std::string_view Event::text(std::string_view field) const noexcept {
    const Json* const value = fields.find(field);
    if (value == nullptr || !value->is_string()) return {};
    return value->as_string();
}

Result<EventBatch> decode_events(const Message& message, const EventLimits& limits) {
    const std::string& type = message.properties.content_type;
    if (!type.empty() && type != "application/json") {
        return fail(Errc::malformed, "events of content type '" +
                                         type.substr(0, kEventNameBytesMax) +
                                         "' cannot be read, only application/json");
    }
    if (message.body.size() > limits.body_bytes) {
        return fail(Errc::too_large,
                    "a message of " + std::to_string(message.body.size()) + " bytes of events");
    }
    // A list and its maps are read; what lies deeper stays text.
    auto read = parse_json_shallow(message.body, 2, {.bytes = limits.body_bytes});
    if (!read) return std::unexpected{std::move(read.error())};
    EventBatch batch;
    Json::Array items;
    if (read->is_array()) {
        items = std::move(read->as_array());
    } else {
        items.push_back(std::move(*read));
    }
    if (items.size() > limits.events) {
        return fail(Errc::too_large, std::to_string(items.size()) + " events in one message");
    }
    batch.events.reserve(items.size());
    for (Json& item : items) {
        auto event = item.is_object() ? read_event(std::move(item)) : std::nullopt;
        if (event) {
            batch.events.push_back(std::move(*event));
        } else {
            ++batch.refused;
        }
    }
    return batch;
}

std::string encode_event(const Event& event) {
    std::string out;
    append_event(out, event);
    return out;
}

std::string encode_events(std::span<const Event> events) {
    std::string out = "[";
    for (const Event& event : events) {
        if (out.size() > 1) out += ", ";
        append_event(out, event);
    }
    return out + ']';
}

std::string event_routing_key(std::string_view type) {
    std::string key{type};
    std::ranges::replace(key, '-', '.');
    return key;
}

Message event_message(const std::string& hostname, std::string body) {
    Message message;
    message.properties.delivery_mode = 1;
    message.properties.priority = 0;
    message.headers.set("hostname", hostname);
    message.body = std::move(body);
    return message;
}

std::int64_t utc_offset(TimePoint when) noexcept {
    const std::time_t seconds =
        std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count();
    std::tm local{};
    if (::localtime_r(&seconds, &local) == nullptr) return 0;
    return static_cast<std::int64_t>(std::floor(-static_cast<double>(local.tm_gmtoff) / 3600));
}

}  // namespace lovage
