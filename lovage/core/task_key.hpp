#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/json.hpp>

namespace lovage {

struct TaskDefinition;

/// What makes two calls of a task the same one for a limit or a lock: the values of some of its
/// arguments, or what a function makes of them. Made by per(); one that is not set means what the
/// option it is given to says.
struct TaskKey {
    std::vector<std::string> parameters;
    /// Instead of parameters; takes one value a parameter of the task, in order, and may throw.
    std::function<std::string(std::span<const Json>)> function;

    [[nodiscard]] bool set() const noexcept { return !parameters.empty() || function; }
};

/// The arguments that count: `per("customer_id")`, `per("host", "port")`.
template <std::convertible_to<std::string>... Names>
    requires(sizeof...(Names) > 0)
[[nodiscard]] TaskKey per(Names&&... parameters) {
    return {{std::string(std::forward<Names>(parameters))...}, nullptr};
}

/// How many calls of a task with the same key may run at a time, in all workers together.
struct ConcurrencyLimit {
    /// Each place is an entry of the state store that is looked at.
    static constexpr std::size_t kMost = 1'000;

    std::size_t most = 1;  ///< 1 to kMost.
    TaskKey key;           ///< Not set: the task as a whole.
};

/// The key of one call as a UUID: equal for arguments that are equal as JSON, whether they came by
/// position, by name or by default, and in whatever order the members of objects came. `all`: what
/// a key that is not set means, all arguments or none. Nothing when the arguments do not fit the
/// task, which it will say itself when it runs.
[[nodiscard]] std::optional<std::string> key_of_call(const TaskDefinition& task, const TaskKey& key,
                                                     bool all, const Json& args,
                                                     const Json& kwargs);

/// Throws LovageError (invalid_argument), naming task and parameter, for a key of a parameter that
/// the task does not have. `option` is named, too.
void check_key(const TaskDefinition& task, const TaskKey& key, std::string_view option);

}  // namespace lovage
