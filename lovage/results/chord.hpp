#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lovage/core/json.hpp>

namespace lovage {

/// A chord about to be started: how many parts will return.
struct ChordStart {
    std::string group_id;
    std::int64_t size = 0;
    /// Results of the header as Celery's nested tuples when a part is a group of its own, else
    /// null: see PlannedChord.
    Json structure;
};

/// What one part of a chord came to.
struct ChordPart {
    std::string group_id;
    std::optional<std::int64_t> index;  ///< Its place in the list of results; absent: at the end.
    std::string task_id;
    std::string state;  ///< SUCCESS, FAILURE or REVOKED.
    Json result;        ///< The value, or the exception map.
};

/// What is known of a chord after a part has returned.
struct ChordReturns {
    bool complete = false;
    std::vector<ChordPart> parts;  ///< When it is complete: each part once, in order.
    Json structure;                ///< When it is complete: as in ChordStart.
};

}  // namespace lovage
