#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <lovage/core/task_definition.hpp>

namespace lovage::slot {

/// A number that differs when the registries do: names, parameters, types and defaults.
[[nodiscard]] std::uint64_t registry_hash(const TaskRegistry& registry);
/// The signatures of all tasks, sorted by name.
[[nodiscard]] std::vector<std::string> signatures(const TaskRegistry& registry);
/// What only one of the two registers, for a message: "; only the slot has …".
[[nodiscard]] std::string difference(const std::vector<std::string>& worker,
                                     const std::vector<std::string>& slot);

}  // namespace lovage::slot
