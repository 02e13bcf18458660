#include <lovage/worker/events/event_dispatcher.hpp>

#include <lovage/core/time.hpp>
#include <lovage/events/event.hpp>
#include <lovage/worker/events/task_events.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

#include <unistd.h>

namespace lovage {

namespace {

using Clock = std::chrono::steady_clock;

/// A batch as large as this does not wait for more: one event may hold a long traceback.
constexpr std::size_t kBatchBytes = std::size_t{256} << 10U;
/// Wire: what Celery's `heartbeat` command says.
constexpr std::int64_t kCommandedFreq = 5;

/// Wire: two decimals.
Json load_averages() {
    std::array<double, 3> loads{};
    if (::getloadavg(loads.data(), static_cast<int>(loads.size())) < 0) loads.fill(0);
    Json list = Json::array();
    for (const double load : loads) list.push_back(std::round(load * 100) / 100);
    return list;
}

void add_software(EventFields& fields) {
    fields.text("sw_ident", "lovage").text("sw_ver", LOVAGE_VERSION).text("sw_sys", "Linux");
}

}  // namespace

EventDispatcher::EventDispatcher(Executor executor, LamportClock& clock, Options options,
                                 std::function<Broker*()> broker, std::function<Load()> load)
    : clock_{clock},
      options_{std::move(options)},
      load_{std::move(load)},
      groups_{options_.task_events},
      source_{options_.hostname, ::getpid()},
      outbox_{executor, options_.exchange, std::move(broker)},
      custom_{std::make_shared<CustomEvents>(executor, [this] { send_custom(); })},
      scope_{std::move(executor)} {
    source_.set_utc_offset(utc_offset(wall_clock_now()));
}

void EventDispatcher::start() {
    if (!options_.heartbeat) return;
    online_ = true;
    tell("worker-online");
    scope_.spawn("heartbeat", beat());
}

Awaitable<void> EventDispatcher::beat() {
    boost::asio::steady_timer timer{scope_.executor()};
    while (true) {
        timer.expires_after(*options_.heartbeat);
        co_await timer.async_wait(boost::asio::use_awaitable);
        source_.set_utc_offset(utc_offset(wall_clock_now()));
        tell("worker-heartbeat");
    }
}

Awaitable<void> EventDispatcher::finish(Deadline deadline) {
    send_custom();
    custom_->close();
    flush();
    finished_ = true;
    scope_.request_stop();
    if (std::exchange(online_, false)) tell("worker-offline");
    co_await outbox_.finish(deadline);
    while (!co_await scope_.join(Deadline::in(std::chrono::seconds{1}))) {
    }
}

void EventDispatcher::tell(const std::string& type) {
    const Load load = load_();
    EventFields fields;
    fields.real("freq", std::chrono::duration<double>(*options_.heartbeat).count())
        .integer("active", static_cast<std::int64_t>(load.active))
        .integer("processed", static_cast<std::int64_t>(load.processed))
        .json("loadavg", load_averages());
    add_software(fields);
    send_alone(type, fields, unix_seconds(wall_clock_now()));
}

void EventDispatcher::send_heartbeat() {
    EventFields fields;
    fields.integer("freq", kCommandedFreq);
    add_software(fields);
    send_alone("worker-heartbeat", fields, unix_seconds(wall_clock_now()));
}

void EventDispatcher::acknowledge_election(std::string_view id) {
    EventFields fields;
    fields.text("id", id);
    send_alone("worker-elect-ack", fields, unix_seconds(wall_clock_now()));
}

void EventDispatcher::send_alone(const std::string& type, const EventFields& fields,
                                 double timestamp) {
    std::string body;
    source_.append(body, type, static_cast<std::int64_t>(clock_.forward()), timestamp, fields);
    outbox_.send(event_routing_key(type), event_message(source_.hostname(), std::move(body)), 1);
}

void EventDispatcher::received(const TaskRequest& request) {
    if (!wants(*request.definition)) return;
    const EventText event = received_event(request);
    gather(event.type, event.fields);
}

void EventDispatcher::started(const TaskRequest& request) {
    if (!wants(*request.definition)) return;
    const EventText event = started_event(request);
    gather(event.type, event.fields);
}

void EventDispatcher::ended(const TaskRequest& request, const TaskOutcome& outcome) {
    send_custom();
    if (!wants(*request.definition)) return;
    if (const auto event = ended_event(request, outcome)) gather(event->type, event->fields);
}

void EventDispatcher::unknown_task(std::string_view task_id, const std::string& task) {
    if (!groups_.tasks()) return;
    const EventText event = unknown_task_event(task_id, task);
    gather(event.type, event.fields);
}

/// Each alone, under its own routing key, as Celery sends them; in order with what the worker says
/// of the task.
void EventDispatcher::send_custom() {
    CustomEvents::Taken taken = custom_->take();
    if (taken.dropped != 0) outbox_.lost(taken.dropped);
    if (taken.events.empty()) return;
    flush();
    for (const CustomEvents::Event& event : taken.events) {
        send_alone(event.type, event.fields, event.timestamp);
    }
}

void EventDispatcher::gather(std::string_view type, const EventFields& fields) {
    if (finished_) return;
    batch_ += gathered_ == 0 ? "[" : ", ";
    source_.append(batch_, type, static_cast<std::int64_t>(clock_.forward()),
                   unix_seconds(wall_clock_now()), fields);
    if (++gathered_ >= kBatch || batch_.size() >= kBatchBytes) return flush();
    if (!std::exchange(flushing_soon_, true)) scope_.spawn("events", flush_soon());
}

void EventDispatcher::flush() {
    if (gathered_ == 0) return;
    batch_ += ']';
    outbox_.send(std::string{kTaskBatchRoutingKey},
                 event_message(source_.hostname(), std::exchange(batch_, {})),
                 std::exchange(gathered_, 0));
    flushed_ = Clock::now();
}

/// A quiet worker sends as soon as its loop has done what it is about; a busy one gathers a little.
Awaitable<void> EventDispatcher::flush_soon() {
    boost::asio::steady_timer timer{scope_.executor(), std::max(Clock::now(), flushed_ + kGather)};
    co_await timer.async_wait(boost::asio::use_awaitable);
    flushing_soon_ = false;
    flush();
}

}  // namespace lovage
