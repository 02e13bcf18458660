#pragma once

#include <lovage/core/json.hpp>
#include <lovage/runtime/settings.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage::detail {

// Readers take a value as a file holds it, or a string as environment and flags have it, and return
// nothing for what has not their form. Writers make the text `report` shows.

/// The longest time a setting may name: ten years.
inline constexpr std::int64_t kLongestSeconds = std::int64_t{10} * 366 * 86400;

[[nodiscard]] std::optional<bool> read_boolean(const Json& value);
[[nodiscard]] std::optional<std::int64_t> read_integer(const Json& value, std::int64_t low,
                                                       std::int64_t high);
/// Seconds, whole or not, up to kLongestSeconds.
[[nodiscard]] std::optional<std::chrono::milliseconds> read_seconds(const Json& value);
/// Seconds, of which 0 is "never" and a fraction is rounded up.
[[nodiscard]] std::optional<std::optional<std::chrono::seconds>> read_expiry(const Json& value);
/// What a queue may be called on every broker: an AMQP short string that people can read.
[[nodiscard]] std::optional<std::string> read_queue_name(const Json& value);

using Routes = std::vector<std::pair<std::string, TaskRoute>>;
[[nodiscard]] std::optional<Routes> read_routes(const Json& value);

/// "10,3" in any order, or the most alone.
[[nodiscard]] std::optional<std::optional<AutoscaleRange>> read_autoscale(const Json& value);
[[nodiscard]] std::optional<std::string> read_folder(const Json& value);

/// The name of a time zone, as far as it can be told without looking for it.
[[nodiscard]] std::optional<std::string> read_timezone(const Json& value);
/// A map that has nothing but what ResultTransportOptions has.
[[nodiscard]] std::optional<ResultTransportOptions> read_result_options(const Json& value);
/// A map, or the text of one.
[[nodiscard]] std::optional<Json> read_map(const Json& value);

[[nodiscard]] std::string show_autoscale(const std::optional<AutoscaleRange>& range);
[[nodiscard]] std::string show_folder(const std::string& folder);
[[nodiscard]] std::string show_seconds(std::chrono::milliseconds time);
[[nodiscard]] std::string show_routes(const Routes& routes);
[[nodiscard]] std::string show_result_options(const ResultTransportOptions& options);
/// URLs separated by `;`, without their secrets; nothing when one is none.
[[nodiscard]] std::optional<std::string> show_urls(std::string_view text);

[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_upper(std::string_view text);

}  // namespace lovage::detail
