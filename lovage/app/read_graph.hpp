#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/app/result_graph.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

class AppCore;

namespace detail {

/// Errors: malformed, too_large.
[[nodiscard]] Result<std::vector<ChildResult>> read_children(const Json& children);
[[nodiscard]] Result<ChildResult> read_child(const Json& tuple);

/// The workflow that a task is part of, from its root on. On the app's loop. Errors: those of the
/// result backend; not_found (nothing is stored under the id); too_large.
[[nodiscard]] Awaitable<Result<ResultGraph>> read_graph(std::shared_ptr<AppCore> core,
                                                        std::string task_id, Deadline deadline);
/// The same, beginning at the members of a group.
[[nodiscard]] Awaitable<Result<ResultGraph>> read_group_graph(std::shared_ptr<AppCore> core,
                                                              std::string group_id,
                                                              std::vector<std::string> members,
                                                              Deadline deadline);

}  // namespace detail
}  // namespace lovage
