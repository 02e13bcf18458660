#include <lovage/events/event_state.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <utility>

#include <lovage/runtime/detail/utf8.hpp>

namespace lovage {

namespace {

constexpr std::size_t kShownNameBytesMax = 255;
constexpr std::string_view kTaskPrefix = "task-";
/// Timestamps may be any number.
constexpr double kDriftShownMost = 1e15;

/// Wire: what the events that Celery knows make of a task, and the time they set.
struct KnownEvent {
    std::string_view type;
    std::string_view state;
    double TaskView::* time;
};
constexpr std::array<KnownEvent, 8> kKnownEvents{{{"received", "RECEIVED", &TaskView::received},
                                                  {"started", "STARTED", &TaskView::started},
                                                  {"succeeded", "SUCCESS", &TaskView::succeeded},
                                                  {"failed", "FAILURE", &TaskView::failed},
                                                  {"retried", "RETRY", &TaskView::retried},
                                                  {"revoked", "REVOKED", &TaskView::revoked},
                                                  {"rejected", "REJECTED", &TaskView::rejected},
                                                  {"sent", "PENDING", &TaskView::sent}}};

const KnownEvent* known_event(std::string_view type) {
    const auto found = std::ranges::find(kKnownEvents, type, &KnownEvent::type);
    return found == kKnownEvents.end() ? nullptr : &*found;
}

/// Celery's precedence: what is smaller outlasts what is larger. Custom states stand behind
/// FAILURE.
int rank(std::string_view state) {
    static constexpr std::array<std::string_view, 9> kOrder{
        "SUCCESS", "FAILURE", "", "REVOKED", "STARTED", "RECEIVED", "REJECTED", "RETRY", "PENDING"};
    const auto found = std::ranges::find(kOrder, state);
    return found == kOrder.end() ? 2 : static_cast<int>(found - kOrder.begin());
}

double real_or(const Json& value, double otherwise) {
    double number = otherwise;
    if (value.is_real()) number = value.as_real();
    if (value.is_integer()) number = static_cast<double>(value.as_int64().value_or(0));
    return std::isfinite(number) ? number : otherwise;
}

std::int64_t integer_or(const Json& value, std::int64_t otherwise) {
    return value.is_integer() ? value.as_int64().value_or(otherwise) : otherwise;
}

/// A text replaces the one before, null empties it, anything else is nothing.
void set_text(std::string& to, const Json& value, std::size_t most) {
    if (value.is_string()) to = detail::utf8_prefix(value.as_string(), most);
    if (value.is_null()) to.clear();
}

struct TextField {
    std::string_view name;
    std::string TaskView::* member;
    std::size_t most;
    bool from_late_receipt;  ///< Taken from a late `task-received`, too.
};
constexpr std::array<TextField, 13> kTextFields{
    {{"name", &TaskView::name, kShownNameBytesMax, true},
     {"args", &TaskView::args, EventState::kTextBytesMax, true},
     {"kwargs", &TaskView::kwargs, EventState::kTextBytesMax, true},
     {"root_id", &TaskView::root_id, kShownNameBytesMax, true},
     {"parent_id", &TaskView::parent_id, kShownNameBytesMax, true},
     {"eta", &TaskView::eta, 64, true},
     {"expires", &TaskView::expires, 64, true},
     {"result", &TaskView::result, EventState::kTextBytesMax, false},
     {"exception", &TaskView::exception, EventState::kTextBytesMax, false},
     {"queue", &TaskView::queue, kShownNameBytesMax, false},
     {"exchange", &TaskView::exchange, kShownNameBytesMax, false},
     {"routing_key", &TaskView::routing_key, kShownNameBytesMax, false},
     {"signum", &TaskView::signum, 64, false}}};

void set_field(TaskView& task, std::string_view name, const Json& value, bool late_receipt) {
    const auto field = std::ranges::find(kTextFields, name, &TextField::name);
    if (field != kTextFields.end()) {
        if (late_receipt && !field->from_late_receipt) return;
        if (name == "signum" && value.is_integer()) {
            task.signum = detail::utf8_prefix(value.integer_text(), field->most);
        } else {
            set_text(task.*field->member, value, field->most);
        }
    } else if (name == "retries") {
        task.retries = integer_or(value, task.retries);
    } else if (late_receipt) {
        return;
    } else if (name == "traceback") {
        if (value.is_string()) {
            task.traceback = detail::utf8_suffix(value.as_string(), EventState::kTracebackBytesMax);
        }
    } else if (name == "runtime") {
        task.runtime = real_or(value, 0);
    } else if (name == "terminated" && value.is_bool()) {
        task.terminated = value.as_bool();
    }
}

void set_field(WorkerView& worker, std::string_view name, const Json& value) {
    if (name == "freq") {
        worker.freq = std::clamp(real_or(value, worker.freq), 0.0, 86'400.0);
    } else if (name == "active") {
        worker.active = integer_or(value, worker.active);
    } else if (name == "processed") {
        worker.processed = integer_or(value, worker.processed);
    } else if (name == "sw_ident") {
        set_text(worker.sw_ident, value, 64);
    } else if (name == "sw_ver") {
        set_text(worker.sw_ver, value, 64);
    } else if (name == "sw_sys") {
        set_text(worker.sw_sys, value, 64);
    } else if (name == "loadavg") {
        const auto list = value.expanded({.depth = 2, .bytes = 1'024});
        if (!list || !list->is_array()) return;
        const Json::Array& loads = list->as_array();
        for (std::size_t i = 0; i < std::min(loads.size(), worker.loadavg.size()); ++i) {
            worker.loadavg[i] = real_or(loads[i], 0);
        }
    }
}

std::string custom_state(std::string_view type) {
    std::string state{detail::utf8_prefix(type, 64)};
    std::ranges::transform(state, state.begin(), [](char letter) {
        return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    });
    return state;
}

}  // namespace

bool WorkerView::alive(TimePoint now) const noexcept {
    return heard && std::chrono::duration<double>(now - *heard).count() < 2 * freq;
}

bool TaskView::ready() const noexcept {
    return state == "SUCCESS" || state == "FAILURE" || state == "REVOKED";
}

template <class Item>
Item& EventState::touch(Recent<Item>& recent, std::string Item::* name, std::string_view value,
                        std::size_t most, bool& is_new) {
    const auto found = recent.by_name.find(value);
    is_new = found == recent.by_name.end();
    if (!is_new) {
        recent.items.splice(recent.items.begin(), recent.items, found->second);
        return recent.items.front();
    }
    Item& item = recent.items.emplace_front();
    item.*name = std::string{value};
    recent.by_name.emplace(item.*name, recent.items.begin());
    if (recent.items.size() > std::max<std::size_t>(most, 1)) {
        recent.by_name.erase(recent.items.back().*name);
        recent.items.pop_back();
        ++forgotten_;
    }
    return item;
}

EventState::Change EventState::apply(const Event& event, TimePoint received) {
    ++events_;
    if (event.about_worker()) return apply_to_worker(event, received);
    if (event.about_task()) return apply_to_task(event, received);
    return {};
}

EventState::Change EventState::apply_to_worker(const Event& event, TimePoint received) {
    const bool offline = event.type == "worker-offline";
    // One that goes and was not known is not worth a place.
    if (offline && worker(event.hostname) == nullptr) return {};
    Change change;
    WorkerView& worker =
        touch(workers_, &WorkerView::hostname, event.hostname, limits_.workers, change.is_new);
    change.worker = &worker;
    for (const auto& [name, value] : event.fields.as_object()) set_field(worker, name, value);
    worker.pid = event.pid;
    worker.clock = event.clock;
    worker.timestamp = event.timestamp;
    worker.drift =
        std::llround(std::min(std::abs(unix_seconds(received) - event.timestamp), kDriftShownMost));
    if (offline) {
        worker.heard.reset();
    } else {
        worker.heard = std::max(worker.heard.value_or(received), received);
    }
    return change;
}

EventState::Change EventState::apply_to_task(const Event& event, TimePoint received) {
    const std::string_view uuid = event.text("uuid");
    const std::string_view type = std::string_view{event.type}.substr(kTaskPrefix.size());
    if (type.empty() || uuid.empty() || uuid.size() > kShownNameBytesMax) return {};
    Change change;
    TaskView& task = touch(tasks_, &TaskView::uuid, uuid, limits_.tasks, change.is_new);
    change.task = &task;
    if (type == "sent") {
        task.client = event.hostname;
    } else {
        bool new_worker = false;
        WorkerView& worker =
            touch(workers_, &WorkerView::hostname, event.hostname, limits_.workers, new_worker);
        worker.pid = event.pid;
        worker.heard = std::max(worker.heard.value_or(received), received);
        task.worker = event.hostname;
        change.worker = &worker;
    }
    const KnownEvent* const known = known_event(type);
    std::string state = known != nullptr ? std::string{known->state} : custom_state(type);
    if (known != nullptr) task.*known->time = event.timestamp;
    // A retry begins everything again, so that neither it nor what follows it is late; only after
    // the task's end it is. Celery differs: its workers tell of a retry after they have sent the
    // next attempt's message, and then it shows RETRY for ever when that attempt is quicker.
    change.late =
        state == "RETRY" ? task.ready() : task.state != "RETRY" && rank(state) > rank(task.state);
    const bool late_receipt = change.late && state == "RECEIVED";
    for (const auto& [name, value] : event.fields.as_object()) {
        set_field(task, name, value, late_receipt);
    }
    if (!change.late) {
        task.state = std::move(state);
        task.timestamp = event.timestamp;
        task.clock = event.clock;
    }
    return change;
}

const TaskView* EventState::task(std::string_view uuid) const {
    const auto found = tasks_.by_name.find(uuid);
    return found == tasks_.by_name.end() ? nullptr : &*found->second;
}

const WorkerView* EventState::worker(std::string_view hostname) const {
    const auto found = workers_.by_name.find(hostname);
    return found == workers_.by_name.end() ? nullptr : &*found->second;
}

}  // namespace lovage
