#pragma once

#include <optional>
#include <set>
#include <string>
#include <type_traits>

#include <lovage/app/client.hpp>
#include <lovage/app/unique_claims.hpp>
#include <lovage/events/event_outbox.hpp>
#include <lovage/results/result_backend.hpp>
#include <lovage/runtime/metrics.hpp>

namespace lovage {

class AppCore;

/// The Client of ordinary programs: publishes to the app's broker and reads its result backend.
class DirectClient final : public Client {
public:
    /// Lifetime: `core` must outlive the client.
    explicit DirectClient(AppCore& core);

    void queue_is_there(const std::string& queue) override { declared_.insert(queue); }
    Awaitable<Result<void>> send(TaskSend task, Deadline deadline) override;
    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline) override;
    Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline) override;
    Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) override;
    Awaitable<Result<std::optional<Json>>> chord_watch(std::string group_id,
                                                       Deadline deadline) override;
    Awaitable<Result<void>> save_group(std::string group_id, Json result,
                                       Deadline deadline) override;
    Awaitable<Result<std::optional<Json>>> saved_group(std::string group_id,
                                                       Deadline deadline) override;
    Awaitable<Result<void>> forget_group(std::string group_id, Deadline deadline) override;
    Awaitable<Result<std::optional<TaskMeta>>> result(std::string task_id,
                                                      Deadline deadline) override;
    Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) override;
    Awaitable<Result<void>> forget(std::string task_id, Deadline deadline) override;
    Awaitable<Result<bool>> is_known(std::string task_id, Deadline deadline) override;
    Awaitable<Result<void>> revoke(std::string task_id, RevokeOptions options,
                                   Deadline deadline) override;
    Awaitable<void> close(Deadline deadline) override;

private:
    /// Asks the result backend, once there is a connection. The last argument is the deadline.
    template <class T, class... All>
    Awaitable<Result<T>> ask(Awaitable<Result<T>> (ResultBackend::*question)(All...),
                             std::type_identity_t<All>... arguments);
    Awaitable<Result<void>> store_revocation(std::string key, RevokeOptions options,
                                             Deadline deadline);
    Awaitable<Result<void>> send_unique(TaskSend task, Deadline deadline);
    Awaitable<Result<void>> send_plain(TaskSend task, Deadline deadline);
    // `task` lives in the frame of the send that awaits them: it is not moved from call to call.
    Awaitable<Result<void>> send_marked(const TaskSend* task, Deadline deadline);
    Awaitable<Result<void>> publish_until(const TaskSend* task, Deadline deadline);
    Awaitable<Result<void>> publish_once(const TaskSend* task, Deadline deadline);
    void count(const Result<void>& outcome);
    /// Tells of a task that was sent (`task_send_sent_event`).
    void tell(const TaskSend& task);

    AppCore& core_;
    std::set<std::string> declared_;  // task queues
    UniqueClaims unique_;
    std::optional<EventOutbox> events_;
    metrics::Counter accepted_;
    metrics::Counter rejected_;
    metrics::Counter unknown_;
    metrics::Counter duplicate_;
};

}  // namespace lovage
