#include "api_settings.hpp"

#include <lovage/core/convert.hpp>
#include <lovage/core/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace project {

using lovage::Errc;
using lovage::Result;

namespace {

constexpr const char* kDescription =
    "Sends tasks to workers and hands out their results.\n\n"
    "Each task has two endpoints: one waits for the result, one (async) answers with the task's id "
    "at once. Workflows are chains, groups and chords of these tasks. "
    "Integers may have any number of digits.";

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

Result<std::chrono::milliseconds> seconds(const std::string& name, const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    constexpr double kLongest = 86'400;
    if (error != std::errc{} || end != text.data() + text.size() ||
        !(value >= 0 && value <= kLongest)) {
        return lovage::fail(
            Errc::invalid_argument,
            fmt::format("{}={}: a number of seconds from 0 to {} is wanted", name, text, kLongest));
    }
    return std::chrono::milliseconds{static_cast<std::int64_t>(value * 1000)};
}

/// The original takes a JSON list or a list with commas.
Result<std::vector<std::string>> origins(const std::string& name, const std::string& text) {
    if (trimmed(text).starts_with('[')) {
        if (const auto json = lovage::parse_json(text)) {
            if (auto list = lovage::from_json<std::vector<std::string>>(*json))
                return *std::move(list);
        }
        return lovage::fail(
            Errc::invalid_argument,
            fmt::format("{}={}: a JSON list of texts, or texts with commas between", name, text));
    }
    std::vector<std::string> list;
    for (std::string_view rest = text; !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        if (const auto item = trimmed(rest.substr(0, comma)); !item.empty())
            list.emplace_back(item);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return list;
}

}  // namespace

Result<ApiSettings> load_api_settings(const std::map<std::string, std::string>& environment) {
    ApiSettings settings;
    settings.description = kDescription;
    std::optional<lovage::Error> problem;
    const auto read = [&](const char* name, auto& setting, auto convert) {
        const auto found = environment.find(name);
        if (found == environment.end() || found->second.empty() || problem) return;
        auto value = convert(name, found->second);
        if (value) {
            setting = *std::move(value);
        } else {
            problem = std::move(value.error());
        }
    };
    const auto text = [](const std::string&, const std::string& value) -> Result<std::string> {
        return value;
    };
    const auto path = [](const std::string& name, const std::string& value) -> Result<std::string> {
        if (value.starts_with('/') && !value.ends_with('/')) return value;
        return lovage::fail(
            Errc::invalid_argument,
            fmt::format("{}={}: a path like /v1 is wanted, without a slash at its end", name,
                        value));
    };
    read("API_NAME", settings.name, text);
    read("API_VERSION", settings.version, text);
    read("API_V1_PATH", settings.v1_path, path);
    read("API_DESCRIPTION", settings.description, text);
    read("CORS_ALLOW_ORIGINS", settings.cors_allow_origins, origins);
    // A browser's Origin never ends in a slash; settings copied from an address bar do.
    for (auto& origin : settings.cors_allow_origins) {
        if (origin.ends_with('/')) origin.pop_back();
    }
    read("CELERY_TASK_READY_TIME_OUT", settings.task_ready_time_out, seconds);
    read("CELERY_TASK_RESULT_TIME_OUT", settings.task_result_time_out, seconds);
    read("PROJECT_WORKER_QUEUE", settings.worker_queue, text);
    if (problem) return std::unexpected{*std::move(problem)};
    return settings;
}

}  // namespace project
