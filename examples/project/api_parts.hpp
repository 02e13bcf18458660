#pragma once

#include "api_settings.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <lovage/core/error.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/params.hpp>
#include <lovage/http/response.hpp>

/// What the API's sources share: parameters, documentation, and how troubles become HTTP replies.
namespace project {

/// For one question to the result backend.
inline constexpr std::chrono::seconds kBackendTime{5};

/// "360.0s", as the original's messages write their settings.
[[nodiscard]] std::string seconds_text(std::chrono::milliseconds time);

/// What a failed question to broker or backend is answered with.
[[nodiscard]] lovage::http::HttpError trouble(const lovage::Error& error);

/// Throws trouble().
template <class T>
T value_or_trouble(lovage::Result<T> result) {
    if (!result) throw trouble(result.error());
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// The `wait` of endpoints that wait.
[[nodiscard]] inline auto wait_parameter(const ApiSettings& settings) {
    return lovage::http::query<std::optional<double>>("wait")
        .ge(0)
        .le(static_cast<double>(settings.task_ready_time_out.count()) / 1000)
        .description(
            "Seconds to wait; then the answer is 202 with the Location of what was sent, which "
            "goes on.");
}

/// What an endpoint that sends can answer besides its reply.
lovage::http::Route& document_sending(lovage::http::Route& route, const char* tag);
/// The same of one that waits for the result, too.
lovage::http::Route& document_waiting(lovage::http::Route& route, const char* tag);

}  // namespace project
