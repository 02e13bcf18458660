#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
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
    Json watch = {};  ///< What a sweeper has to know, see ChordWatch; null: it is not swept.
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
    /// It is not complete, and nobody has noted what a sweeper has to know of it.
    bool unwatched = false;
};

/// How a sweeper looks at chords.
struct ChordLook {
    std::chrono::milliseconds every;  ///< A chord is looked at no sooner again, by anybody.
    std::chrono::milliseconds quiet;  ///< How long no part has returned to those it wants to see.
    std::size_t most = 64;            ///< How many in one call.
};

/// How long what is kept for a chord stays when no part returns any more.
inline constexpr std::chrono::milliseconds kChordKeptMost = std::chrono::hours{24 * 30};

/// After how long a chord is looked at again that is quiet for that long.
[[nodiscard]] inline std::chrono::milliseconds next_look(const ChordLook& look,
                                                         std::chrono::milliseconds quiet) {
    return std::clamp(quiet / 4, look.every, look.every * 2);
}

/// A chord that is not over, as a sweeper sees it.
struct UnfinishedChord {
    std::string group_id;
    Json watch;
    std::optional<std::int64_t> size;    ///< Nothing: nobody has said, or it was lost.
    std::int64_t returned = 0;           ///< Entries; a part that ran twice in Python may have two.
    std::chrono::milliseconds quiet{0};  ///< How long no part has returned.
    /// A quarter of the time has passed that results are kept: those of its parts shall stay.
    bool keep_results = false;
};

}  // namespace lovage
