#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/task_key.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/time.hpp>

namespace lovage {

/// When a call of a task is one too many: Oban's `unique`, in Celery's words.
struct Unique {
    /// Which calls are the same; not set: those with the same arguments.
    TaskKey key = {};
    /// Calls sent at least that far apart are never the same; nothing: however far.
    std::optional<std::chrono::milliseconds> period = std::nullopt;
    /// The states in which an earlier call counts: PENDING, STARTED, RETRY, SUCCESS, FAILURE. The
    /// default: until it is over.
    std::vector<std::string_view> states = {states::kPending, states::kStarted, states::kRetry};
};

/// What of `Unique` is needed to judge one call, with its key: a plain value.
struct UniqueCall {
    std::string key;          ///< Name of the record in the state store.
    std::uint8_t states = 0;  ///< One bit a state; see unique_states().
    std::optional<std::chrono::milliseconds> period;
    TimePoint sent;

    [[nodiscard]] bool counts(std::string_view state) const noexcept;

    friend bool operator==(const UniqueCall&, const UniqueCall&) = default;
};

/// The bits of these states; nothing when one of them is none that can count, or there are none.
[[nodiscard]] std::optional<std::uint8_t> unique_states(
    const std::vector<std::string_view>& states) noexcept;

/// The call of `task` with these arguments; nothing when the task is not unique, or the arguments
/// do not fit it.
[[nodiscard]] std::optional<UniqueCall> unique_call(const TaskDefinition& task, const Json& args,
                                                    const Json& kwargs, TimePoint sent);

/// When a unique task was sent, in milliseconds since 1970: a header of its message.
inline constexpr std::string_view kSentHeader = "x-lovage-sent";
/// Reads it; nothing when it is not there, or is no time.
[[nodiscard]] std::optional<TimePoint> sent_time(const Json& user_headers);

/// Who holds the key of a unique task, as the state store keeps it.
struct UniqueRecord {
    /// A send is under way. Not a state of the task: whether there is one is not known yet.
    static constexpr std::string_view kSending = "SENDING";

    std::string task_id;
    std::string state;
    TimePoint sent;      ///< Milliseconds are kept.
    std::string holder;  ///< Whoever wrote it; tells attempts at one task apart.

    [[nodiscard]] std::string to_text() const;
    /// Nothing for what is none.
    [[nodiscard]] static std::optional<UniqueRecord> from_text(std::string_view text);
};

/// What a record says about a call.
enum class Standing : std::uint8_t {
    free,        ///< Nobody who counts is there.
    ours,        ///< It is this call's own.
    being_sent,  ///< Another one may be there soon.
    taken,       ///< An earlier one counts: this is a duplicate.
};
[[nodiscard]] Standing judge(const std::optional<UniqueRecord>& record, const UniqueCall& call,
                             std::string_view task_id) noexcept;

/// Whether a record says less than the task's own result: the task is over, in a state that does
/// not count. Somebody died who should have taken the record away, or the task was revoked while it
/// waited. One that runs on although it was revoked still counts.
[[nodiscard]] bool is_stale(const UniqueRecord& record, const UniqueCall& call,
                            std::string_view result_state) noexcept;

/// How long a record may stay that is written now, at most: the rest of the period, else `keep`,
/// which counts from `due` for a task that waits for its time. Nothing: it is of no use any more.
[[nodiscard]] std::optional<std::chrono::milliseconds> unique_lifetime(
    const UniqueCall& call, std::chrono::milliseconds keep, TimePoint now,
    std::optional<TimePoint> due = std::nullopt);

}  // namespace lovage
