#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>

namespace lovage {

/// Celery's task states. Anything else a task sets by itself is a custom state.
namespace states {
inline constexpr std::string_view kPending = "PENDING";
inline constexpr std::string_view kStarted = "STARTED";
inline constexpr std::string_view kRetry = "RETRY";
inline constexpr std::string_view kSuccess = "SUCCESS";
inline constexpr std::string_view kFailure = "FAILURE";
inline constexpr std::string_view kRevoked = "REVOKED";

/// SUCCESS, FAILURE and REVOKED: nothing follows.
[[nodiscard]] bool is_ready(std::string_view state) noexcept;
/// May a record of state `next` replace one of state `stored`? A stored SUCCESS is never replaced
/// (Celery), and neither is any ready state by one that is not ready (Celery differs: it lets a
/// late STARTED or RETRY hide a FAILURE).
[[nodiscard]] bool may_replace(std::string_view stored, std::string_view next) noexcept;
}  // namespace states

/// A task's record in the result backend (celery-wire reference, section 11.2). Wire: key names and
/// order.
struct TaskMeta {
    std::string task_id;
    std::string status{states::kPending};
    Json result;                           ///< Value, exception map, or progress meta; may be raw.
    std::optional<std::string> traceback;  ///< null when absent
    Json children = Json::array();         ///< list or null
    std::optional<std::string> date_done;  ///< ISO 8601, only for ready states
    std::optional<std::string> group_id;   ///< key only when set
    std::optional<std::string> parent_id;  ///< key only when set
    Json extra = Json::object();           ///< result_extended fields and whatever else, in order

    [[nodiscard]] bool ready() const noexcept { return states::is_ready(status); }

    /// Celery's JSON text, `task_id` last.
    [[nodiscard]] std::string to_json() const;
    /// Reads a record of at most 64 MiB; lists and maps in it are kept raw. Keys may be missing
    /// except `status`. Errors: malformed, too_large.
    [[nodiscard]] static Result<TaskMeta> from_json(std::string_view text);

    /// The failure in `result` when the state is FAILURE, RETRY or REVOKED. Tolerant: what is no
    /// exception map becomes an "Exception" with its repr as message; several exception arguments
    /// become one text, a tuple's repr.
    [[nodiscard]] std::optional<TaskFailure> failure() const;
};

/// `{"exc_type": …, "exc_message": [ … ], "exc_module": …}` as results carry it; an empty message
/// is an exception without arguments.
[[nodiscard]] Json exception_json(const TaskFailure& failure);

}  // namespace lovage
