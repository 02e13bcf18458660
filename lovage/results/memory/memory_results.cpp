#include <lovage/results/memory/memory_results.hpp>

#include <lovage/results/detail/shared_by_name.hpp>
#include <lovage/results/detail/waiters.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace lovage {
namespace {

using detail::RecordText;

/// The records of one name. Thread-safe; pure state, `now` comes from the caller.
class Records {
public:
    Result<StoreOutcome> store(const std::string& task_id, const std::string& status,
                               RecordText text, TimePoint now,
                               const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        sweep(now, kSweepMost);
        const auto old = find(task_id, now);
        if (old != records_.end() && old->second.text &&
            !states::may_replace(old->second.status, status)) {
            return StoreOutcome::kept_existing;
        }
        if (auto room = make_room(size_of(task_id, text), now, options); !room) {
            return std::unexpected(room.error());
        }
        if (old != records_.end()) erase(old);
        insert(task_id, Record{status, std::move(text), {}}, expiry(now, options));
        return StoreOutcome::stored;
    }

    /// The text, or nullptr when there is none.
    RecordText get(const std::string& task_id, TimePoint now) {
        const std::lock_guard lock{mutex_};
        const auto found = find(task_id, now);
        return found == records_.end() ? nullptr : found->second.text;
    }

    void forget(const std::string& task_id) {
        const std::lock_guard lock{mutex_};
        if (const auto found = records_.find(task_id); found != records_.end()) erase(found);
    }

    Result<void> mark_sent(const std::string& task_id, TimePoint now,
                           const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        sweep(now, kSweepMost);
        const auto old = find(task_id, now);
        if (old != records_.end() && old->second.text) return {};  // A record says as much.
        if (auto room = make_room(size_of(task_id, nullptr), now, options); !room) return room;
        if (old != records_.end()) erase(old);
        insert(task_id, Record{}, expiry(now, options));
        return {};
    }

    bool is_known(const std::string& task_id, TimePoint now) {
        const std::lock_guard lock{mutex_};
        return find(task_id, now) != records_.end();
    }

    Result<void> start_chord(const ChordStart& start, TimePoint now,
                             const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        const std::size_t bytes =
            to_json_text(start.structure).size() + to_json_text(start.watch).size();
        if (auto room = make_room(bytes, now, options); !room) return room;
        Chord& chord = touch_chord(start.group_id, now, options);
        chord.size = start.size;
        chord.structure = start.structure;
        if (chord.watch.is_null()) chord.watch = start.watch;
        account(chord, bytes);
        return {};
    }

    Result<void> grow_chord(const std::string& group_id, std::string part_id, TimePoint now,
                            const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        const std::size_t bytes = size_of(part_id, nullptr);
        if (auto room = make_room(bytes, now, options); !room) return room;
        Chord& chord = touch_chord(group_id, now, options);
        if (chord.added.insert(std::move(part_id)).second) account(chord, bytes);
        return {};
    }

    Result<ChordReturns> add_chord_part(ChordPart part, TimePoint now,
                                        const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        const std::size_t bytes = size_of(part.task_id, nullptr) + to_json_text(part.result).size();
        if (auto room = make_room(bytes, now, options); !room) {
            return std::unexpected(room.error());
        }
        Chord& chord = touch_chord(part.group_id, now, options);
        const std::string task_id = part.task_id;
        const auto [place, added] = chord.parts.try_emplace(task_id);
        if (added || place->second.state != states::kSuccess) {
            account(chord, bytes);
            place->second = std::move(part);
        }
        ChordReturns returns;
        const bool all = chord.all_returned();
        if (all && (added || chord.completed_by.empty())) chord.completed_by = task_id;
        returns.complete = all && chord.completed_by == task_id;
        if (!returns.complete) return returns;
        chord.seen.reset();
        return returns_of(chord, options);
    }

    Result<ChordReturns> take_chord(const std::string& group_id, std::string taker,
                                    std::optional<std::int64_t> returned,
                                    const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        const auto found = chords_.find(group_id);
        if (found == chords_.end()) return ChordReturns{};
        Chord& chord = found->second;
        const auto count = static_cast<std::int64_t>(chord.parts.size());
        const bool as_seen = chord.seen == chord.parts.size() && returned == count;
        if (chord.all_returned() && (!returned || as_seen)) {
            chord.completed_by = std::move(taker);
            return returns_of(chord, options);
        }
        ChordReturns returns;
        for (const auto& [task_id, part] : chord.parts) {
            returns.parts.push_back({group_id, part.index, task_id, {}, {}});
        }
        return returns;
    }

