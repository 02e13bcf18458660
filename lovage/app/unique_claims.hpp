#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <lovage/app/client.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/unique.hpp>

namespace lovage {

class AppCore;

/// What the state store says about a unique call.
struct UniqueView {
    Standing standing = Standing::free;
    std::optional<UniqueRecord> record;
    std::uint64_t version = 0;  ///< Of the record, for compare-and-set; 0: there is none.
};

/// Reads the record of a call. One that seems taken is compared with the result of the task that
/// has it, if a result backend tells, so that whoever died does not keep the key. Errors: the state
/// store's. Lifetime: `core` must outlive the returned Awaitable.
[[nodiscard]] Awaitable<Result<UniqueView>> look_at_unique(AppCore* core, UniqueCall call,
                                                           std::string task_id, Deadline deadline);

/// How long the record of a task may stay that waits for a worker.
[[nodiscard]] std::optional<std::chrono::milliseconds> lifetime_of_waiting(
    AppCore& core, const UniqueCall& call, std::optional<TimePoint> eta,
    std::optional<TimePoint> expires);

/// The sender's part in unique tasks: it claims the key, sends, and says how that went.
///
/// The claim ends by itself soon after the send's deadline, so that a sender that dies holds nobody
/// up; others that want the key wait that long at most. When the state store does not answer within
/// two seconds, the task is sent without a claim: workers decide again.
///
/// Belongs to the app's loop. Lifetime: `core` must outlive it, and tasks the calls they are given
/// to.
class UniqueClaims {
public:
    struct Claim {
        std::uint64_t version = 0;  ///< 0: none.
    };

    explicit UniqueClaims(AppCore& core) : core_{core} {}

    /// Errors: already_exists, the detail being the id of the task that has the key;
    /// deadline_exceeded, when another send did not end.
    [[nodiscard]] Awaitable<Result<Claim>> claim(const TaskSend* task, Deadline deadline);
    /// The send ended like that.
    [[nodiscard]] Awaitable<void> conclude(const TaskSend* task, Claim claim,
                                           const Result<void>* outcome);

private:
    AppCore& core_;
    bool told_of_trouble_ = false;
};

}  // namespace lovage
