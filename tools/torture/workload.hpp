#pragma once

#include <lovage/app/app.hpp>

#include <cstdint>
#include <string>

namespace lovage::torture {

/// The variables under which a run's processes find its ledger and the first digits of its ids.
inline constexpr const char* kLedgerVariable = "LOVAGE_TORTURE_LEDGER";
inline constexpr const char* kRunVariable = "LOVAGE_TORTURE_RUN";
inline constexpr const char* kTaskName = "torture.work";

/// The id under which a run sends a task.
[[nodiscard]] std::string task_id(const std::string& run, std::uint32_t task);

/// The one task: it notes its start, works for a few milliseconds, and notes its effect.
void register_tasks(App& app);

/// Sends tasks of the ledger that nobody has taken yet, `rate` a second, until there are none left
/// or SIGTERM. It waits while more than `backlog` of what was sent is not done. What has an unknown
/// outcome is sent again under the same id, as the contract advises. Returns the exit code.
int produce(App& app, double rate, std::uint64_t backlog);

}  // namespace lovage::torture
