#pragma once

#include <set>
#include <string>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/worker/quarantine.hpp>

namespace lovage {

/// Stores records and publishes messages until they are durable: what fails is tried again, with a
/// pause of 0.1 s growing to 1 s, until it is done or give_up() was called.
///
/// Belongs to the worker's loop; not thread-safe. Lifetime: it must outlive what it returns.
class DurableWriter {
public:
    explicit DurableWriter(AppCore& core) : core_{core} {}

    /// True when the record is durable, false after give_up(). A record that can never be stored
    /// (too large) is replaced by a failure that says so.
    [[nodiscard]] Awaitable<bool> store(TaskMeta meta);
    /// Keeps a message in "<note.queue>.quarantine"; true when it is, false after give_up().
    [[nodiscard]] Awaitable<bool> quarantine(Message message, QuarantineNote note);
    /// Sends a task message; its queue is declared when it is not there. Errors: too_large and
    /// invalid_argument (it can never be sent), cancelled (after give_up()).
    [[nodiscard]] Awaitable<Result<void>> send(TaskSend task);

    /// Stops trying again: what is not durable yet stays undone.
    void give_up() noexcept { giving_up_ = true; }
    [[nodiscard]] bool giving_up() const noexcept { return giving_up_; }

private:
    Awaitable<Result<void>> publish_to_quarantine(Publication publication);
    /// `task` outlives the call.
    Awaitable<Result<void>> send_once(const TaskSend* task);
    Awaitable<void> pause_before_retry(int attempt);

    AppCore& core_;
    std::set<std::string> declared_;
    bool giving_up_ = false;
};

}  // namespace lovage
