#include <lovage/results/sqlite/sqlite_results.hpp>

#include <lovage/clients/sqlite/database.hpp>
#include <lovage/results/detail/shared_by_name.hpp>
#include <lovage/results/detail/waiters.hpp>
#include <lovage/results/sqlite/chord_table.hpp>
#include <lovage/results/sqlite/result_table.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace lovage {
namespace {

namespace chord_table = detail::chord_table;
namespace result_table = detail::result_table;
using namespace std::chrono_literals;
using detail::RecordText;
using sqlite::Connection;

constexpr std::string_view kLogger = "results";
constexpr auto kLookAnyway = 2s;

/// When expired records were last looked for; kept beside the writing connection.
struct SweepClock {
    std::uint64_t transaction = 0;
    TimePoint next{};
};

/// Looks for expired records at most once a transaction, and when there were none, at most once a
/// second.
Result<void> sweep_now_and_then(Connection& connection, TimePoint now) {
    auto& clock = connection.attachment<SweepClock>();
    if (clock.transaction == connection.transaction_number() || now < clock.next) return {};
    clock.transaction = connection.transaction_number();
    const std::int64_t before = connection.total_changes();
    auto swept = result_table::sweep(connection, now);
    clock.next = connection.total_changes() == before ? now + 1s : now;
    return swept;
}

struct Stored {
    StoreOutcome outcome;
    std::int64_t seq = 0;
};

/// One store inside the writer's transaction. May run twice.
struct StoreOperation {
    std::string task_id;
    std::string status;
    RecordText json;
    std::optional<TimePoint> expires_at;
    TimePoint now;

    Result<Stored> operator()(Connection& connection) const {
        const auto outcome = result_table::store(
            connection,
            {.task_id = task_id, .status = status, .json = *json, .expires_at = expires_at}, now);
        if (!outcome) return std::unexpected(outcome.error());
        Stored stored{.outcome = *outcome};
        if (*outcome == StoreOutcome::stored) {
            stored.seq = connection.last_insert_id();
        }
        // Also when an earlier record stays: its writer may have been killed before it woke
        // anybody.
        if (states::is_ready(status)) connection.request_wake();
        if (auto swept = sweep_now_and_then(connection, now); !swept) {
            return std::unexpected(swept.error());
        }
        return stored;
    }
};

/// All in one transaction; the first problem ends it, and then none is stored.
Result<std::vector<Stored>> store_all(Connection& connection,
                                      const std::vector<StoreOperation>& operations) {
    std::vector<Stored> all;
    all.reserve(operations.size());
    for (const StoreOperation& operation : operations) {
        auto stored = operation(connection);
        if (!stored) return std::unexpected(std::move(stored.error()));
        all.push_back(*stored);
    }
    return all;
}

/// A task's record, and a `seq` that every later change will exceed.
struct Look {
    std::optional<result_table::StoredRecord> record;
    std::int64_t last_seq = 0;
};

/// Final records of some tasks, as far as they fit into memory at a time.
struct Found {
    std::vector<std::pair<std::string, RecordText>> records;
    std::size_t looked_at = 0;
};

Result<Found> find_ready(Connection& connection, const std::vector<std::string>& task_ids,
                         std::size_t first, TimePoint now) {
    constexpr std::size_t kBytesMost = std::size_t{4} << 20U;
    Found found;
    for (std::size_t bytes = 0; first + found.looked_at < task_ids.size() && bytes < kBytesMost;) {
        const std::string& task_id = task_ids[first + found.looked_at++];
        auto record = result_table::get(connection, task_id, now);
        if (!record) return std::unexpected(record.error());
        if (!*record || !states::is_ready((*record)->status)) continue;
        bytes += (*record)->json.size();
        found.records.emplace_back(task_id,
                                   std::make_shared<const std::string>(std::move((*record)->json)));
    }
    return found;
}

class SqliteResults final : public ResultBackend {
public:
    SqliteResults(Executor executor, SqliteResultsOptions options)
        : executor_{std::move(executor)},
          options_{std::move(options)},
          waiters_{std::make_shared<detail::Waiters>(executor_)} {}

    Awaitable<Result<void>> connect(Deadline deadline) override {
        if (live_) co_return Result<void>{};
        auto live = std::make_unique<Live>(executor_, options_.folder);
        const auto opened = co_await live->session->run(
            [](Connection& connection) { return result_table::last_seq(connection); }, deadline);
        if (!opened) co_return std::unexpected(opened.error());
        if (live_) co_return Result<void>{};  // Somebody else connected meanwhile.
        static detail::SharedByName<detail::Announcer> announcers;
        announcer_ = announcers.get(live->session->database().file().string(),
                                    [] { return std::make_shared<detail::Announcer>(); });
        announcer_->add(executor_, waiters_);
        live_ = std::move(live);
        co_return Result<void>{};
    }

