#pragma once

#include <string_view>

namespace lovage {

/// What remote control does to the worker's event dispatcher. Belongs to the worker's loop.
class EventControl {
public:
    virtual ~EventControl() = default;

    /// Task events from now on; false: they are sent already.
    virtual bool enable_task_events() = 0;
    /// No task events from now on. False: Celery answers "already disabled", also when they go on
    /// (see EventGroups).
    virtual bool disable_task_events() = 0;
    /// One `worker-heartbeat` beyond the regular ones.
    virtual void send_heartbeat() = 0;
    /// `worker-elect-ack`: a candidate of that election was heard of.
    virtual void acknowledge_election(std::string_view id) = 0;
};

}  // namespace lovage
