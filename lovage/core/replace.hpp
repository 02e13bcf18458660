#pragma once

#include <string>
#include <string_view>

#include <lovage/core/canvas.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/follow_ups.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/time.hpp>

// Tasks that change their own workflow while they run: Celery's Task.replace and
// Task.add_to_chord. Pure.
namespace lovage {

/// Whether a task may be replaced by it, or it be added to a chord: it belongs to no chord already,
/// and is no chain without steps. Errors: invalid_argument; malformed, too_large.
[[nodiscard]] Result<void> check_replacement(const Signature& signature);

/// What stands in for the task of `message` and everything that follows it (celery-wire reference,
/// section 14.8): `signature` ends under the task's id, in its place in group and chord, with its
/// callbacks, errbacks and the rest of its chain, and is marked as replaced once more. A group, or
/// a chain that ends in one, gets `celery.accumulate` as its end, which returns the list. Errors:
/// those of check_replacement().
///
/// `queue` is where the task came from: `celery.accumulate` goes there, too.
///
/// Celery differs: a chain that ends in a group leaves nobody under the task's id; the end of a
/// group goes to the default queue, whether a worker serves that or not; a signature with
/// an id of its own keeps that; results are announced to the worker's reply queue instead of the
/// one that the client listens to.
[[nodiscard]] Result<Signature> replacement_of(const TaskMessage& message,
                                               const FollowUps& follow_ups, Signature signature,
                                               const std::string& queue);
/// The calls that replacement_of() begins with; the task is their parent.
[[nodiscard]] Result<CanvasPlan> plan_replacement(const TaskMessage& message,
                                                  const FollowUps& follow_ups, Signature signature,
                                                  const std::string& queue, TimePoint now);

/// The calls of one more part for the chord that the task of `message` is a part of, in the same
/// place of the list of results. What `signature` ends with runs under `id` and counts as one, a
/// group by its list. Errors: those of check_replacement(); invalid_argument: the task is no part
/// of a chord.
[[nodiscard]] Result<CanvasPlan> plan_chord_addition(const TaskMessage& message,
                                                     const FollowUps& follow_ups,
                                                     Signature signature, const std::string& id,
                                                     const std::string& queue, TimePoint now);

/// The id of what a task adds to its chord as the `number`th (from 0), after having been replaced
/// `nesting` times: a task that is run twice adds the same.
[[nodiscard]] std::string chord_addition_id(std::string_view task_id, std::int64_t nesting,
                                            std::size_t number);

}  // namespace lovage