    Awaitable<void> close(Deadline deadline) override {
        if (!live_) co_return;
        const std::unique_ptr<Live> live = std::move(live_);
        announcer_->remove(waiters_.get());
        waiters_->close_all();
        seen_.reset();
        live->scope.request_stop();
        // Operations end in order, so this one waits for all before it; what the deadline leaves
        // over, ends with the session.
        static_cast<void>(
            co_await live->session->run([](Connection&) { return Result<void>{}; }, deadline));
        live->session.reset();
        while (!co_await live->scope.join(Deadline::in(5s))) {
            log::error(kLogger, "{} is slow to close", display_url());
        }
    }

    Awaitable<Result<StoreOutcome>> store(TaskMeta meta, Deadline deadline) override {
        std::vector<TaskMeta> one;
        one.push_back(std::move(meta));
        auto outcomes = co_await store_many(std::move(one), deadline);
        co_return std::move(outcomes.front());
    }

    Awaitable<std::vector<Result<StoreOutcome>>> store_many(std::vector<TaskMeta> metas,
                                                            Deadline deadline) override {
        std::vector<Result<StoreOutcome>> outcomes(metas.size(), StoreOutcome::kept_existing);
        if (!live_) {
            std::ranges::fill(outcomes, Result<StoreOutcome>{not_connected()});
            co_return outcomes;
        }
        const TimePoint now = options_.now();
        const auto operations = std::make_shared<std::vector<StoreOperation>>();
        operations->reserve(metas.size());
        std::vector<std::size_t> places;  // of each operation among the outcomes
        for (std::size_t i = 0; i < metas.size(); ++i) {
            auto json = std::make_shared<const std::string>(metas[i].to_json());
            if (json->size() > options_.result_bytes_max) {
                outcomes[i] = too_large(metas[i].task_id, json->size());
                continue;
            }
            places.push_back(i);
            operations->push_back({std::move(metas[i].task_id), std::move(metas[i].status),
                                   std::move(json), expiry(now), now});
        }
        if (operations->empty()) co_return outcomes;
        const auto announcer = announcer_;
        auto stored = co_await live_->session->run(
            [operations](Connection& connection) { return store_all(connection, *operations); },
            deadline);
        for (std::size_t i = 0; i < places.size(); ++i) {
            if (stored) {
                note_stored(*announcer, (*operations)[i], (*stored)[i]);
                outcomes[places[i]] = (*stored)[i].outcome;
            } else {
                outcomes[places[i]] = std::unexpected(stored.error());
            }
        }
        co_return outcomes;
    }

    Awaitable<Result<std::optional<TaskMeta>>> get(std::string task_id,
                                                   Deadline deadline) override {
        if (!live_) co_return not_connected();
        const auto record = co_await live_->session->run(
            [task_id = std::move(task_id), now = options_.now()](Connection& connection) {
                return result_table::get(connection, task_id, now);
            },
            deadline);
        if (!record) co_return std::unexpected(record.error());
        if (!*record) co_return std::optional<TaskMeta>{};
        co_return TaskMeta::from_json((*record)->json);
    }

    Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) override {
        if (!live_) co_return not_connected();
        if (auto watching = watch(); !watching) co_return std::unexpected(watching.error());
        detail::Waiters::Ticket ticket{waiters_, task_id};
        const auto look = co_await live_->session->run(
            [task_id, now = options_.now()](Connection& connection) {
                return look_at(connection, task_id, now);
            },
            deadline);
        if (!look) co_return std::unexpected(look.error());
        if (!seen_ && live_) {
            seen_ = look->last_seq;
            live_->changed.notify_all();
        }
        if (look->record && states::is_ready(look->record->status)) {
            co_return TaskMeta::from_json(look->record->json);
        }
        const Result<RecordText> arrived = co_await ticket.arrived(deadline);
        if (!arrived) co_return std::unexpected(arrived.error());
        co_return TaskMeta::from_json(**arrived);
    }

