#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/time.hpp>
#include <lovage/worker/crash_report.hpp>

namespace lovage {

/// Every way an attempt can end. The comment says which other members of TaskOutcome count.
enum class Ending : std::uint8_t {
    succeeded,  ///< `value`.
    failed,     ///< `failure`.
    retry,      ///< To run again under the same id: `retry`; `failure` is what for, when known.
    ignored,    ///< Done, and no result shall be stored (lovage::Ignore).
    rejected,   ///< Refused by the task (lovage::Reject): never to run again; `reason`.
    requeued,   ///< Given back by the task (lovage::Reject with requeue).
    revoked,    ///< `reason` says "revoked", "expired" or "duplicate" (it did not start; of a
              ///< duplicate `failure` names the first one), or "terminated", with `crash`: where it
              ///< was, when known.
    timed_out,  ///< Killed at its hard limit: `time_limit`, and `crash`: where, when known.
    slot_lost,  ///< What ran it died: `failure` (WorkerLostError), and `crash`.
};

/// "succeeded", "failed", …: stable, for logs and metrics labels.
[[nodiscard]] std::string_view to_string(Ending ending) noexcept;

/// How a task wants to run again.
struct RetryPlan {
    std::optional<TimePoint> eta;  ///< Absent: at once.
    std::optional<Json> args;      ///< Absent: as they were. A list.
    std::optional<Json> kwargs;    ///< Absent: as they were. A map.
};

/// How one attempt ended: a plain value that can be sent between processes of one machine (its
/// times are CLOCK_MONOTONIC's).
struct TaskOutcome {
    Ending ending = Ending::succeeded;
    Json value;
    std::optional<TaskFailure> failure;
    RetryPlan retry;
    std::string reason;
    std::chrono::milliseconds time_limit{0};
    std::shared_ptr<const CrashReport> crash;
    std::chrono::steady_clock::time_point started;
    std::chrono::steady_clock::time_point ended;
};

}  // namespace lovage
