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
        const std::size_t structure = to_json_text(start.structure).size();
        if (auto room = make_room(structure, now, options); !room) return room;
        Chord& chord = touch_chord(start.group_id, now, options);
        chord.size = start.size;
        chord.structure = start.structure;
        account(chord, structure);
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
        const bool all =
            chord.size &&
            std::cmp_greater_equal(chord.parts.size(), *chord.size + std::ssize(chord.added));
        if (all && (added || chord.completed_by.empty())) chord.completed_by = task_id;
        returns.complete = all && chord.completed_by == task_id;
        if (!returns.complete) return returns;
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

    void end_chord(const std::string& group_id) {
        const std::lock_guard lock{mutex_};
        if (const auto found = chords_.find(group_id); found != chords_.end()) erase(found);
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
        std::map<std::string, ChordPart> parts;  ///< by task id
        std::set<std::string> added;             ///< parts beyond `size`
        std::string completed_by;                ///< the task whose return completed it
        std::size_t bytes = 0;                   ///< what it counts for; grows only
        TimePoint expires_at;
    };
    using ChordMap = std::map<std::string, Chord>;

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
        // There are few: most are ended soon.
        std::erase_if(chords_, [&](const auto& one) {
            if (one.second.expires_at > now) return false;
            bytes_ -= one.second.bytes;
            return true;
        });
        Chord& chord = chords_[group_id];
        chord.expires_at = expiry(now, options);
        return chord;
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
        records_->end_chord(group_id);
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
