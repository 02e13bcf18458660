#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <lovage/core/error.hpp>

namespace project {

/// The API's own settings, under the original's environment names. Broker and result backend are
/// Lovage's: CELERY_BROKER_URL and CELERY_RESULT_BACKEND_URL.
struct ApiSettings {
    std::string name = "Project API";             ///< API_NAME
    std::string version = "0.1.0";                ///< API_VERSION
    std::string v1_path = "/v1";                  ///< API_V1_PATH
    std::string description;                      ///< API_DESCRIPTION, Markdown
    std::vector<std::string> cors_allow_origins;  ///< CORS_ALLOW_ORIGINS: a JSON list or "a, b"
    std::chrono::milliseconds task_ready_time_out{
        360'000};                                         ///< CELERY_TASK_READY_TIME_OUT, seconds
    std::chrono::milliseconds task_result_time_out{500};  ///< CELERY_TASK_RESULT_TIME_OUT, seconds
    std::string worker_queue = "project-worker";          ///< PROJECT_WORKER_QUEUE
};

/// Reads them from `environment`; what is not there keeps its default.
/// Errors: invalid_argument naming the variable, its value and the accepted form.
[[nodiscard]] lovage::Result<ApiSettings> load_api_settings(
    const std::map<std::string, std::string>& environment);

}  // namespace project
