#pragma once

#include <lovage/app/reply_collector.hpp>
#include <lovage/core/time.hpp>

#include <string>
#include <string_view>

namespace lovage::cli {

/// What workers replied to `method`, for people: a table where the replies are lists of tasks,
/// queues and the like, else each node's reply under its name. `now` tells how long tasks run.
/// Replies are foreign text: control characters are made visible.
[[nodiscard]] std::string remote_text(std::string_view method, const NodeReplies& replies,
                                      TimePoint now);

/// Whether a worker could not do what it was told: it replied `{"error": …}`.
[[nodiscard]] bool is_refusal(const Json& reply);

}  // namespace lovage::cli