    std::vector<UnfinishedChord> look_at_chords(const ChordLook& look, TimePoint now,
                                                const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        forget_expired_chords(now);
        std::vector<UnfinishedChord> found;
        for (auto& [group_id, chord] : chords_) {
            if (found.size() == look.most) break;
            if (chord.watch.is_null() || chord.look_at > now) continue;
            if (chord.seen != chord.parts.size()) {
                chord.seen = chord.parts.size();
                chord.quiet_since = now;
            }
            const auto quiet =
                std::chrono::duration_cast<std::chrono::milliseconds>(now - chord.quiet_since);
            chord.look_at = now + next_look(look, quiet);
            const bool keeps = quiet < kChordKeptMost && options.result_expires.count() > 0;
            if (keeps) chord.expires_at = expiry(now, options);
            const bool keep_results = keeps && now - chord.kept >= options.result_expires / 4;
            if (keep_results) chord.kept = now;
            if (quiet < look.quiet && !keep_results) continue;
            found.push_back({group_id, chord.watch, chord.size,
                             static_cast<std::int64_t>(chord.parts.size()), quiet, keep_results});
        }
        return found;
    }

    void keep(const std::vector<std::string>& task_ids, TimePoint now,
              const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        for (const std::string& task_id : task_ids) {
            const auto found = find(task_id, now);
            if (found == records_.end()) continue;
            expiries_.erase(found->second.expiry);
            found->second.expiry = expiries_.emplace(expiry(now, options), task_id);
        }
    }

    std::optional<Json> chord_watch(const std::string& group_id, TimePoint now) {
        const std::lock_guard lock{mutex_};
        const auto chord = chords_.find(group_id);
        if (chord != chords_.end() && !chord->second.watch.is_null()) return chord->second.watch;
        const auto over = find(over_id(group_id), now);
        if (over == records_.end()) return std::nullopt;
        return Json::raw(*over->second.text);
    }

    void end_chord(const std::string& group_id, TimePoint now,
                   const MemoryResultsOptions& options) {
        const std::lock_guard lock{mutex_};
        const auto found = chords_.find(group_id);
        if (found == chords_.end()) return;
        const Json watch = std::move(found->second.watch);
        erase(found);
        if (watch.is_null()) return;
        auto text = std::make_shared<const std::string>(to_json_text(watch));
        const std::string id = over_id(group_id);
        if (const auto old = records_.find(id); old != records_.end()) erase(old);
        if (!make_room(size_of(id, text), now, options)) return;
        insert(id, Record{{}, std::move(text), {}}, expiry(now, options));
    }

    detail::Announcer announcer;

private:
    using ExpiryQueue = std::multimap<TimePoint, std::string>;

    struct Record {
        std::string status;
        RecordText text;  ///< nullptr: only the sent-marker.
        ExpiryQueue::iterator expiry;
    };
    using RecordMap = std::unordered_map<std::string, Record>;
    struct Chord {
        std::optional<std::int64_t> size;
        Json structure;
        Json watch;
        std::map<std::string, ChordPart> parts;  ///< by task id
        std::set<std::string> added;             ///< parts beyond `size`
        std::string completed_by;                ///< the task whose return completed it
        std::size_t bytes = 0;                   ///< what it counts for; grows only
        TimePoint expires_at;
        // What sweepers have seen.
        std::optional<std::size_t> seen;
        TimePoint quiet_since;
        TimePoint look_at;
        TimePoint kept;  ///< when the results of its parts were last made to stay

        [[nodiscard]] bool all_returned() const {
            return size && std::cmp_greater_equal(parts.size(), *size + std::ssize(added));
        }
    };
    using ChordMap = std::map<std::string, Chord>;

    /// Everything of a chord that is complete.
    static Result<ChordReturns> returns_of(const Chord& chord,
                                           const MemoryResultsOptions& options) {
        ChordReturns returns;
        returns.complete = true;
        std::size_t together = 0;
        for (const auto& [task_id, one] : chord.parts) {
            together += to_json_text(one.result).size();
            returns.parts.push_back(one);
        }
        if (together > options.result_bytes_max) {
            return fail(
                Errc::too_large,
                fmt::format("the results of chord '{}' are {} bytes; the limit is {}",
                            returns.parts.front().group_id, together, options.result_bytes_max));
        }
        std::ranges::sort(returns.parts, {}, [](const ChordPart& one) {
            const auto at = one.index.value_or(std::numeric_limits<std::int64_t>::max());
            return std::pair{at, one.task_id};
        });
        returns.structure = chord.structure;
        return returns;
    }

