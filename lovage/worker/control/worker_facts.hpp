#pragma once

#include <string>

#include <lovage/core/json.hpp>
#include <lovage/worker/control/controlled_worker.hpp>

namespace lovage::control {

/// What `stats` answers (celery-wire reference, section 16.4): every member a Python worker's
/// answer has. No passwords.
[[nodiscard]] Json worker_stats(ControlledWorker& worker);

/// The broker as `stats` shows it; the first of several URLs, the others are `alternates`.
[[nodiscard]] Json broker_info(const std::string& broker_url);

/// What `report` answers: versions, the platform, settings without their secrets.
[[nodiscard]] std::string worker_report(const Settings& settings);

}  // namespace lovage::control
