#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/clients/sqlite/detail/operation.hpp>
#include <lovage/clients/sqlite/wake_file.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <type_traits>
#include <utility>

namespace lovage::sqlite {

struct DatabaseOptions {
    std::filesystem::path file;  ///< Its folder is made (mode 0700) when missing.
    Schema schema;
    /// Touched after a COMMIT in which an operation called Connection::request_wake(). Empty: none.
    std::filesystem::path wake_file;
    std::size_t batch_operations_max = 512;
    std::chrono::microseconds batch_time_max{2000};  ///< Of work inside one transaction.
    /// Operations waiting; more are refused with unavailable at once (posts are not counted).
    std::size_t queue_max = 65'536;
    /// Disk space kept back in `<file>-reserve` and given up when the disk is full; until it can be
    /// taken back, Connection::low_on_space() tells operations to add nothing. 0: none.
    std::int64_t reserve_bytes = 0;
    /// Pages in the write-ahead log that make the writer copy them into the file.
    int checkpoint_pages = 2000;
};

/// One SQLite file and the one thread that writes it, with group commit.
///
/// Operations come from any number of Sessions (one a loop). What is queued, at most 512 operations
/// or 2 ms of work, runs in the order it was submitted inside one BEGIN IMMEDIATE … COMMIT; nothing
/// waits for company when the thread is idle. Outcomes travel to each loop in one post a batch,
/// after the COMMIT.
///
/// The hot path pays nothing for isolation between operations: when one fails after it has changed
/// rows, or the COMMIT finds the disk full, the batch is rolled back and its operations run again,
/// each in its own transaction, so each gets its own truthful outcome. Operations therefore check
/// before they write, and must be safe to run twice.
///
/// Several processes share the file: a writer that waits announces it on `<file>-turn`, and a busy
/// writer steps aside between two batches when it sees that.
///
/// When the file is removed or replaced under the program, every operation fails with unavailable:
/// what is written into a file without a name is lost.
///
/// Thread-safe.
class Database {
public:
    /// The database of this file in this process; the first caller's options hold. Opens on the
    /// writer's thread: problems are reported by the operations (and tried again by the next).
    [[nodiscard]] static std::shared_ptr<Database> open(DatabaseOptions options);
    /// Runs what is still queued, then joins the thread.
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    [[nodiscard]] const std::filesystem::path& file() const noexcept;
    /// The wake file of the options; null before the first operation has succeeded, or when there
    /// is none.
    [[nodiscard]] std::shared_ptr<WakeFile> wake_file() const;

    struct Counters {
        std::uint64_t operations = 0;
        std::uint64_t commits = 0;    ///< Transactions committed.
        std::uint64_t isolated = 0;   ///< Batches that had to be run again one by one.
        std::uint64_t contended = 0;  ///< Transactions that had to wait for another process.
    };
    [[nodiscard]] Counters counters() const noexcept;

private:
    friend class Session;
    struct Impl;
    explicit Database(DatabaseOptions options);
    /// False when the queue is full.
    bool enqueue(detail::Operation* operation);
    std::unique_ptr<Impl> impl_;
};

/// One loop's door to a Database. Belongs to the executor's loop; not thread-safe.
///
/// An operation is a function `Result<T>(Connection&)`. It runs on the writer's thread, so it owns
/// what it uses, and it may run twice (see Database). Returning an error before having changed rows
/// is cheap.
class Session {
public:
    Session(std::shared_ptr<Database> database, const Executor& executor);
    /// Waiting callers get Errc::closed; operations that were not started do not run, except posts.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Runs `op` and waits for its COMMIT.
    /// Errors: the operation's own; deadline_exceeded: it was not started and will not be;
    /// unknown_outcome: it was, and the COMMIT was not over at the deadline; unavailable: disk
    /// full, file locked, queue full. Cancellation: ignored; it ends by completion or deadline.
    /// Lifetime: `*this` must outlive the returned Awaitable's start.
    template <class F>
    [[nodiscard]] Awaitable<std::invoke_result_t<F&, Connection&>> run(F op, Deadline deadline) {
        using R = std::invoke_result_t<F&, Connection&>;
        return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(R)>(
            Initiate{this}, boost::asio::use_awaitable, std::move(op), deadline);
    }

    /// For operations that must neither be refused nor withdrawn: they are run even when the
    /// session is gone (their outcome is dropped then).
    [[nodiscard]] static Deadline never();

    /// run() for callers that are not coroutines: `done(Result<T>)` is called later, on the loop,
    /// exactly once.
    template <class F, class Done>
    void submit(F op, Deadline deadline, Done done) {
        using Op = detail::TypedOperation<F, Done>;
        auto* operation = new Op{state_, deadline.time(), std::move(op), std::move(done)};
        start(operation);
    }

    /// Runs `op` some time; flush() tells how it went. Never refused, never dropped.
    template <class F>
    void post(F op) {
        submit(std::move(op), never(), detail::RememberError{state_.get()});
    }

    /// Waits until everything posted here before is committed.
    /// Errors: the first error of an operation posted since the last flush; those of run().
    [[nodiscard]] Awaitable<Result<void>> flush(Deadline deadline);

    [[nodiscard]] Database& database() noexcept { return *database_; }
    [[nodiscard]] Executor executor() const;
    /// Operations whose outcome has not arrived.
    [[nodiscard]] std::size_t outstanding() const noexcept;

private:
    struct Initiate {
        Session* session;
        template <class Handler, class F>
        void operator()(Handler handler, F op, Deadline deadline) const {
            session->submit(std::move(op), deadline, std::move(handler));
        }
    };
    void start(detail::Operation* operation);

    std::shared_ptr<Database> database_;
    std::shared_ptr<detail::SessionState> state_;
};

}  // namespace lovage::sqlite
