#include <lovage/clients/sqlite/database.hpp>

#include <lovage/clients/sqlite/detail/presence.hpp>
#include <lovage/clients/sqlite/detail/reserve.hpp>
#include <lovage/clients/sqlite/detail/turn.hpp>
#include <lovage/clients/sqlite/files.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>

namespace lovage::sqlite {

namespace asio = boost::asio;
using detail::Operation;
using detail::Phase;
using detail::SessionState;
using Clock = Deadline::Clock;

namespace {

/// Above this many pages (64 MiB of 4 KiB) the log is cut back even if that means waiting for
/// readers.
constexpr int kWalPagesMax = 16'384;
/// With little disk space left the log is copied back sooner and its space given back.
constexpr int kWalPagesLow = 200;
constexpr std::int64_t kPageBytes = 4096;
/// How long the last operations may wait for another process's lock when the database is being
/// closed.
constexpr std::chrono::seconds kStopPatience{5};

}  // namespace

struct Database::Impl {
    explicit Impl(DatabaseOptions given) : options{std::move(given)} {
        batch.reserve(options.batch_operations_max);
    }

    const DatabaseOptions options;

    std::mutex mutex;
    std::condition_variable wake;
    Operation* first = nullptr;
    Operation* last = nullptr;
    std::size_t queued = 0;
    bool sleeping = false;
    bool stopping = false;
    Clock::time_point stop_limit = Clock::time_point::max();
    std::shared_ptr<WakeFile> shared_wake_file;

    std::atomic<std::uint64_t> operations{0};
    std::atomic<std::uint64_t> commits{0};
    std::atomic<std::uint64_t> isolated{0};
    std::atomic<std::uint64_t> contended{0};

    // The writer thread's own.
    std::unique_ptr<Connection> connection;
    std::shared_ptr<WakeFile> wake_file;
    detail::Turn turn;
    detail::Reserve reserve;
    detail::Presence presence;
    std::vector<Operation*> batch;
    std::vector<std::pair<SessionState*, detail::Finished>> finished;
    std::thread thread;