    Awaitable<Result<void>> forget(std::string task_id, Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [task_id = std::move(task_id)](Connection& connection) {
                return result_table::forget(connection, task_id);
            },
            deadline);
    }

    Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) override {
        if (!live_) co_return not_connected();
        const TimePoint now = options_.now();
        co_return co_await live_->session->run(
            [task_id = std::move(task_id), now, expires_at = expiry(now)](Connection& connection) {
                auto marked = result_table::mark_sent(connection, task_id, expires_at);
                return marked ? sweep_now_and_then(connection, now) : marked;
            },
            deadline);
    }

    Awaitable<Result<bool>> is_known(std::string task_id, Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [task_id = std::move(task_id), now = options_.now()](Connection& connection) {
                return result_table::is_known(connection, task_id, now);
            },
            deadline);
    }

    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline) override {
        if (!live_) co_return not_connected();
        const TimePoint now = options_.now();
        co_return co_await live_->session->run(
            [chord = std::move(chord), now, expires_at = expiry(now)](Connection& connection) {
                return chord_table::start(connection, chord, expires_at, now);
            },
            deadline);
    }

    Awaitable<Result<std::vector<UnfinishedChord>>> look_at_chords(ChordLook look,
                                                                   Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [look, now = options_.now(),
             expires = options_.result_expires](Connection& connection) {
                return chord_table::look(connection, look, expires, now);
            },
            deadline);
    }

    Awaitable<Result<std::optional<Json>>> chord_watch(std::string group_id,
                                                       Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [group_id = std::move(group_id)](Connection& connection) {
                return chord_table::watch(connection, group_id);
            },
            deadline);
    }

    Awaitable<Result<ChordReturns>> take_chord(std::string group_id, std::string taker,
                                               std::optional<std::int64_t> returned,
                                               Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [group_id = std::move(group_id), taker = std::move(taker), returned,
             bytes_max = options_.result_bytes_max](Connection& connection) {
                return chord_table::take(connection, group_id, taker, returned, bytes_max);
            },
            deadline);
    }

    Awaitable<Result<void>> keep(std::vector<std::string> task_ids, Deadline deadline) override {
        if (!live_) co_return not_connected();
        const TimePoint now = options_.now();
        co_return co_await live_->session->run(
            [task_ids = std::move(task_ids), now,
             expires_at = expiry(now)](Connection& connection) -> Result<void> {
                for (const std::string& task_id : task_ids) {
                    auto kept = result_table::keep(connection, task_id, expires_at, now);
                    if (!kept) return kept;
                }
                return {};
            },
            deadline);
    }

    Awaitable<Result<ChordReturns>> add_chord_part(ChordPart part, Deadline deadline) override {
        if (!live_) co_return not_connected();
        const TimePoint now = options_.now();
        co_return co_await live_->session->run(
            [part = std::move(part), expires_at = expiry(now), now,
             bytes_max = options_.result_bytes_max](Connection& connection) {
                return chord_table::add_part(connection, part, expires_at, now, bytes_max);
            },
            deadline);
    }

    Awaitable<Result<void>> grow_chord(std::string group_id, std::string part_id,
                                       Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [group_id = std::move(group_id), part_id = std::move(part_id),
             expires_at = expiry(options_.now())](Connection& connection) {
                return chord_table::grow(connection, group_id, part_id, expires_at);
            },
            deadline);
    }

    Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline) override {
        if (!live_) co_return not_connected();
        co_return co_await live_->session->run(
            [group_id = std::move(group_id)](Connection& connection) {
                return chord_table::end(connection, group_id);
            },
            deadline);
    }

    Awaitable<Result<void>> ping(Deadline deadline) override {
        if (!live_) co_return not_connected();
        // An empty transaction: the file is there, and nobody holds its lock for long.
        co_return co_await live_->session->run(
            [](Connection& /*connection*/) -> Result<void> { return {}; }, deadline);
    }

    [[nodiscard]] std::string display_url() const override {
        return "sqlite:///" + options_.folder.string();
    }

