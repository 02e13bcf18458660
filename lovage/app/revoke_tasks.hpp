#pragma once

#include <memory>
#include <string>
#include <vector>

#include <lovage/app/revoke_options.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

class AppCore;

namespace detail {

/// Stores the wish for each of the tasks, where our workers look it up, and tells the workers that
/// run now, tell_of_revoked(). On the core's loop. Cancellation: none; it ends by its deadline.
/// Errors: what kept a wish from being stored; others may be.
[[nodiscard]] Awaitable<Result<void>> revoke_tasks(std::shared_ptr<AppCore> core,
                                                   std::vector<std::string> task_ids,
                                                   RevokeOptions options, Deadline deadline);

/// Python's workers know nothing of what is stored: they must be told while they run. The wish is
/// kept for ours whether or not that works, so what goes wrong is only logged. In a slot it does
/// nothing: there the parent tells. On the core's loop.
/// Lifetime: `core` must outlive the returned Awaitable.
[[nodiscard]] Awaitable<void> tell_of_revoked(AppCore* core, std::vector<std::string> task_ids,
                                              RevokeOptions options, Deadline deadline);

}  // namespace detail
}  // namespace lovage