    void loop();
    bool take_batch();
    [[nodiscard]] bool must_stop_waiting();
    Result<void> ensure_open();
    Result<void> open_files();
    std::size_t transact(std::span<Operation*> operations);
    void isolate(std::span<Operation*> operations);
    void run_alone(Operation& operation);
    Result<void> begin(std::span<Operation*> waiting);
    Result<void> commit();
    /// True when that freed disk space, so that another attempt may succeed.
    bool rollback();
    void deliver();
    void maintain();
};

namespace {

/// The error of a failed COMMIT: the disk was full before the end was written, so nothing is
/// stored; after any other failure the end may be on the disk and come back when the log is
/// recovered.
Error commit_error(int code, Error error) {
    const int base = code & 0xff;
    if (base == SQLITE_IOERR) {
        error.code = Errc::unknown_outcome;
        error.detail = "the COMMIT may or may not be on the disk: " + error.detail;
    }
    return error;
}

bool somebody_waits(std::span<Operation*> operations) {
    return std::ranges::any_of(operations, [](const Operation* operation) {
        return operation->phase() != Phase::abandoned;
    });
}

}  // namespace

// --- the writer's thread -------------------------------------------------------------

void Database::Impl::loop() {
    while (take_batch()) {
        const std::span<Operation*> all{batch};
        for (std::size_t done = 0; done < all.size();) done += transact(all.subspan(done));
        deliver();
        maintain();
    }
    connection.reset();
}

bool Database::Impl::take_batch() {
    batch.clear();
    std::unique_lock lock{mutex};
    while (first == nullptr) {
        if (stopping) return false;
        sleeping = true;
        wake.wait(lock);
        sleeping = false;
    }
    while (first != nullptr && batch.size() < options.batch_operations_max) {
        batch.push_back(first);
        first = first->next;
    }
    if (first == nullptr) last = nullptr;
    queued -= batch.size();
    return true;
}

bool Database::Impl::must_stop_waiting() {
    const std::lock_guard lock{mutex};
    return stopping && Clock::now() >= stop_limit;
}

Result<void> Database::Impl::ensure_open() {
    // Also before opening again: that would make an empty file in the place of the one removed.
    if (auto present = presence.check(); !present) return present;
    if (connection) return {};
    auto opened = open_files();
    if (opened) {
        presence.remember(options.file);
    } else {
        connection.reset();
    }
    return opened;
}

Result<void> Database::Impl::open_files() {
    if (const auto folder = options.file.parent_path(); !folder.empty()) {
        if (auto made = make_private_folder(folder); !made) return made;
    }
    if (!options.wake_file.empty() && !wake_file) {
        auto opened = WakeFile::open(options.wake_file);
        if (!opened) return std::unexpected{std::move(opened.error())};
        wake_file = std::move(*opened);
        const std::lock_guard lock{mutex};
        shared_wake_file = wake_file;
    }
    auto opened = Connection::open(options.file);
    if (!opened) return std::unexpected{std::move(opened.error())};
    connection = std::move(*opened);
    if (auto done = migrate(*connection, options.schema); !done) return done;
    if (auto done = turn.open(options.file); !done) return done;
    if (auto done = reserve.open(options.file, options.reserve_bytes); !done) return done;
    connection->set_busy_timeout(std::chrono::milliseconds{0});  // begin() waits by itself
    return {};
}

/// One transaction with as many of `pending`, from the first, as fit the time; returns how many are
/// over.
std::size_t Database::Impl::transact(std::span<Operation*> pending) {
    auto begun = ensure_open();
    if (begun) begun = begin(pending);
    if (!begun) {
        for (Operation* operation : pending) {
            if (operation->move_phase(Phase::queued, Phase::running)) {
                operation->set_error(begun.error());
            }
        }
        return pending.size();
    }
    auto now = Clock::now();
    const auto limit = now + options.batch_time_max;
    std::size_t taken = 0;
    while (taken < pending.size() && now < limit) {
        Operation& operation = *pending[taken++];
        if (operation.deadline() <= now) continue;  // its loop withdraws it
        if (!operation.move_phase(Phase::queued, Phase::running)) continue;  // withdrawn
        const std::int64_t changes = connection->total_changes();
        const bool succeeded = operation.execute(*connection);
        const bool lost_transaction = !connection->in_transaction();
        if (lost_transaction || (!succeeded && connection->total_changes() != changes)) {
            (void)rollback();
            isolate(pending.first(taken));
            return taken;
        }
        now = Clock::now();
    }
    if (auto committed = commit(); !committed) {
        const bool freed = rollback();
        if (committed.error().code == Errc::unavailable && (taken > 1 || freed)) {
            isolate(pending.first(taken));  // some may be small enough, or free space
            return taken;
        }
        for (Operation* operation : pending.first(taken)) {
            if (operation->phase() == Phase::running) operation->set_error(committed.error());
        }
    }
    return taken;
}

void Database::Impl::isolate(std::span<Operation*> started) {
    isolated.fetch_add(1, std::memory_order_relaxed);
    for (Operation* operation : started) {
        if (operation->phase() == Phase::running) run_alone(*operation);
    }
}

void Database::Impl::run_alone(Operation& operation) {
    if (auto opened = ensure_open(); !opened) {
        operation.set_error(opened.error());
        return;
    }
    Operation* self = &operation;
    if (auto begun = begin({&self, 1}); !begun) {
        operation.set_error(begun.error());
        return;
    }
    if (!operation.execute(*connection)) {
        (void)rollback();
        return;
    }
    // An operation must not end its transaction, nor hide that it was lost.
    if (!connection->in_transaction()) {
        operation.set_error(
            Error{Errc::internal, "an operation lost its transaction", std::nullopt});
        return;
    }
    if (auto committed = commit(); !committed) {
        (void)rollback();
        operation.set_error(committed.error());
    }
}

Result<void> Database::Impl::begin(std::span<Operation*> waiting) {
    int code = connection->execute("BEGIN IMMEDIATE");
    if ((code & 0xff) == SQLITE_BUSY) {
        contended.fetch_add(1, std::memory_order_relaxed);
        const detail::Turn::Waiting announcement{turn};
        detail::Turn::Backoff backoff;
        while ((code & 0xff) == SQLITE_BUSY && somebody_waits(waiting) && !must_stop_waiting()) {
            backoff.sleep();
            code = connection->execute("BEGIN IMMEDIATE");
        }
    }
    if (code != SQLITE_OK) return std::unexpected{connection->error(code)};
    ++connection->transaction_number_;
    connection->wake_requested_ = false;
    connection->low_on_space_ = reserve.low();
    return {};
}

Result<void> Database::Impl::commit() {
    const int code = connection->execute("COMMIT");
    if (code != SQLITE_OK) return std::unexpected{commit_error(code, connection->error(code))};
    commits.fetch_add(1, std::memory_order_relaxed);
    if (connection->wake_requested_ && wake_file) wake_file->touch();
    return {};
}

bool Database::Impl::rollback() {
    if (connection->in_transaction()) (void)connection->execute("ROLLBACK");
    const bool full = std::exchange(connection->full_seen_, false);
    // A connection that cannot even roll back is thrown away; the next batch opens another.
    if (connection->in_transaction()) connection.reset();
    return full && reserve.release();
}

void Database::Impl::deliver() {
    operations.fetch_add(batch.size(), std::memory_order_relaxed);
    for (Operation* operation : batch) {
        if (!operation->move_phase(Phase::running, Phase::done)) continue;
        auto entry = std::ranges::find(finished, &operation->session(),
                                       [](const auto& e) { return e.first; });
        if (entry == finished.end()) {
            entry = finished.insert(finished.end(), {&operation->session(), {}});
        }
        entry->second.add(operation);
    }
    // The writer's references, given back below, keep the sessions alive until then.
    for (auto& [session, chain] : finished) session->deliver(chain);
    finished.clear();
    for (Operation* operation : batch) operation->release();
}

/// After the outcomes are out: keeps the log short, and lets other processes in.
void Database::Impl::maintain() {
    if (!connection) return;
    const int pages = connection->wal_pages();
    if (pages >= kWalPagesMax || (reserve.low() && pages >= kWalPagesLow)) {
        (void)connection->checkpoint(Connection::Checkpoint::truncate);
    } else if (pages >= options.checkpoint_pages) {
        (void)connection->checkpoint(Connection::Checkpoint::passive);
    }
    if (reserve.is_missing()) {
        const auto free_pages = connection->integer("PRAGMA freelist_count");
        reserve.refresh(free_pages ? free_pages->value_or(0) * kPageBytes : 0);
    } else {
        reserve.note_present();
    }
    turn.yield_to_waiting();
}

// --- Database ------------------------------------------------------------------------

std::shared_ptr<Database> Database::open(DatabaseOptions options) {
    static std::mutex mutex;
    static std::map<std::filesystem::path, std::weak_ptr<Database>> open_files;

    options.file = real_path(options.file);
    const std::lock_guard lock{mutex};
    auto& entry = open_files[options.file];
    if (auto existing = entry.lock()) return existing;
    std::shared_ptr<Database> database{new Database{std::move(options)}};
    entry = database;
    return database;
}

Database::Database(DatabaseOptions options) : impl_{std::make_unique<Impl>(std::move(options))} {
    impl_->thread = std::thread{[impl = impl_.get()] {
        pthread_setname_np(pthread_self(), "lovage-sqlite");
        impl->loop();
    }};
}

Database::~Database() {
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->stopping = true;
        impl_->stop_limit = Clock::now() + kStopPatience;
        impl_->wake.notify_one();
    }
    impl_->thread.join();
}

const std::filesystem::path& Database::file() const noexcept {
    return impl_->options.file;
}

std::shared_ptr<WakeFile> Database::wake_file() const {
    const std::lock_guard lock{impl_->mutex};
    return impl_->shared_wake_file;
}

Database::Counters Database::counters() const noexcept {
    constexpr auto relaxed = std::memory_order_relaxed;
    return {.operations = impl_->operations.load(relaxed),
            .commits = impl_->commits.load(relaxed),
            .isolated = impl_->isolated.load(relaxed),
            .contended = impl_->contended.load(relaxed)};
}

bool Database::enqueue(Operation* operation) {
    bool must_wake = false;
    {
        const std::lock_guard lock{impl_->mutex};
        if (impl_->queued >= impl_->options.queue_max && operation->has_deadline()) return false;
        (impl_->last != nullptr ? impl_->last->next : impl_->first) = operation;
        impl_->last = operation;
        ++impl_->queued;
        must_wake = std::exchange(impl_->sleeping, false);
    }
    if (must_wake) impl_->wake.notify_one();
    return true;
}

}  // namespace lovage::sqlite
