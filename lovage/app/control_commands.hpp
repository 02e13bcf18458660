#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/app/revoke_options.hpp>
#include <lovage/core/json.hpp>

namespace lovage {

/// What workers are asked or told: a method of remote control with its arguments.
struct ControlCommand {
    std::string method;
    Json arguments = Json::object();
};

/// The commands of Celery 5's workers (its `Control` and `Inspect`), to be given to RemoteControl.
/// What each answers: celery-wire reference, sections 16.3 and 16.4.
namespace control {

/// Who is there? `{"ok": "pong"}`
[[nodiscard]] ControlCommand ping();
/// A question without arguments: "active", "reserved", "scheduled", "stats", "active_queues", …
[[nodiscard]] ControlCommand inspect(std::string_view method);
/// The tasks' names, each with those of `attributes` it has; none: exchange, routing_key,
/// rate_limit.
[[nodiscard]] ControlCommand registered(const std::vector<std::string>& attributes = {});
/// Where the worker has these tasks: a map from id to `["active", info]` or `["reserved", info]`.
[[nodiscard]] ControlCommand query_task(const std::vector<std::string>& task_ids);

/// An argument of `revoke` that our workers know: whoever tells has stored the wish already, where
/// they look.
inline constexpr std::string_view kStoredArgument = "lovage_stored";
/// The tasks shall not start and, with RevokeOptions::terminate, shall stop where they run. A
/// worker remembers it until it ends; AsyncResult::revoke() sends this, too, and stores it for
/// workers of ours that come later.
[[nodiscard]] ControlCommand revoke(const std::vector<std::string>& task_ids,
                                    const RevokeOptions& options = {});
/// `rate` is "10/s", "5/m", "100/h"; empty: no limit.
[[nodiscard]] ControlCommand rate_limit(std::string_view task, std::string_view rate);
/// None: no limit.
[[nodiscard]] ControlCommand time_limit(std::string_view task,
                                        std::optional<std::chrono::duration<double>> soft,
                                        std::optional<std::chrono::duration<double>> hard);

[[nodiscard]] ControlCommand pool_grow(std::size_t slots = 1);
[[nodiscard]] ControlCommand pool_shrink(std::size_t slots = 1);
[[nodiscard]] ControlCommand pool_restart();
[[nodiscard]] ControlCommand autoscale(std::size_t max, std::size_t min);

/// Consume a queue, too: a direct exchange of its name, bound under that name.
[[nodiscard]] ControlCommand add_consumer(std::string_view queue);
[[nodiscard]] ControlCommand cancel_consumer(std::string_view queue);

[[nodiscard]] ControlCommand enable_events();
[[nodiscard]] ControlCommand disable_events();
/// Send an event heartbeat now.
[[nodiscard]] ControlCommand heartbeat();
/// Warm shutdown. Nobody answers: give ControlOptions::reply as false.
[[nodiscard]] ControlCommand shutdown();

}  // namespace control

}  // namespace lovage
