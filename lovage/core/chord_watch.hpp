#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>

namespace lovage {

/// A step that leads to parts of a chord. Shared by all that it leads to: a chain may lead to a
/// group of thousands.
struct ChordStep {
    std::string task_id;
    std::shared_ptr<const ChordStep> before;  ///< The step before it, if there is one.
};

/// A part of a chord, known before it has returned.
struct ChordMember {
    std::string task_id;
    std::optional<std::int64_t> index;  ///< Its place in the list of results.
    /// The step that leads to it, when it is what a chain ends with, or in a group that is.
    std::shared_ptr<const ChordStep> before = {};
    std::string group = {};  ///< The group that all this begins with, if it does.
};

/// What whoever ends a chord on behalf of its parts has to know. Kept beside the chord's count, as
/// JSON: {"body": …, "root_id": …, "members": [results as Celery's nested tuples]}.
struct ChordWatch {
    Json body;            ///< The signature that is sent with the list of results.
    std::string root_id;  ///< Of the workflow; empty: each of its parts is its own root.
    /// Empty when it is not known who they are: a chord that somebody else has begun.
    std::vector<ChordMember> members;
};

/// The ids of all steps that lead to one of these, each once.
[[nodiscard]] std::vector<std::string> steps_before(const std::vector<ChordMember>& members);

/// `members`: Celery's nested tuples in the order of the chord's header, or null.
[[nodiscard]] Json encode_chord_watch(Json body, std::string root_id, Json members);
/// Errors: malformed, too_large.
[[nodiscard]] Result<ChordWatch> read_chord_watch(const Json& watch);

}  // namespace lovage
