#pragma once

#include <memory>

#include <lovage/awaitable.hpp>
#include <lovage/runtime/child_process.hpp>
#include <lovage/worker/crash_report.hpp>
#include <lovage/worker/prefork/slot_process.hpp>
#include <lovage/worker/prefork/slot_state.hpp>

#include <boost/asio/thread_pool.hpp>

namespace lovage::slot {

/// Finds out why and where a slot has died, or was when it was killed: its signal and what that
/// signal tells, the last it said, and its call stack with names. Debug information is read on a
/// thread of its own.
///
/// Belongs to the pool's loop; not thread-safe.
class CrashAnalyst {
public:
    /// Lifetime: `*this` must outlive the returned Awaitable.
    [[nodiscard]] Awaitable<CrashReport> examine(KillReason killed, ExitStatus status,
                                                 std::shared_ptr<SlotProcess> process);

private:
    std::unique_ptr<boost::asio::thread_pool> reader_;  // made for the first crash
};

}  // namespace lovage::slot
