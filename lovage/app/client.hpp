#pragma once

#include <optional>
#include <string>

#include <lovage/app/revoke_options.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/message.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/time.hpp>
#include <lovage/core/unique.hpp>
#include <lovage/results/chord.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

/// A task message on its way, encoded, with the queue it goes to.
struct TaskSend {
    std::string task_id;
    std::string queue;  ///< Declared when it is not there; with `exchange`: the routing key.
    /// An existing exchange; empty: the default one.
    std::string exchange = {};
    Message message;
    std::optional<TimePoint> eta;
    std::optional<TimePoint> expires;
    bool mark_sent =
        false;  ///< Leave a sent-marker: the id is known before a worker stored anything.
    std::optional<UniqueCall> unique;  ///< Only when no other one like it is there.
};

/// What an App needs from the world to send tasks and read results. The direct client talks to
/// broker and result backend itself; inside a prefork slot another one will go through the parent
/// process.
///
/// Belongs to one loop; not thread-safe.
class Client {
public:
    virtual ~Client() = default;

    /// Somebody here has declared this queue, maybe otherwise than the settings say: what is sent
    /// there needs no declaration, which the broker might refuse.
    virtual void queue_is_there(const std::string& /*queue*/) {}

    /// Success: the broker has confirmed the message (accepted). Errc::unknown_outcome: it may
    /// exist. Every other error: it does not exist (rejected); Errc::already_exists: since a call
    /// like it is there, and `detail` is the id of that one.
    virtual Awaitable<Result<void>> send(TaskSend task, Deadline deadline) = 0;

    /// Makes a chord's size known, before its last part is sent. Doing it again does no harm.
    virtual Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline) = 0;
    /// Forgets a chord that was started in vain.
    virtual Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline) = 0;
    /// Leaves a sent-marker for a task that others will send: what a canvas ends with.
    virtual Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) = 0;

    // Groups under their id, as Celery's nested tuples; see ResultBackend.
    virtual Awaitable<Result<void>> save_group(std::string group_id, Json result,
                                               Deadline deadline) = 0;
    virtual Awaitable<Result<std::optional<Json>>> saved_group(std::string group_id,
                                                               Deadline deadline) = 0;
    virtual Awaitable<Result<void>> forget_group(std::string group_id, Deadline deadline) = 0;
    /// ResultBackend::chord_watch(). Errors: unavailable (not from inside a slot).
    virtual Awaitable<Result<std::optional<Json>>> chord_watch(std::string /*group_id*/,
                                                               Deadline /*deadline*/) {
        co_return fail(Errc::unavailable,
                       "a task in a slot cannot look at chords; ask from a client or a task in "
                       "the pools threads and coroutine");
    }

    virtual Awaitable<Result<std::optional<TaskMeta>>> result(std::string task_id,
                                                              Deadline deadline) = 0;
    /// Waits for a ready state. Errors: deadline_exceeded.
    virtual Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) = 0;
    virtual Awaitable<Result<void>> forget(std::string task_id, Deadline deadline) = 0;
    virtual Awaitable<Result<bool>> is_known(std::string task_id, Deadline deadline) = 0;
    /// Stores the wish that the task shall not start, or, with `terminate`, shall also stop when it
    /// runs. A task that is not ready yet reads as REVOKED at once.
    virtual Awaitable<Result<void>> revoke(std::string task_id, RevokeOptions options,
                                           Deadline deadline) = 0;

    /// Ends what it does beside its calls. The last call.
    virtual Awaitable<void> close(Deadline /*deadline*/) { co_return; }
};

}  // namespace lovage
