#include <lovage/brokers/amqp/delay_queues.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace lovage::amqp_broker {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kInfix = ".delay.";

/// A queue declared less long ago outlives whatever is put into it now.
constexpr auto kFresh = kDelayQueueIdle / 2;

/// RabbitMQ's own headers about the first and the last dead-lettering.
constexpr std::array<std::string_view, 6> kDeaths{"x-first-death-exchange", "x-first-death-queue",
                                                  "x-first-death-reason",   "x-last-death-exchange",
                                                  "x-last-death-queue",     "x-last-death-reason"};

bool is_quorum_type(const QueueDeclaration& queue) {
    const Json* const type = queue.arguments.find("x-queue-type");
    return type != nullptr && *type == Json{"quorum"};
}

/// Whether that is a name delay_queue_name() makes.
bool names_delay_queue(std::string_view name) {
    const std::size_t infix = name.rfind(kInfix);
    if (infix == std::string_view::npos || !name.ends_with('s')) return false;
    const char* const first = name.data() + infix + kInfix.size();
    const char* const last = name.data() + name.size() - 1;
    std::int64_t rung = 0;
    const auto [end, error] = std::from_chars(first, last, rung);
    return error == std::errc{} && end == last && rung > 0;
}

bool happened_in_delay_queue(const Json& death) {
    const Json* const queue = death.find("queue");
    return queue != nullptr && queue->is_string() && names_delay_queue(queue->as_string());
}

}  // namespace

std::optional<seconds> rung_for(milliseconds delay) noexcept {
    if (delay < seconds{1}) return std::nullopt;
    seconds rung = kLongestRung;
    while (rung > delay) rung /= 2;
    return rung;
}

std::vector<seconds> all_rungs() {
    std::vector<seconds> rungs;
    for (seconds rung{1}; rung <= kLongestRung; rung *= 2) rungs.push_back(rung);
    return rungs;
}

std::string delay_queue_name(std::string_view work_queue, seconds rung) {
    return fmt::format("{}{}{}s", work_queue, kInfix, rung.count());
}

QueueDeclaration delay_queue(const QueueDeclaration& work, seconds rung) {
    const bool quorum = is_quorum_type(work);
    QueueDeclaration queue;
    queue.name = delay_queue_name(work.name, rung);
    queue.durable = work.durable;
    queue.message_ttl = rung;
    if (!quorum) queue.expires = rung + kDelayQueueIdle;
    // Said in any case: a virtual host may have quorum queues as its default.
    queue.arguments.set("x-queue-type", quorum ? "quorum" : "classic");
    queue.arguments.set("x-dead-letter-exchange", "");
    queue.arguments.set("x-dead-letter-routing-key", work.name);
    if (quorum) {
        queue.arguments.set("x-dead-letter-strategy", "at-least-once");
        queue.arguments.set("x-overflow", "reject-publish");
    }
    return queue;
}

void erase_delay_marks(Json& headers) {
    Json* const deaths = headers.find("x-death");
    if (deaths == nullptr || !deaths->is_array()) return;
    Json::Array& list = deaths->as_array();
    if (std::erase_if(list, happened_in_delay_queue) == 0) return;
    if (!list.empty()) return;
    headers.erase("x-death");
    for (const std::string_view name : kDeaths) headers.erase(name);
}

void DelayQueues::work_queue(const QueueDeclaration& queue) {
    work_.insert_or_assign(queue.name, queue);
}

void DelayQueues::forget(const std::string& queue) {
    work_.erase(queue);
}

void DelayQueues::consumer_gone(const std::string& queue) {
    if (!may_delay(queue)) work_.erase(queue);
}

bool DelayQueues::may_delay(const std::string& queue) const {
    const auto known = work_.find(queue);
    return known == work_.end() || !known->second.auto_delete;
}

bool DelayQueues::is_quorum(const std::string& queue) const {
    const auto known = work_.find(queue);
    return known != work_.end() && is_quorum_type(known->second);
}

std::optional<QueueDeclaration> DelayQueues::to_declare(const std::string& work, seconds rung,
                                                        Time now) const {
    const auto seen = declared_.find(delay_queue_name(work, rung));
    if (seen != declared_.end() && now - seen->second < kFresh) return std::nullopt;
    const auto known = work_.find(work);
    return delay_queue(known == work_.end() ? QueueDeclaration{.name = work} : known->second, rung);
}

void DelayQueues::declared(const std::string& queue, Time now) {
    declared_.insert_or_assign(queue, now);
}

void DelayQueues::gone(const std::string& queue) {
    declared_.erase(queue);
}

}  // namespace lovage::amqp_broker
