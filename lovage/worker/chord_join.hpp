#pragma once

#include <optional>
#include <string>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/results/chord.hpp>

namespace lovage {

/// What a complete chord comes to: the list for its body, or why the body cannot run.
struct ChordJoin {
    Json results = Json::array();
    std::optional<TaskFailure> failure;
    /// A part of the structure has not returned after all, so the chord is not complete. Python's
    /// Celery overwrites a chord's size with that of a group in which a part of its header ends.
    bool incomplete = false;
};

/// Joins the parts of a complete chord; a header with groups as results gives lists in the list.
/// The first part in order that has not succeeded makes it a ChordError (Wire: Celery's texts).
[[nodiscard]] ChordJoin join_chord(const ChordReturns& returns);

/// The ChordError of a chord whose parts cannot be joined, or whose body cannot be sent: "Join
/// error: …", "Callback error: …".
[[nodiscard]] TaskFailure chord_error(const std::string& message);

/// An exception map as Python's repr() shows the exception: "ValueError('part')".
[[nodiscard]] std::string exception_repr(const Json& exception);

}  // namespace lovage
