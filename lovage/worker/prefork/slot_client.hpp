#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include <lovage/app/client.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/prefork/frame_channel.hpp>

namespace lovage::slot {

/// The Client of a prefork slot: what a task sends, reads and waits for goes through the worker,
/// which alone has connections. Reads the control stream, interruptions included.
///
/// Belongs to the app's loop; not thread-safe. Await stop() before destroying it.
class SlotClient final : public Client {
public:
    /// `interrupted` is called on the loop.
    SlotClient(const Executor& executor, FileDescriptor control,
               std::function<void(const Interrupt&)> interrupted);
    ~SlotClient() override;

    /// Begins to read.
    void start();
    [[nodiscard]] Awaitable<void> stop();

    Awaitable<Result<void>> send(TaskSend task, Deadline deadline) override;
    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline) override;
    Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline) override;
    Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) override;
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

private:
    Awaitable<void> read();
    Result<void> take(const FrameReader::Frame& frame);
    /// Asks the worker; its answer, or the error in it.
    Awaitable<Result<Answer>> ask(Call call, Deadline deadline);
    /// The same for calls whose answer says no more than whether they went well.
    Awaitable<Result<void>> tell(Call call, Deadline deadline);

    FrameChannel channel_;
    std::function<void(const Interrupt&)> interrupted_;
    std::uint64_t next_id_ = 1;
    std::map<std::uint64_t, std::optional<Answer>> waiting_;
    bool lost_ = false;
    Notifier answered_;
    TaskScope scope_;
};

}  // namespace lovage::slot
