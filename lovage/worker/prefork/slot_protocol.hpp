#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/app/client.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/worker/task_run.hpp>

/// What a worker and its prefork slots say to each other.
///
/// Both run the same executable, so the format has no versions: a slot whose task registry differs
/// is refused. The slot runs user code, so the worker trusts nothing it reads: frames are bounded
/// and every message is checked. Byte streams (socket pairs) join them: requests go out on one and
/// outcomes come back on another, in order (the *task* streams: a pair each, since the slot waits
/// for the first and would wake whenever the worker reads, were they one); the *control* stream
/// carries, both ways, what must get through while a task runs: interruptions, and the sends and
/// reads that the task makes.
///
/// A frame is its payload's length (32 bits, little-endian), its kind (one byte) and the payload.
namespace lovage::slot {

/// Largest payload: a message of 16 MiB with its headers, and a result of 16 MiB, fit.
inline constexpr std::size_t kPayloadBytesMax = std::size_t{40} << 20U;
/// Length and kind, in front of a payload.
inline constexpr std::size_t kFrameHeaderBytes = 5;

enum class FrameKind : std::uint8_t {
    setup = 1,  ///< Worker, request stream, first.
    ready,      ///< Slot, outcome stream, first: it serves, or says why not.
    request,    ///< Worker, request stream.
    progress,   ///< Slot, outcome stream.
    outcome,    ///< Slot, outcome stream.
    quit,       ///< Worker, request stream: run the finalisers and exit.
    interrupt,  ///< Worker, control stream.
    call,       ///< Slot, control stream.
    answer,     ///< Worker, control stream.
    event,      ///< Slot, outcome stream.
};

/// Cuts a byte stream into frames. Pure state; not thread-safe.
class FrameReader {
public:
    struct Frame {
        FrameKind kind;
        std::string_view payload;  ///< Valid until the next call of any member.
    };

    void feed(std::string_view bytes);
    /// The next whole frame, or nothing yet. Errors: malformed (unknown kind, too long): the stream
    /// cannot be read any further.
    [[nodiscard]] Result<std::optional<Frame>> next();
    [[nodiscard]] std::size_t buffered() const noexcept { return buffer_.size() - taken_; }

private:
    std::string buffer_;
    std::size_t taken_ = 0;
};

/// How a slot shall log: as the worker itself does.
struct LogStyle {
    std::uint8_t level = 0;   ///< log::Level
    std::uint8_t format = 0;  ///< log::Format
    bool terminal = false;    ///< The worker's standard error is one.
    bool color = false;
};

struct Setup {
    std::string hostname;  ///< The worker's node name.
    std::uint32_t index = 0;
    std::uint64_t registry_hash = 0;
    LogStyle log;
    std::map<std::string, std::string> settings;  ///< export_settings()
};

struct Ready {
    std::uint64_t registry_hash = 0;
    /// Why it does not serve; empty: it does.
    std::string refusal;
    /// The signatures of its tasks, when the hashes differ.
    std::vector<std::string> tasks;
};

/// One attempt to run. `sequence` is the worker's number for it. The retry policy stays behind: the
/// slot has its own.
struct Request {
    std::uint64_t sequence = 0;
    TaskContext::Request context;
    std::string args;    ///< JSON text
    std::string kwargs;  ///< JSON text
};

/// A running task tells its state (TaskContext::update_state).
struct Progress {
    std::uint64_t sequence = 0;
    std::string state;
    Json meta;
};

/// A running task sends an event (TaskContext::send_event).
struct Event {
    std::uint64_t sequence = 0;
    std::string type;
    Json fields;
};

struct Outcome {
    std::uint64_t sequence = 0;
    TaskOutcome outcome;
    std::vector<std::string> children;  ///< TaskContext::children()
};

struct Interrupt {
    std::uint64_t sequence = 0;
    StopReason reason = StopReason::none;
};

/// A task's use of its App, by way of the worker: one operation of `Client`.
struct Call {
    enum class Kind : std::uint8_t {
        send,
        result,
        wait,
        forget,
        is_known,
        revoke,
        start_chord,
        end_chord,
        save_group,
        saved_group,
        forget_group,
        mark_sent,
    };
    std::uint64_t id = 0;
    Kind kind = Kind::result;
    std::chrono::milliseconds timeout{0};
    TaskSend send;         ///< Kind::send
    ChordStart chord;      ///< Kind::start_chord
    std::string task_id;   ///< all others; a group's, too
    Json result;           ///< Kind::save_group
    RevokeOptions revoke;  ///< Kind::revoke
};

struct Answer {
    std::uint64_t id = 0;
    std::optional<Error> error;
    std::optional<std::string> meta;  ///< result, wait, saved_group: JSON text
    bool flag = false;                ///< is_known
};

// Each appends one frame. Errors: none, but a payload beyond kPayloadBytesMax asserts; requests and
// outcomes say whether they fit.
void append(std::string& out, const Setup& message);
void append(std::string& out, const Ready& message);
/// False, with `out` as it was, when it does not fit into a frame.
[[nodiscard]] bool append(std::string& out, const Request& message);
/// The same request from its parts, without a copy of them.
[[nodiscard]] bool append(std::string& out, std::uint64_t sequence,
                          const TaskContext::Request& context, const Json& args,
                          const Json& kwargs);
[[nodiscard]] bool append(std::string& out, const Progress& message);
[[nodiscard]] bool append(std::string& out, const Event& message);
[[nodiscard]] bool append(std::string& out, const Outcome& message);
[[nodiscard]] bool append(std::string& out, const Call& message);
[[nodiscard]] bool append(std::string& out, const Answer& message);
void append(std::string& out, const Interrupt& message);
void append_quit(std::string& out);

// Each reads a payload of its kind. Errors: malformed.
[[nodiscard]] Result<Setup> read_setup(std::string_view payload);
[[nodiscard]] Result<Ready> read_ready(std::string_view payload);
[[nodiscard]] Result<Request> read_request(std::string_view payload);
[[nodiscard]] Result<Progress> read_progress(std::string_view payload);
[[nodiscard]] Result<Event> read_event(std::string_view payload);
[[nodiscard]] Result<Outcome> read_outcome(std::string_view payload);
[[nodiscard]] Result<Interrupt> read_interrupt(std::string_view payload);
[[nodiscard]] Result<Call> read_call(std::string_view payload);
[[nodiscard]] Result<Answer> read_answer(std::string_view payload);

}  // namespace lovage::slot
