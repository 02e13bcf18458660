#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/worker/pool.hpp>
#include <lovage/worker/revocations.hpp>
#include <lovage/worker/soft_limits.hpp>

namespace lovage {

/// Looks after the attempts a pool was given until they end: tells them when their soft time limit
/// passes, and within two seconds when somebody revokes them.
///
/// Belongs to the worker's loop. Its two services end by cancellation.
class AttemptWatch {
public:
    using RequestPtr = std::shared_ptr<TaskRequest>;

    using Clock = std::chrono::steady_clock;

    /// `held_most`: the broker takes messages back that are held for longer; empty: it does not.
    /// Lifetime: `pool` and `revocations` must outlive the watch.
    AttemptWatch(Executor executor, Pool& pool, Revocations& revocations,
                 std::optional<std::chrono::minutes> held_most = std::nullopt);

    void submitted(const std::vector<RequestPtr>& requests);
    /// An attempt with `report_start` begins.
    void started(const RequestPtr& request);
    /// Also for one that was taken back.
    void ended(const RequestPtr& request);

    /// Everything submitted that has not ended.
    [[nodiscard]] const std::unordered_set<RequestPtr>& running() const noexcept {
        return running_;
    }

    /// Revokes a running or waiting attempt without looking at the store.
    void revoke(const RequestPtr& request, const RevokeOptions& options);

    /// The first attempt whose message will soon have been held for too long; once, then nothing.
    [[nodiscard]] RequestPtr held_too_long(Clock::time_point now);

    [[nodiscard]] Awaitable<void> watch_limits();
    /// Costs nothing while tasks end within a second: only older ones are looked up, once a second.
    [[nodiscard]] Awaitable<void> watch_revocations();

private:
    [[nodiscard]] std::vector<RequestPtr> older_ones() const;
    void warn_of_long_ones();
    Awaitable<void> look_for_revoked(std::vector<RequestPtr> requests);
    Awaitable<void> terminate(RequestPtr request);
    /// Once for each signal that is asked for.
    void send(const RequestPtr& request, int signal);

    Executor executor_;
    Pool& pool_;
    Revocations& revocations_;
    std::unordered_set<RequestPtr> running_;
    std::unordered_map<RequestPtr, int> terminated_;  ///< And the signal they were sent last.
    std::optional<std::chrono::minutes> held_most_;
    SoftLimits limits_;
    Notifier limits_changed_;
};

}  // namespace lovage
