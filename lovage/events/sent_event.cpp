#include <lovage/events/sent_event.hpp>

#include <lovage/events/event.hpp>
#include <lovage/events/event_fields.hpp>

#include <array>
#include <utility>

#include <unistd.h>

namespace lovage {

namespace {

struct Copied {
    const char* field;
    const char* header;
};
/// Wire: the order is Celery's. `name` is the task's own, whatever its shadow is called.
constexpr std::array<Copied, 9> kCopied{{{"uuid", "id"},
                                         {"root_id", "root_id"},
                                         {"parent_id", "parent_id"},
                                         {"name", "task"},
                                         {"args", "argsrepr"},
                                         {"kwargs", "kwargsrepr"},
                                         {"retries", "retries"},
                                         {"eta", "eta"},
                                         {"expires", "expires"}}};

}  // namespace

std::optional<EventPublication> sent_event(const SentTask& task, const std::string& origin,
                                           std::uint64_t clock, TimePoint now) {
    const auto headers = task.headers.expanded();
    if (!headers || !headers->is_object() || headers->find("id") == nullptr) return std::nullopt;
    EventFields fields;
    for (const Copied& copied : kCopied) {
        const Json* const value = headers->find(copied.header);
        fields.json(copied.field, value != nullptr ? *value : Json{});
    }
    // Wire: of a task that goes through an exchange of its own Celery names no queue.
    fields.text_or_null("queue", task.exchange.empty() ? std::string_view{task.queue} : "");
    fields.text("exchange", task.exchange).text("routing_key", task.queue);
    constexpr std::string_view kType = "task-sent";
    EventSource source{origin, ::getpid()};
    source.set_utc_offset(utc_offset(now));
    std::string body;
    source.append(body, kType, static_cast<std::int64_t>(clock), unix_seconds(now), fields);
    return EventPublication{event_routing_key(kType), event_message(origin, std::move(body))};
}

}  // namespace lovage
