#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/app/unique_claims.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/acknowledgement.hpp>
#include <lovage/worker/apart.hpp>
#include <lovage/worker/held_keys.hpp>
#include <lovage/worker/task_run.hpp>
#include <lovage/worker/waiting_room.hpp>

namespace lovage {

/// In which state an attempt that ended like that leaves its task, for the record of a unique one;
/// nothing: it is not there any more.
[[nodiscard]] std::optional<std::string_view> state_after(const TaskOutcome& outcome,
                                                          const AckRules& rules) noexcept;

/// Tasks that have to ask the state store before they may wait or start: those under a concurrency
/// limit for a place, unique ones whether they are duplicates. It asks beside everything else, so
/// that nobody waits for a store that is slow but those who need it.
///
/// A task that gets no place waits in the waiting room, in the line of its key. One whose question
/// finds no answer asks again a second later: while the store is away such tasks do not start, and
/// none is lost.
///
/// Belongs to the worker's loop. Lifetime: `core` and the waiting room must outlive it.
class KeyGate {
public:
    using RequestPtr = std::shared_ptr<TaskRequest>;

    struct Hooks {
        /// It may start: it has what it asked for until ended() or given_back().
        std::function<void(RequestPtr)> start;
        /// It is no duplicate, and waits for its time.
        std::function<void(RequestPtr)> wait;
        /// It is one, of the task of that id.
        std::function<void(RequestPtr, std::string)> duplicate;
        /// It does not start yet, or not at all: its turn under a rate limit is another's.
        std::function<void(TaskRequest&)> leave_turn;
    };

    KeyGate(AppCore& core, WaitingRoom& waiting, std::string hostname, Hooks hooks);

    /// Whether it has to ask before it starts, or (`starts` false) before it waits for its time.
    [[nodiscard]] static bool concerns(const TaskRequest& request, bool starts) noexcept {
        const bool to_judge = request.unique.has_value() && !request.judged;
        return starts ? request.place || request.unique : to_judge;
    }
    /// Whether a task that is about to start has no place for certain: `request` is gone then, into
    /// its line. Nobody overtakes those in line, and nobody asks for what this worker has itself.
    [[nodiscard]] bool goes_in_line(RequestPtr& request);
    /// Lets it ask. What comes of it is one of the hooks' calls, or it waits in the waiting room.
    void enter(RequestPtr request, bool starts);

    /// The attempt is over: its place is free. Its key is so only when the end is durable, since a
    /// message that comes again must not find another task in its place.
    void ended(const RequestPtr& request, const TaskOutcome& outcome);
    /// It was allowed to start, but its message goes back.
    void given_back(const RequestPtr& request);
    /// Its delivery has come to its end; without an `outcome`: its message comes again. A task that
    /// did not run, or failed although its attempt asked for another one, keeps no key.
    void settled(const RequestPtr& request, const TaskOutcome* outcome);

    /// Removes and returns who is asking.
    [[nodiscard]] std::vector<RequestPtr> withdraw();
    /// Nothing runs any more: gives back what running tasks had.
    void close();
    void give_up() noexcept;
    /// When nothing is settled any more: keys of ends that did not become durable go back, too.
    [[nodiscard]] Awaitable<bool> join(Deadline deadline);

private:
    /// What a task got.
    struct Pass {
        HeldKeys::Handle place;
        HeldKeys::Handle unique;
        /// The version of the record that is this task's to write; nothing: it has none.
        std::optional<std::uint64_t> record;
    };
    enum class Answer : std::uint8_t {
        go,
        again,  ///< Somebody else was at the same record.
        in_line,
        later,  ///< The store does not tell, or somebody is sending a task like this one.
        duplicate,
    };
    /// The places of a key as far as this worker is concerned.
    struct Here {
        std::size_t held = 0;
        std::size_t asking = 0;
        /// Since when tasks of its own have followed each other; in the future: it holds back until
        /// then.
        std::chrono::steady_clock::time_point since;
    };

    Awaitable<void> ask(RequestPtr request, bool starts);
    Awaitable<Answer> decide(RequestPtr request, bool starts, Pass* pass, std::string* first);
    /// Whether it is a duplicate; when not, its record says that it is there.
    Awaitable<Answer> claim(RequestPtr request, bool starts, Pass* pass, std::string* first);
    Awaitable<Answer> find_place(RequestPtr request, Pass* pass);
    /// The record of a unique task says that it runs, or goes when that does not count.
    Awaitable<Answer> begin(RequestPtr request, Pass* pass);
    /// Takes its record away, if there is one: its own, or the sender's.
    Awaitable<void> forget(RequestPtr request);
    [[nodiscard]] UniqueRecord record_of(const TaskRequest& request, std::string_view state) const;
    /// The record of a task that does not run any more; nothing: there shall be none.
    [[nodiscard]] std::optional<HeldKey::Last> last_record(const TaskRequest& request,
                                                           std::optional<std::string_view> state,
                                                           std::optional<TimePoint> eta) const;
    void let_go(const RequestPtr& request, Pass pass, std::optional<std::string_view> state,
                std::optional<TimePoint> eta = std::nullopt);
    void forget_key(const std::string& key);
    /// So that `here_` does not grow.
    void sweep();
    void place_came_back(const std::string& key);
    /// This worker's tasks have had the places of a key for long: wakes the next of them, unless
    /// another worker waits.
    Awaitable<void> let_others(std::string key);
    void wait_in_line(RequestPtr request);
    void ask_later(RequestPtr request);
    /// The store did not do it.
    Answer later_because_of(const Error& problem);
    /// Tells this attempt from all others, in the state store.
    [[nodiscard]] std::string holder_of(const TaskRequest& request) const;

    AppCore& core_;
    WaitingRoom& waiting_;
    const std::string hostname_;
    const std::chrono::milliseconds lease_;
    Hooks hooks_;
    HeldKeys keys_;
    std::unordered_set<RequestPtr> asking_;
    std::unordered_map<RequestPtr, Pass> passes_;
    std::unordered_map<RequestPtr, HeldKeys::Handle> ended_;  // keys of ends not durable yet
    std::map<std::string, Here> here_;
    std::uint64_t generation_ = 0;  // of withdraw(): who asked before is not ours any more
    Apart apart_;
    bool told_of_trouble_ = false;
    TaskScope scope_;
};

}  // namespace lovage
