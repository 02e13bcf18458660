#pragma once

#include <string>

#include <lovage/core/json.hpp>

/// Results as Celery's nested tuples (celery-wire reference, section 11.2): `[[id, parent],
/// members]`, where a parent is such a tuple or null, and members are a list of them or, of a
/// single task, null.
namespace lovage {

[[nodiscard]] Json task_result_tuple(std::string id, Json parent = {});
/// `members` is a list of results.
[[nodiscard]] Json group_result_tuple(std::string id, Json members, Json parent = {});

/// Whether it is the result of a group.
[[nodiscard]] bool is_group_result(const Json& result);

}  // namespace lovage
