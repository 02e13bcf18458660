#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/runtime/child_process.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/prefork/crash_page.hpp>
#include <lovage/worker/prefork/frame_channel.hpp>
#include <lovage/worker/prefork/slot_protocol.hpp>
#include <lovage/worker/task_run.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace lovage::slot {

/// The worker's end of one slot process: its streams, what it writes to standard error, its end;
/// and the service that sends and reads for its task (slot_client.hpp). Never waits for the
/// process. Belongs to the app's loop; not thread-safe.
class SlotProcess : public std::enable_shared_from_this<SlotProcess> {
public:
    struct Events {
        std::function<void(Ready)> ready;
        std::function<void(Progress)> progress;
        std::function<void(Event)> event;
        std::function<void(Outcome)> outcome;
        /// It said what nobody understands.
        std::function<void(const Error&)> broken;
    };

    /// Starts this program again as a slot. On the loop's own thread: the process dies with it.
    /// Errors: unavailable.
    [[nodiscard]] static Result<std::shared_ptr<SlotProcess>> start(AppCore& core,
                                                                    const Setup& setup,
                                                                    Events events);

    /// Serves until the process has ended; everything it said before has been told by then.
    [[nodiscard]] Awaitable<ExitStatus> serve();

    /// Attempt number `sequence`. False when the request is too large for a slot. It goes out with
    /// the next flush().
    [[nodiscard]] bool give(std::uint64_t sequence, const TaskRequest& request);
    void flush() { tasks_.flush(scope_); }
    /// Tells what it has said up to now, without waiting.
    void catch_up();
    void interrupt(const Interrupt& message);
    void quit();
    void kill() noexcept { process_.signal(SIGKILL); }
    void signal(int number) noexcept { process_.signal(number); }
    /// Lets it write down where its task is, and die. One that is stopped, or blocks the signal,
    /// does neither: see to its end.
    void ask_where() noexcept { process_.signal(where_signal()); }

    [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }
    /// What it has in memory; 0 when that cannot be told. Celery's measure, too.
    [[nodiscard]] std::uint64_t resident_bytes() const;
    /// What its crash handler wrote.
    [[nodiscard]] const CrashPage* crash_page() const noexcept { return crash_page_.get(); }
    /// What it has begun, and what can be taken back.
    [[nodiscard]] Claims& claims() noexcept { return crash_page_.get()->claims; }
    /// Whether it got as far as to start this attempt.
    [[nodiscard]] bool has_begun(std::uint64_t sequence) const noexcept {
        return crash_page()->claims.begun() >= sequence;
    }
    /// The last it wrote to standard error, at most 4 KiB.
    [[nodiscard]] const std::string& last_words() const noexcept { return last_words_; }

private:
    struct Ends;
    SlotProcess(AppCore& core, ChildProcess process, Ends ends, Events events);

    Awaitable<void> read_tasks();
    Awaitable<void> read_control();
    Awaitable<void> read_errors();
    Awaitable<void> watch_end();
    Result<void> take_task_frame(const FrameReader::Frame& frame);
    Result<void> take_control_frame(const FrameReader::Frame& frame);
    void take_errors(std::string_view bytes);
    void drain_errors();
    Awaitable<void> answer(std::shared_ptr<SlotProcess> self, Call call);
    Awaitable<Answer> carry_out(Call call);

    AppCore& core_;
    ChildProcess process_;
    CrashMapping crash_page_;
    Events events_;
    FrameChannel tasks_;
    FrameChannel control_;
    boost::asio::posix::stream_descriptor errors_;
    boost::asio::posix::stream_descriptor end_;
    std::string line_;  // of standard error, not complete yet
    std::string last_words_;
    std::size_t calls_ = 0;
    TaskScope scope_;
};

}  // namespace lovage::slot
