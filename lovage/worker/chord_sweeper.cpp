#include <lovage/worker/chord_sweeper.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <lovage/core/canvas.hpp>
#include <lovage/runtime/for_each.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/chord_join.hpp>

namespace lovage {

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr auto kSweepAttempt = 30s;
/// Chords asked for in one call, and how often at a time while there are some.
constexpr std::size_t kChordsAtOnce = 16;
constexpr int kRoundsMost = 128;
constexpr std::size_t kStepsAtOnce = 64;

/// What goes wrong with one chord is no concern of the others.
Awaitable<Result<void>> logged(std::string group_id, Awaitable<Result<void>> care) {
    std::string problem;
    try {
        const auto done = co_await std::move(care);
        if (!done) problem = done.error().message();
    } catch (const boost::system::system_error&) {
        throw;  // cancelled
    } catch (const std::exception& thrown) {
        problem = thrown.what();
    }
    if (!problem.empty()) {
        log::warning("worker", "Chord {}: it cannot be looked after: {}", group_id, problem);
    }
    co_return Result<void>{};
}

std::vector<ChordMember> members_but(const std::vector<ChordPart>& counted,
                                     const std::vector<ChordMember>& members) {
    std::unordered_set<std::string_view> known;
    for (const ChordPart& part : counted) known.insert(part.task_id);
    std::vector<ChordMember> missing;
    for (const ChordMember& member : members) {
        if (!known.contains(member.task_id)) missing.push_back(member);
    }
    return missing;
}

Awaitable<void> sleep_for(std::chrono::milliseconds time) {
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

std::vector<UncountedPart> uncounted_parts(const std::vector<ChordMember>& members,
                                           std::vector<std::optional<TaskMeta>> records,
                                           const BadSteps& bad_steps) {
    std::vector<UncountedPart> parts;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (records[i]) {
            if (!records[i]->ready()) continue;
            parts.push_back(
                {members[i], std::make_shared<const TaskMeta>(std::move(*records[i])), true});
            continue;
        }
        if (bad_steps.empty()) continue;
        const ChordStep* step = members[i].before.get();
        while (step != nullptr && !bad_steps.contains(step->task_id)) step = step->before.get();
        if (step != nullptr) parts.push_back({members[i], bad_steps.at(step->task_id), false});
    }
    return parts;
}

bool is_younger(const TaskMeta& record, std::chrono::milliseconds age, TimePoint now) {
    if (!record.date_done) return false;
    const auto done = parse_iso8601(*record.date_done);
    // A clock that is ahead by more than that says nothing.
    return done && *done > now - age && *done < now + age;
}

ChordSweeper::ChordSweeper(AppCore& core, Workflow& workflow, TaskMetrics& metrics,
                           std::string name)
    : core_{core},
      workflow_{workflow},
      metrics_{metrics},
      name_{std::move(name)},
      every_{chord_sweep_interval(core.settings())} {}

Awaitable<void> ChordSweeper::run() {
    if (every_.count() == 0) co_return;
    while (true) {
        co_await sleep_for(every_ / 2);
        co_await sweep();
    }
}

Awaitable<void> ChordSweeper::sweep() {
    const ChordLook look{.every = every_, .quiet = every_ * 3 / 2, .most = kChordsAtOnce};
    for (int round = 0; round < kRoundsMost; ++round) {
        // Each chord may be handed to somebody else once `every_` has passed.
        const Deadline turn = Deadline::in(every_ * 3 / 4);
        auto found = co_await core_.results().look_at_chords(look, Deadline::in(kSweepAttempt));
        if (!found) {
            log::warning("worker", "unfinished chords are not looked at: {}",
                         found.error().message());
            co_return;
        }
        if (found->empty()) co_return;
        // All at once: each is this sweeper's for a while only.
        const auto care = [&](std::size_t i) {
            std::string group_id = (*found)[i].group_id;
            return logged(std::move(group_id), care_for(std::move((*found)[i]), turn));
        };
        (void)co_await for_each_index(found->size(), found->size(), care, OnFailure::finish);
    }
}

Awaitable<Result<void>> ChordSweeper::care_for(UnfinishedChord due, Deadline turn) {
    auto watch = read_chord_watch(due.watch);
    if (!watch) co_return std::unexpected{watch.error()};
    const Care care{std::move(due), std::move(*watch), turn};
    const UnfinishedChord& chord = care.chord;
    if (chord.keep_results) {
        std::vector<std::string> ids = steps_before(care.watch.members);
        for (const ChordMember& member : care.watch.members) ids.push_back(member.task_id);
        auto kept = co_await core_.results().keep(std::move(ids), Deadline::in(kSweepAttempt));
        if (!kept) co_return kept;
    }
    if (chord.quiet < every_ * 3 / 2) co_return Result<void>{};
    auto returns = co_await core_.results().take_chord(chord.group_id, name_, chord.returned,
                                                       Deadline::in(kSweepAttempt));
    if (!returns && returns.error().code != Errc::too_large) {
        co_return std::unexpected{returns.error()};
    }
    if (!returns || returns->complete) co_return co_await finish(&care, returns);
    if (chord.size) co_return co_await count_missing(&care, std::move(returns->parts));
    if (std::cmp_not_equal(returns->parts.size(), chord.returned)) co_return Result<void>{};
    // Whoever begins a chord may be about to tell: messages are sent before it.
    if (chord.quiet < every_ * 3 || returns->parts.empty()) co_return Result<void>{};
    co_return co_await finish(
        &care, fail(Errc::not_found,
                    "the number of its parts is not known; the result backend has lost "
                    "what it had kept for the chord"));
}

// ---- Parts that are over

Awaitable<Result<void>> ChordSweeper::count_missing(const Care* care,
                                                    std::vector<ChordPart> counted) {
    const std::string& group_id = care->chord.group_id;
    auto over = co_await find_uncounted(members_but(counted, care->watch.members));
    if (!over) co_return std::unexpected{over.error()};
    const TimePoint now = wall_clock_now();
    const auto young = [&](const UncountedPart& part) {
        return is_younger(*part.record, every_ / 4, now);
    };
    if (std::ranges::any_of(*over, young)) {
        // Who stored them may be about to count them. Counting one twice does no harm, but a
        // failure that is about to be replaced would.
        co_await sleep_for(every_ / 4);
        auto now_counted = co_await core_.results().take_chord(
            group_id, name_, care->chord.returned, Deadline::in(kSweepAttempt));
        if (!now_counted) co_return std::unexpected{now_counted.error()};
        if (now_counted->complete) co_return co_await finish(care, std::move(now_counted));
        over = co_await find_uncounted(members_but(now_counted->parts, care->watch.members));
        if (!over) co_return std::unexpected{over.error()};
    }
    if (over->empty()) co_return Result<void>{};
    log::warning("worker", "Chord {}: {} of its parts are over and were not counted; they are now",
                 group_id, over->size());
    for (UncountedPart& part : *over) {
        auto done = co_await count(group_id, std::move(part));
        if (!done) co_return done;
        metrics_.parts_counted.increment();
    }
    auto returns = co_await core_.results().take_chord(group_id, name_, std::nullopt,
                                                       Deadline::in(kSweepAttempt));
    if (returns && !returns->complete) co_return Result<void>{};
    if (!returns && returns.error().code != Errc::too_large) {
        co_return std::unexpected{returns.error()};
    }
    co_return co_await finish(care, std::move(returns));
}

Awaitable<Result<std::vector<UncountedPart>>> ChordSweeper::find_uncounted(
    std::vector<ChordMember> missing) {
    std::vector<std::string> ids;
    for (const ChordMember& member : missing) ids.push_back(member.task_id);
    auto records = co_await core_.results().get_many(std::move(ids), Deadline::in(kSweepAttempt));
    if (!records) co_return std::unexpected{records.error()};
    std::vector<ChordMember> unknown;
    for (std::size_t i = 0; i < missing.size(); ++i) {
        if (!(*records)[i]) unknown.push_back(missing[i]);
    }
    const auto bad_steps = co_await find_bad_steps(steps_before(unknown));
    if (!bad_steps) co_return std::unexpected{bad_steps.error()};
    co_return uncounted_parts(missing, std::move(*records), *bad_steps);
}

Awaitable<Result<BadSteps>> ChordSweeper::find_bad_steps(std::vector<std::string> ids) {
    BadSteps bad;
    // A few at a time: results of those that ended well may be large, and are not kept.
    for (std::size_t at = 0; at < ids.size(); at += kStepsAtOnce) {
        const auto rest = std::span{ids}.subspan(at);
        const auto some = rest.first(std::min(kStepsAtOnce, rest.size()));
        auto records = co_await core_.results().get_many({some.begin(), some.end()},
                                                         Deadline::in(kSweepAttempt));
        if (!records) co_return std::unexpected{records.error()};
        for (std::optional<TaskMeta>& step : *records) {
            if (!step || !step->ready() || step->status == states::kSuccess) continue;
            std::string id = step->task_id;
            bad.emplace(std::move(id), std::make_shared<const TaskMeta>(std::move(*step)));
        }
    }
    co_return bad;
}

Awaitable<Result<void>> ChordSweeper::count(std::string group_id, UncountedPart part) {
    const Deadline deadline = Deadline::in(kSweepAttempt);
    if (!part.own) {
        TaskMeta record = *part.record;
        record.task_id = part.member.task_id;
        record.group_id = group_id;
        record.children = Json::array();
        auto stored = co_await core_.results().store(std::move(record), deadline);
        if (!stored) co_return std::unexpected{stored.error()};
    }
    ChordPart counted{std::move(group_id), part.member.index, std::move(part.member.task_id),
                      part.record->status, part.record->result};
    auto done = co_await core_.results().add_chord_part(std::move(counted), deadline);
    if (!done && done.error().code != Errc::too_large) co_return std::unexpected{done.error()};
    co_return Result<void>{};
}

// ---- The end of a chord

Awaitable<Result<bool>> ChordSweeper::is_over(const ChordWatch* watch) {
    const auto body = decode_signature(watch->body, "the body of the chord");
    if (!body) co_return false;  // whoever ends it says what is wrong with it
    const auto calls = unreached_calls(*body);
    if (!calls || calls->empty()) co_return false;
    std::vector<std::string> ids;
    for (const UnreachedCall& call : *calls) ids.push_back(call.task_id);
    const auto records =
        co_await core_.results().get_many(std::move(ids), Deadline::in(kSweepAttempt));
    if (!records) co_return std::unexpected{records.error()};
    // Of one that has failed nobody can tell whether its errbacks were called.
    co_return std::ranges::all_of(*records, [](const std::optional<TaskMeta>& record) {
        return record && record->status != states::kFailure;
    });
}

Awaitable<Result<void>> ChordSweeper::finish(const Care* care, Result<ChordReturns> returns) {
    const auto over = co_await is_over(&care->watch);
    if (!over) co_return std::unexpected{over.error()};
    if (*over) {
        co_return co_await core_.results().end_chord(care->chord.group_id,
                                                     Deadline::in(kSweepAttempt));
    }
    ChordJoin join;
    std::string last = care->chord.group_id;
    if (returns && !returns->parts.empty()) {
        join = join_chord(*returns);
        last = returns->parts.back().task_id;
    } else if (returns) {
        join.failure = chord_error("Join error: it has no parts");
    } else {
        join.failure = chord_error("Join error: " + returns.error().detail);
    }
    if (join.incomplete) co_return Result<void>{};
    co_await end(care, std::move(join), std::move(last));
    co_return Result<void>{};
}

Awaitable<void> ChordSweeper::end(const Care* care, ChordJoin join, std::string last) {
    const auto always = [] { return true; };
    const std::string& group_id = care->chord.group_id;
    const std::string root_id = care->watch.root_id.empty() ? last : care->watch.root_id;
    CanvasPlanner::Caller by{std::move(last), root_id, wall_clock_now()};
    const ChordEnd end = co_await workflow_.end_chord(
        group_id, std::move(join), care->watch.body, std::move(by),
        Workflow::Wanted{always}.no_later_than(care->turn),
        Workflow::Wanted{always}.no_later_than(Deadline::in(kSweepAttempt)));
    if (end == ChordEnd::abandoned) co_return;
    (end == ChordEnd::sent ? metrics_.chords_finished : metrics_.chords_failed).increment();
    log::warning("worker", "Chord {}: it did not end by itself; its body {}", group_id,
                 end == ChordEnd::sent ? "is sent" : "has failed");
}

}  // namespace lovage
