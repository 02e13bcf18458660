#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/events/event_receiver.hpp>
#include <lovage/events/event_state.hpp>
#include <tests/support/soon.hpp>

namespace lovage {

/// Follows the events of an app's broker on the app's loop, from its construction on.
class EventFollower {
public:
    explicit EventFollower(App& app) : core_{app.core()} { core_->loop().run_blocking(open()); }
    ~EventFollower() { core_->loop().run_blocking(receiver_->close(soon())); }
    EventFollower(const EventFollower&) = delete;
    EventFollower& operator=(const EventFollower&) = delete;

    /// Follows until `enough` says so of all events so far. Throws when that takes too long.
    void until(const std::function<bool(const std::vector<Event>&)>& enough) {
        const Deadline patience = soon();
        while (!enough(events)) {
            if (patience.passed()) throw std::runtime_error{"heartbeats come, but nothing else"};
            auto more = core_->loop().run_blocking(receiver_->receive(soon()));
            if (!more) throw LovageError{more.error()};
            for (Event& event : *more) {
                state.apply(event, wall_clock_now());
                events.push_back(std::move(event));
            }
        }
    }
    void until_one(const std::string& type) {
        until([&](const auto& all) {
            return std::ranges::find(all, type, &Event::type) != all.end();
        });
    }
    /// The types of a task's events in their order, without "task-".
    [[nodiscard]] std::vector<std::string> of(const std::string& task_id) const {
        std::vector<std::string> types;
        for (const Event& event : events) {
            if (event.text("uuid") == task_id) types.push_back(event.type.substr(5));
        }
        return types;
    }
    void until_ended(const std::string& task_id) {
        until([&](const auto&) {
            const TaskView* const task = state.task(task_id);
            return task != nullptr && task->ready();
        });
    }

    std::vector<Event> events;
    EventState state;

private:
    Awaitable<void> open() {
        (void)co_await core_->connect(soon());
        // A test that sends many reads none meanwhile: five seconds are over soon on a busy
        // machine.
        EventReceiverOptions options;
        options.queue_ttl = std::chrono::minutes{2};
        receiver_.emplace(core_->broker(), core_->clock(), std::move(options));
        auto opened = co_await receiver_->open(soon());
        if (!opened) throw LovageError{opened.error()};
    }
    std::shared_ptr<AppCore> core_;
    std::optional<EventReceiver> receiver_;
};

}  // namespace lovage
