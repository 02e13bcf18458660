#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/time.hpp>
#include <lovage/core/trace_context.hpp>

namespace lovage {

/// The id of what a task makes the framework send: a UUID5 of the task's id and a position in what
/// follows it, so that a task that is run twice sends the same calls twice.
[[nodiscard]] std::string follow_up_id(std::string_view parent_id, std::string_view position);

/// A call to be sent. Its message lacks what only the sender knows: origin, reply_to when the
/// signature names none, the defaults of its priority and of ignore_result.
struct PlannedCall {
    TaskMessage message;
    std::string queue;     ///< Empty: by routes.
    std::string exchange;  ///< With `routing_key`, when the signature names one.
    std::string routing_key;
    std::optional<bool> ignore_result;
    /// Of its arguments and what follows it, about; a message's body takes at most eight times as
    /// many (integers beyond 64 bits aside).
    std::size_t bytes = 0;
};

/// A chord whose header is among the calls; its size must be known before the last of them ends.
struct PlannedChord {
    std::string group_id;
    std::int64_t size = 0;  ///< How many parts return (celery-wire reference, section 12.6).
    /// The header's results as Celery's nested tuples, when a part's result is a group of its own;
    /// else null.
    Json structure;
    Json watch;  ///< For who ends it on behalf of its parts: see ChordWatch.
};

/// What calling signatures comes to.
struct CanvasPlan {
    std::vector<PlannedChord> chords;
    std::vector<PlannedCall> calls;
    Json::Array children;  ///< One for each signature called: what a result lists as its child.
};

/// Turns signatures into calls as Celery's workers do (celery-wire reference, section 14): partial
/// arguments, options, chains, groups, chords, in one another as deep as kCanvasDepthMax; together
/// at most kCanvasMembersMax calls of `bytes_max` bytes.
///
/// Pure: reads no clock, sends nothing. Whoever calls is the parent of everything it calls.
class CanvasPlanner {
public:
    struct Caller {
        std::string id;  ///< Empty: no task. Nobody is the parent then, and every call a root.
        std::string root_id;
        TimePoint now;            ///< What countdowns and relative expiries count from.
        TraceContext trace = {};  ///< Of calls whose signatures have none.
        /// The signatures were written in this program: Celery shows arguments that it has read
        /// from JSON as a list, others as a tuple.
        bool first_hand = false;
    };
    explicit CanvasPlanner(Caller caller, std::size_t bytes_max = kCanvasBytesMax)
        : caller_{std::move(caller)}, bytes_max_{bytes_max} {}

    /// Adds the call of a signature with `args` in front of its own. `options` are laid over its
    /// own ones; `position` makes the ids of whatever has none yet. Errors: malformed, too_large;
    /// the plan is of no use then.
    [[nodiscard]] Result<void> call(Signature signature, const Json::Array& args,
                                    const Json& options, const std::string& position);

    [[nodiscard]] CanvasPlan take() && { return std::move(plan_); }

private:
    using Child = Result<Json>;

    Child apply(const Signature& signature, const Json::Array& args, const Json& options,
                std::size_t depth);
    Child apply_task(const Signature& signature, const Json::Array& args, const Json& options);
    Child apply_chain(const Signature& chain, const Json::Array& args, Json options,
                      std::size_t depth);
    Child apply_group(const Signature& group, const Json::Array& args, Json options,
                      std::size_t depth);
    Child apply_chord(const Signature& chord, const Json::Array& args, Json options,
                      std::size_t depth);

    Caller caller_;
    std::size_t bytes_max_;
    CanvasPlan plan_;
    std::size_t bytes_ = 0;  ///< of the calls, about
};

/// A call that will never be made, because something before it has failed.
struct UnreachedCall {
    std::string task_id;
    std::string task;  ///< Its name.
    std::optional<std::string> group_id;
    std::optional<std::int64_t> group_index;
    Json chord;     ///< The chord's body it is a part of, or null.
    Json errbacks;  ///< Its options.link_error, or null.
};

/// Whatever a signature would have run and somebody may wait for: its task, each step of a chain,
/// members of a group, a chord's body; and what its options.chain would have continued with. Only
/// those that have an id. Errors: malformed, too_large.
[[nodiscard]] Result<std::vector<UnreachedCall>> unreached_calls(const Signature& signature);

/// Gives every call in a canvas that has none an id made of `parent_id` and `position`; what the
/// canvas as a whole ends with gets `task_id` unless that is empty: its last task, or a group.
/// With `reply_to` also every task its reply queue, which is what clients do. `made_groups` gets
/// the ids of groups that had none. Errors: malformed, too_large.
[[nodiscard]] Result<void> freeze(Signature& signature, std::string_view parent_id,
                                  const std::string& position, const std::string& task_id = {},
                                  std::string_view reply_to = {},
                                  std::vector<std::string>* made_groups = nullptr);

/// Most ancestors in a result's tuple: each nests two levels, and readers of JSON have a limit.
/// Celery differs: it keeps them all.
inline constexpr std::size_t kResultAncestorsMax = 100;

/// The result of a frozen signature in Celery's tuple form (celery-wire reference, section 11.2):
/// `[[id, parent], null]`, a group's `[[id, parent], [members]]`. A parent is a tuple, too; those
/// farther than kResultAncestorsMax are left out. Errors: malformed, too_large.
[[nodiscard]] Result<Json> result_tuple_of(const Signature& frozen);

/// How many parts a member of a chord's header counts for. Errors: malformed, too_large.
[[nodiscard]] Result<std::int64_t> chord_size_of(const Signature& member);

}  // namespace lovage