    /// Under which name that is kept which was noted of a chord that is over; no task's id.
    static std::string over_id(const std::string& group_id) { return "chord/" + group_id; }
    static TimePoint expiry(TimePoint now, const MemoryResultsOptions& options) {
        if (options.result_expires.count() == 0) return TimePoint::max();
        constexpr std::chrono::milliseconds kLongest = std::chrono::years{100};
        return now + std::min(options.result_expires, kLongest);
    }
    static std::size_t size_of(const std::string& task_id, const RecordText& text) {
        constexpr std::size_t kOverhead =
            256;  // Nodes of both maps, the id twice, the control block.
        return kOverhead + task_id.size() + (text ? text->size() : 0);
    }

    void insert(const std::string& task_id, Record record, TimePoint expires_at) {
        bytes_ += size_of(task_id, record.text);
        record.expiry = expiries_.emplace(expires_at, task_id);
        records_.emplace(task_id, std::move(record));
    }
    void erase(RecordMap::iterator place) {
        bytes_ -= size_of(place->first, place->second.text);
        expiries_.erase(place->second.expiry);
        records_.erase(place);
    }
    void erase(ChordMap::iterator place) {
        bytes_ -= place->second.bytes;
        chords_.erase(place);
    }
    void account(Chord& chord, std::size_t bytes) {
        chord.bytes += bytes;
        bytes_ += bytes;
    }
    /// The chord, made when it is not there, and not to expire for now.
    Chord& touch_chord(const std::string& group_id, TimePoint now,
                       const MemoryResultsOptions& options) {
        forget_expired_chords(now);
        Chord& chord = chords_[group_id];
        chord.expires_at = expiry(now, options);
        if (chord.kept == TimePoint{}) chord.kept = now;
        return chord;
    }
    /// There are few: most are ended soon.
    void forget_expired_chords(TimePoint now) {
        std::erase_if(chords_, [&](const auto& one) {
            if (one.second.expires_at > now) return false;
            bytes_ -= one.second.bytes;
            return true;
        });
    }
    /// What is there and has not expired.
    RecordMap::iterator find(const std::string& task_id, TimePoint now) {
        const auto found = records_.find(task_id);
        if (found == records_.end() || found->second.expiry->first > now) return found;
        erase(found);
        return records_.end();
    }
    /// Removes at most `most` expired records, so that no single call stalls.
    void sweep(TimePoint now, std::size_t most) {
        while (most-- > 0 && !expiries_.empty() && expiries_.begin()->first <= now) {
            erase(records_.find(expiries_.begin()->second));
        }
    }
    Result<void> make_room(std::size_t bytes, TimePoint now, const MemoryResultsOptions& options) {
        if (bytes_ + bytes > options.total_bytes_max) sweep(now, records_.size());
        if (bytes_ + bytes <= options.total_bytes_max) return {};
        return fail(Errc::unavailable,
                    fmt::format("the in-memory result store holds {} of at most {} bytes; {} more "
                                "do not fit",
                                bytes_, options.total_bytes_max, bytes));
    }

    static constexpr std::size_t kSweepMost = 32;

    std::mutex mutex_;
    RecordMap records_;
    ExpiryQueue expiries_;
    ChordMap chords_;
    std::size_t bytes_ = 0;
};

class MemoryResults final : public ResultBackend {
public:
    MemoryResults(Executor executor, std::string name, MemoryResultsOptions options)
        : executor_{std::move(executor)},
          name_{std::move(name)},
          options_{std::move(options)},
          waiters_{std::make_shared<detail::Waiters>(executor_)} {
        static detail::SharedByName<Records> by_name;
        records_ = by_name.get(name_, [] { return std::make_shared<Records>(); });
    }
    ~MemoryResults() override { disconnect(); }

    Awaitable<Result<void>> connect(Deadline) override {
        if (!connected_) {
            connected_ = true;
            records_->announcer.add(executor_, waiters_);
        }
        co_return Result<void>{};
    }

    Awaitable<void> close(Deadline) override {
        disconnect();
        co_return;
    }

