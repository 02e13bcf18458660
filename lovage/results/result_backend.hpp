#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/results/chord.hpp>
#include <lovage/runtime/deadline.hpp>

#include <optional>
#include <string>
#include <vector>

namespace lovage {

/// What store() did.
enum class StoreOutcome : std::uint8_t {
    stored,
    kept_existing,  ///< A record that must not be replaced was there (states::may_replace).
};

/// Keeps task records and tells waiters about them. Belongs to one loop; not thread-safe.
///
/// Records expire `result_expires` after their last write. Errors common to all: disconnected,
/// unavailable, deadline_exceeded, unknown_outcome.
class ResultBackend {
public:
    virtual ~ResultBackend() = default;

    virtual Awaitable<Result<void>> connect(Deadline deadline) = 0;
    virtual Awaitable<void> close(Deadline deadline) = 0;

    /// Stores a record durably and wakes its waiters, in this and other processes.
    /// Errors: too_large (16 MiB by default).
    virtual Awaitable<Result<StoreOutcome>> store(TaskMeta meta, Deadline deadline) = 0;
    /// store() for several records of different tasks at once; one outcome a record, in their
    /// order. Drivers do it in one round trip; this default stores one after the other.
    virtual Awaitable<std::vector<Result<StoreOutcome>>> store_many(std::vector<TaskMeta> metas,
                                                                    Deadline deadline);
    /// The record, or nothing when there is none (a bare sent-marker is none).
    virtual Awaitable<Result<std::optional<TaskMeta>>> get(std::string task_id,
                                                           Deadline deadline) = 0;
    /// get() for several, in their order. Drivers do it in few round trips; this default asks one
    /// by one.
    virtual Awaitable<Result<std::vector<std::optional<TaskMeta>>>> get_many(
        std::vector<std::string> task_ids, Deadline deadline);
    /// Waits for the record to be in a ready state. Subscribes first, then reads, so nothing slips
    /// through; survives restarts of the other side. Errors: deadline_exceeded.
    virtual Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) = 0;
    /// Removes the record and the sent-marker. Forgetting what is not there is fine.
    virtual Awaitable<Result<void>> forget(std::string task_id, Deadline deadline) = 0;

    /// Leaves a mark that this id was sent (`task_track_sent`), so that "unknown" can be told from
    /// PENDING.
    virtual Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) = 0;
    /// True when a mark or a record exists.
    virtual Awaitable<Result<bool>> is_known(std::string task_id, Deadline deadline) = 0;

    // Chords: what has returned is counted here, since the parts run anywhere. What is kept for one
    // expires like a record, counted from its last part. A backend that cannot count says
    // invalid_argument.

    /// Makes the size known; to be called before the last part can return. Calling it again, for
    /// a chord that is started once more, does no harm.
    virtual Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline);
    /// Makes a chord one part larger, once for each `part_id`; to be called by a part that has not
    /// returned yet.
    virtual Awaitable<Result<void>> grow_chord(std::string group_id, std::string part_id,
                                               Deadline deadline);
    /// Notes that a part has returned, durably. A part that returns again counts once: its later
    /// result replaces the earlier one, unless that was a SUCCESS. Whoever is told that the chord
    /// is complete sends the body and then calls end_chord(). The part that completed it is told
    /// the same when it returns again before that, since its worker may have died; no other part
    /// that returns again is. One that returns for the first time is, too: the size was too small.
    /// Whoever is told so is left alone by sweepers as if a part had returned only now.
    /// Errors: too_large (it is complete, and the results together are larger than one result may
    /// be).
    virtual Awaitable<Result<ChordReturns>> add_chord_part(ChordPart part, Deadline deadline);
    /// Forgets the chord: a part that returns again finds nothing to complete.
    virtual Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline);

    // Chords that do not end by themselves (worker/chord_sweeper.hpp). What is kept for a chord
    // with a watch stays as long as somebody looks, for a month after its last part at the most.

    /// Notes what a sweeper has to know of a chord that was started without it. What is there
    /// stays.
    virtual Awaitable<Result<void>> watch_chord(std::string group_id, Json watch,
                                                Deadline deadline);
    /// What was noted of a chord, by start_chord() or watch_chord(); end_chord() leaves it there
    /// until it expires, for who wants to know what a group led to.
    virtual Awaitable<Result<std::optional<Json>>> chord_watch(std::string group_id,
                                                               Deadline deadline);
    /// Chords whose turn it is, each handed to one caller; the longer one is quiet, the later its
    /// next turn, up to four times ChordLook::every. Their time to expire begins anew.
    virtual Awaitable<Result<std::vector<UnfinishedChord>>> look_at_chords(ChordLook look,
                                                                           Deadline deadline);
    /// What has returned. Complete: the caller sends the body, and `taker` is kept as who completed
    /// it, so that no part is told the same from now on. Otherwise of each part no more than its
    /// id. `returned`: as the caller's look has said; a chord is not complete for him when a part
    /// has returned since then, or was told that it completed it: that one sends the body. Nothing:
    /// whatever happened since. Errors: as add_chord_part().
    virtual Awaitable<Result<ChordReturns>> take_chord(std::string group_id, std::string taker,
                                                       std::optional<std::int64_t> returned,
                                                       Deadline deadline);
    /// Lets the time begin anew after which these records expire.
    virtual Awaitable<Result<void>> keep(std::vector<std::string> task_ids, Deadline deadline);

    // Groups that were saved, for who knows no more than their id. Kept as long as a record.

    /// Keeps `result`, the group's result as Celery's nested tuples.
    virtual Awaitable<Result<void>> save_group(std::string group_id, Json result,
                                               Deadline deadline);
    /// What was saved; nothing when it was not, or has expired.
    virtual Awaitable<Result<std::optional<Json>>> saved_group(std::string group_id,
                                                               Deadline deadline);
    virtual Awaitable<Result<void>> forget_group(std::string group_id, Deadline deadline);

    /// Whether the backend answers now, for health checks.
    virtual Awaitable<Result<void>> ping(Deadline deadline) = 0;

    [[nodiscard]] virtual std::string display_url() const = 0;
};

}  // namespace lovage
