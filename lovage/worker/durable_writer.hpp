#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/results/result_backend.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/worker/quarantine.hpp>

namespace lovage {

/// Stores records and publishes messages until they are durable: what fails is tried again, with a
/// pause of 0.1 s growing to 1 s, until it is done, give_up() was called, or nobody wants it any
/// more.
///
/// Belongs to the worker's loop; not thread-safe. Lifetime: it must outlive what it returns.
class DurableWriter {
public:
    /// Whether what is to be written is still wanted: asked before each attempt. An attempt is over
    /// when it cannot be wanted any more, so that nothing is sent after that.
    class Wanted {
    public:
        template <std::invocable Ask>
        Wanted(Ask ask) : ask_{std::move(ask)} {}  // NOLINT(google-explicit-constructor)
        [[nodiscard]] bool operator()() const { return (!end_ || !end_->passed()) && ask_(); }
        /// The same, until then at the most.
        [[nodiscard]] Wanted no_later_than(Deadline end) const;
        /// For one attempt that begins now.
        [[nodiscard]] Deadline attempt(Deadline::Clock::duration longest) const;

    private:
        std::function<bool()> ask_;
        std::optional<Deadline> end_;
    };

    explicit DurableWriter(AppCore& core) : core_{core} {}

    /// What became of the record once it is durable; nothing after give_up() or when it is not
    /// wanted any more: a record is offered once even so. One that can never be stored (too large)
    /// is replaced by a failure that says so.
    [[nodiscard]] Awaitable<std::optional<StoreOutcome>> store(TaskMeta meta, Wanted wanted);
    /// Keeps a message in "<note.queue>.quarantine"; true when it is, false after give_up() or when
    /// that is not wanted any more. A note that makes the message too large is shortened.
    [[nodiscard]] Awaitable<bool> quarantine(Message message, QuarantineNote note, Wanted wanted);
    /// Sends a task message; its queue is declared when it is not there. Errors: too_large and
    /// invalid_argument (it can never be sent), cancelled (after give_up(), or not wanted any
    /// more).
    [[nodiscard]] Awaitable<Result<void>> send(TaskSend task, Wanted wanted);
    /// send() to an address that a signature names: one that is not as it says (no such exchange,
    /// nothing bound to it, a queue with other arguments) is given up after a few attempts.
    /// Errors: also not_found, unroutable, conflict.
    [[nodiscard]] Awaitable<Result<void>> send_follow_up(TaskSend task, Wanted wanted);

    /// A moment between two attempts of a caller's own; `attempt` counts from 0.
    [[nodiscard]] Awaitable<void> pause_before_retry(int attempt);

    /// Stops trying again: what is not durable yet stays undone.
    void give_up() noexcept { giving_up_ = true; }
    [[nodiscard]] bool giving_up() const noexcept { return giving_up_; }

private:
    Awaitable<Result<void>> publish_to_quarantine(Publication publication);
    /// `task` outlives the call.
    Awaitable<Result<void>> send_once(const TaskSend* task, Deadline deadline);
    /// At most `refusals_max` attempts that fail over the address.
    Awaitable<Result<void>> send_until(TaskSend task, Wanted wanted, int refusals_max);

    AppCore& core_;
    std::set<std::string> declared_;
    bool giving_up_ = false;
};

}  // namespace lovage