private:
    /// What exists between connect() and close().
    struct Live {
        Live(const Executor& executor, const std::filesystem::path& folder)
            : session{std::in_place,
                      sqlite::Database::open({.file = folder / "results.sqlite3",
                                              .schema = result_table::schema(),
                                              .wake_file = folder / "results.wake"}),
                      executor},
              changed{executor},
              scope{executor} {}

        std::optional<sqlite::Session> session;  ///< Gone first when closing.
        std::unique_ptr<sqlite::FolderWatch> folder_watch;
        Notifier changed;
        TaskScope scope;
    };

    [[nodiscard]] std::unexpected<Error> not_connected() const {
        return fail(Errc::disconnected, "result backend " + display_url() + " is not connected");
    }
    [[nodiscard]] std::unexpected<Error> too_large(const std::string& task_id,
                                                   std::size_t bytes) const {
        return fail(Errc::too_large,
                    fmt::format("the record of task '{}' is {} bytes; the limit is {}", task_id,
                                bytes, options_.result_bytes_max));
    }
    /// Tells this process's waiters. `announcer` is the one of the time of the store: close() may
    /// have come since.
    void note_stored(detail::Announcer& announcer, const StoreOperation& operation,
                     const Stored& stored) {
        if (stored.outcome != StoreOutcome::stored) return;
        if (states::is_ready(operation.status))
            announcer.announce(operation.task_id, operation.json);
        // Nobody wrote in between: what we wrote ourselves need not be read again.
        if (seen_ && stored.seq == *seen_ + 1) seen_ = stored.seq;
    }
    [[nodiscard]] std::optional<TimePoint> expiry(TimePoint now) const {
        if (options_.result_expires.count() == 0) return std::nullopt;
        constexpr std::chrono::milliseconds kLongest = std::chrono::years{100};
        return now + std::min(options_.result_expires, kLongest);
    }

    static Result<Look> look_at(Connection& connection, const std::string& task_id, TimePoint now) {
        auto record = result_table::get(connection, task_id, now);
        if (!record) return std::unexpected(record.error());
        const auto last_seq = result_table::last_seq(connection);
        if (!last_seq) return std::unexpected(last_seq.error());
        return Look{std::move(*record), *last_seq};
    }

    /// Starts to follow what other processes write; a connection on which nobody ever waits does
    /// not.
    Result<void> watch() {
        if (live_->folder_watch) return {};
        auto opened = sqlite::FolderWatch::open(executor_, live_->session->database().wake_file(),
                                                {}, {.woken_by_others = [this] {
                                                    owed_ = true;
                                                    if (live_) live_->changed.notify_all();
                                                }});
        if (!opened) return std::unexpected(opened.error());
        live_->folder_watch = std::move(*opened);
        live_->scope.spawn("results watch", live_->folder_watch->run());
        live_->scope.spawn("results follow", follow(live_.get()));
        return {};
    }

    /// Reads what others wrote whenever something was, as long as somebody waits. Then it also
    /// looks from time to time unasked: whoever stored a record may have been killed before waking
    /// us.
    Awaitable<void> follow(Live* live) {
        while (live_.get() == live) {
            if (!seen_) {
                co_await live->changed.wait();  // The next wait brings a starting point.
                continue;
            }
            if (!owed_) {
                const bool told = co_await live->changed.wait(Deadline::in(kLookAnyway));
                if (!told) owed_ = true;
                continue;
            }
            owed_ = false;
            if (waiters_->idle()) {
                seen_.reset();
                continue;
            }
            const Result<void> delivered = co_await deliver_changes(live);
            if (!delivered && live_.get() == live) {
                log::warning(kLogger, "cannot read new results of {}, trying again: {}",
                             display_url(), delivered.error().message());
                co_await live->changed.wait(Deadline::in(250ms));
                owed_ = true;
            }
        }
    }

    Awaitable<Result<void>> deliver_changes(Live* live) {
        constexpr std::size_t kRowsMost = 1'000;
        const auto changes = co_await live->session->run(
            [since = *seen_](Connection& connection) {
                return result_table::changes_since(connection, since, kRowsMost);
            },
            Deadline::in(30s));
        if (!changes) co_return std::unexpected(changes.error());

        std::vector<std::string> wanted;
        for (const std::string& task_id : changes->ready_ids) {
            if (waiters_->waits_for(task_id)) wanted.push_back(task_id);
        }
        const auto ids = std::make_shared<const std::vector<std::string>>(std::move(wanted));
        for (std::size_t done = 0; done < ids->size();) {
            const auto found = co_await live->session->run(
                [ids, done, now = options_.now()](Connection& connection) {
                    return find_ready(connection, *ids, done, now);
                },
                Deadline::in(30s));
            if (!found) co_return std::unexpected(found.error());
            for (const auto& [task_id, json] : found->records) waiters_->deliver(task_id, json);
            done += found->looked_at;
        }
        // Our own stores may have moved it further meanwhile.
        if (seen_) seen_ = std::max(*seen_, changes->last_seq);
        if (!changes->complete) owed_ = true;
        co_return Result<void>{};
    }

    Executor executor_;
    SqliteResultsOptions options_;
    std::shared_ptr<detail::Waiters> waiters_;
    std::shared_ptr<detail::Announcer> announcer_;
    /// Everything up to this `seq` has been delivered to who waits; nothing while nobody waits.
    std::optional<std::int64_t> seen_;
    bool owed_ = false;  ///< Something was written that has not been looked at.
    std::unique_ptr<Live> live_;
};

}  // namespace

std::unique_ptr<ResultBackend> make_sqlite_results(Executor executor,
                                                   SqliteResultsOptions options) {
    return std::make_unique<SqliteResults>(std::move(executor), std::move(options));
}

}  // namespace lovage