    Awaitable<Result<StoreOutcome>> store(TaskMeta meta, Deadline) override {
        if (!connected_) co_return not_connected();
        auto text = std::make_shared<const std::string>(meta.to_json());
        if (text->size() > options_.result_bytes_max) {
            co_return fail(Errc::too_large,
                           fmt::format("the record of task '{}' is {} bytes; the limit is {}",
                                       meta.task_id, text->size(), options_.result_bytes_max));
        }
        const auto outcome =
            records_->store(meta.task_id, meta.status, text, options_.now(), options_);
        if (outcome == StoreOutcome::stored && meta.ready()) {
            records_->announcer.announce(meta.task_id, text);
        }
        co_return outcome;
    }

    Awaitable<Result<std::optional<TaskMeta>>> get(std::string task_id, Deadline) override {
        if (!connected_) co_return not_connected();
        const RecordText text = records_->get(task_id, options_.now());
        if (!text) co_return std::optional<TaskMeta>{};
        co_return TaskMeta::from_json(*text);
    }

    Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) override {
        if (!connected_) co_return not_connected();
        detail::Waiters::Ticket ticket{waiters_, task_id};
        if (const RecordText text = records_->get(task_id, options_.now())) {
            auto meta = TaskMeta::from_json(*text);
            if (!meta || meta->ready()) co_return meta;
        }
        const Result<RecordText> arrived = co_await ticket.arrived(deadline);
        if (!arrived) co_return std::unexpected(arrived.error());
        co_return TaskMeta::from_json(**arrived);
    }

    Awaitable<Result<void>> forget(std::string task_id, Deadline) override {
        if (!connected_) co_return not_connected();
        records_->forget(task_id);
        co_return Result<void>{};
    }

    Awaitable<Result<void>> mark_sent(std::string task_id, Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->mark_sent(task_id, options_.now(), options_);
    }

    Awaitable<Result<bool>> is_known(std::string task_id, Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->is_known(task_id, options_.now());
    }

    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->start_chord(chord, options_.now(), options_);
    }

    Awaitable<Result<void>> grow_chord(std::string group_id, std::string part_id,
                                       Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->grow_chord(group_id, std::move(part_id), options_.now(), options_);
    }

    Awaitable<Result<ChordReturns>> add_chord_part(ChordPart part, Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->add_chord_part(std::move(part), options_.now(), options_);
    }

    Awaitable<Result<void>> end_chord(std::string group_id, Deadline) override {
        if (!connected_) co_return not_connected();
        records_->end_chord(group_id, options_.now(), options_);
        co_return Result<void>{};
    }

    Awaitable<Result<std::optional<Json>>> chord_watch(std::string group_id, Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->chord_watch(group_id, options_.now());
    }

    Awaitable<Result<std::vector<UnfinishedChord>>> look_at_chords(ChordLook look,
                                                                   Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->look_at_chords(look, options_.now(), options_);
    }

    Awaitable<Result<ChordReturns>> take_chord(std::string group_id, std::string taker,
                                               std::optional<std::int64_t> returned,
                                               Deadline) override {
        if (!connected_) co_return not_connected();
        co_return records_->take_chord(group_id, std::move(taker), returned, options_);
    }

    Awaitable<Result<void>> keep(std::vector<std::string> task_ids, Deadline) override {
        if (!connected_) co_return not_connected();
        records_->keep(task_ids, options_.now(), options_);
        co_return Result<void>{};
    }

    Awaitable<Result<void>> ping(Deadline) override {
        if (!connected_) co_return not_connected();
        co_return Result<void>{};
    }

    [[nodiscard]] std::string display_url() const override { return "memory://" + name_; }

private:
    [[nodiscard]] std::unexpected<Error> not_connected() const {
        return fail(Errc::disconnected, "result backend memory://" + name_ + " is not connected");
    }
    void disconnect() {
        if (!connected_) return;
        connected_ = false;
        records_->announcer.remove(waiters_.get());
        waiters_->close_all();
    }

    Executor executor_;
    std::string name_;
    MemoryResultsOptions options_;
    std::shared_ptr<detail::Waiters> waiters_;
    std::shared_ptr<Records> records_;
    bool connected_ = false;
};

}  // namespace

std::unique_ptr<ResultBackend> make_memory_results(Executor executor, std::string name,
                                                   MemoryResultsOptions options) {
    return std::make_unique<MemoryResults>(std::move(executor), std::move(name),
                                           std::move(options));
}

}  // namespace lovage
