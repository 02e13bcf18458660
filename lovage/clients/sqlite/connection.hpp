#pragma once

#include <lovage/core/error.hpp>

#include <any>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace lovage::sqlite {

/// The text of a statement. Only literals convert to it, so a value can never be pasted into SQL;
/// the literal's address is also what prepared statements are cached under.
class Sql {
public:
    template <std::size_t N>
    consteval Sql(const char (&text)[N]) : text_{text}, size_{N - 1} {}
    [[nodiscard]] constexpr const char* data() const noexcept { return text_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

private:
    const char* text_;
    std::size_t size_;
};

/// Bytes to bind as a BLOB (a plain string_view binds as TEXT).
struct Blob {
    std::string_view bytes;
};

/// What went wrong, as an Error that names the file and says what to do.
/// FULL, IOERR, BUSY, READONLY, CANTOPEN, NOMEM → unavailable; CORRUPT, NOTADB → malformed;
/// CONSTRAINT → conflict; TOOBIG → too_large; INTERRUPT → cancelled; anything else → internal.
/// `code` is an extended result code, `message` SQLite's own words.
[[nodiscard]] Error to_error(int code, std::string_view message, int system_errno,
                             const std::filesystem::path& file);

class Connection;

/// A prepared statement on loan from its connection's cache; the destructor gives it back, reset.
///
/// A text is on loan to one caller at a time. Not thread-safe.
class Statement {
public:
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;
    ~Statement();

    /// Binds every parameter, first to last: integers, bool, double, text, Blob, nullptr, and
    /// std::optional of these. Text and blobs are not copied: they must live until the statement is
    /// reset or destroyed.
    template <class... Values>
    Statement& bind(const Values&... values) {
        begin_bind(sizeof...(Values));
        int index = 0;
        (bind_at(++index, values), ...);
        return *this;
    }

    /// Advances; true: there is a row, false: the end.
    [[nodiscard]] Result<bool> step();
    /// Runs to the end, ignoring rows; returns how many rows were inserted, changed or deleted.
    Result<std::int64_t> run();
    /// Makes it ready for another bind().
    void reset() noexcept;

    // Columns of the current row, from 0. Views live until the next step or reset.
    [[nodiscard]] bool is_null(int column) const noexcept;
    [[nodiscard]] std::int64_t integer(int column) const noexcept;
    [[nodiscard]] double real(int column) const noexcept;
    [[nodiscard]] std::string_view text(int column) const noexcept;
    [[nodiscard]] std::string_view blob(int column) const noexcept;
    [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const noexcept {
        return is_null(column) ? std::nullopt : std::optional{integer(column)};
    }

private:
    friend class Connection;
    Statement(Connection& connection, sqlite3_stmt* handle, bool* on_loan,
              int prepare_code) noexcept
        : connection_{&connection}, handle_{handle}, on_loan_{on_loan}, failed_{prepare_code} {}

    void begin_bind(std::size_t count);
    void bind_at(int index, std::nullptr_t);
    void bind_at(int index, std::string_view text);
    void bind_at(int index, Blob blob);
    void bind_at(int index, double value);
    void bind_integer(int index, std::int64_t value);
    template <std::integral T>
    void bind_at(int index, T value) {
        bind_integer(index, static_cast<std::int64_t>(value));
    }
    template <class T>
    void bind_at(int index, const std::optional<T>& value) {
        value ? bind_at(index, *value) : bind_at(index, nullptr);
    }

    Connection* connection_;
    sqlite3_stmt* handle_;
    bool* on_loan_;
    int failed_;  ///< The first error of prepare or bind; step() reports it.
};

struct OpenOptions {
    /// Waits that long for locks of other processes before unavailable; 0: not at all.
    std::chrono::milliseconds busy_timeout{5000};
    /// Page cache. Small: the kernel caches the file anyway, and idle processes should stay small.
    std::uint32_t cache_kib = 1024;
};

/// One SQLite database file, opened for Lovage: WAL, synchronous FULL, foreign keys on, the
/// write-ahead log cut back to 64 MiB. A file is created with mode 0600.
///
/// One thread at a time (opened without SQLite's own mutexes).
class Connection {
public:
    /// Errors: unavailable (cannot open, locked), malformed (not a database).
    [[nodiscard]] static Result<std::unique_ptr<Connection>> open(std::filesystem::path file,
                                                                  const OpenOptions& options = {});
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// A statement from the cache, prepared on first use. A failure to prepare is reported by
    /// step().
    [[nodiscard]] Statement prepare(Sql sql);
    /// prepare and bind: for statements that return rows. The values must outlive the statement.
    template <class... Values>
    [[nodiscard]] Statement query(Sql sql, const Values&... values) {
        Statement statement = prepare(sql);
        statement.bind(values...);
        return statement;
    }
    /// prepare, bind and run; returns the number of changed rows.
    template <class... Values>
    Result<std::int64_t> run(Sql sql, const Values&... values) {
        return prepare(sql).bind(values...).run();
    }
    /// The first column of the first row as an integer; nothing when there is no row or it is NULL.
    template <class... Values>
    Result<std::optional<std::int64_t>> integer(Sql sql, const Values&... values) {
        Statement statement = prepare(sql);
        const auto row = statement.bind(values...).step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return std::optional<std::int64_t>{};
        return statement.optional_integer(0);
    }
    /// Runs several statements without parameters; not cached.
    Result<void> script(Sql sql);

    [[nodiscard]] std::int64_t last_insert_id() const noexcept;
    /// Rows inserted, changed or deleted since the connection was opened.
    [[nodiscard]] std::int64_t total_changes() const noexcept;
    [[nodiscard]] bool in_transaction() const noexcept;
    /// Grows with every transaction begun by Database: what was read under another number may be
    /// stale.
    [[nodiscard]] std::uint64_t transaction_number() const noexcept { return transaction_number_; }
    [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

    /// Says that other processes and loops should hear of this transaction: once it is committed,
    /// its Database touches its wake file. Forgotten on rollback.
    void request_wake() noexcept { wake_requested_ = true; }

    /// True while the disk is too full to take anything new (DatabaseOptions::reserve_bytes):
    /// operations that add data should refuse, those that remove it go on.
    [[nodiscard]] bool low_on_space() const noexcept { return low_on_space_; }

    /// A value kept beside the connection (a cache of what the file holds), made on first use. One
    /// type a connection.
    template <std::default_initializable T>
    [[nodiscard]] T& attachment() {
        if (!attachment_.has_value()) attachment_.emplace<T>();
        T* const value = std::any_cast<T>(&attachment_);
        LOVAGE_ASSERT(value != nullptr);
        return *value;
    }

    /// Pages in the write-ahead log after the last commit of this connection.
    [[nodiscard]] int wal_pages() const noexcept { return wal_pages_; }
    enum class Checkpoint : std::uint8_t { passive, truncate };
    /// Copies the write-ahead log into the file, as far as readers allow. Never waits for them
    /// (`passive`) or waits as long as the busy timeout (`truncate`).
    Result<void> checkpoint(Checkpoint mode);

private:
    friend class Statement;
    friend class Database;
    friend Result<void> migrate(Connection&, const struct Schema&);
    struct Cached {
        sqlite3_stmt* handle = nullptr;
        bool on_loan = false;
    };

    explicit Connection(std::filesystem::path file) : file_{std::move(file)} {}
    int enter_wal_mode(std::chrono::milliseconds patience);
    Result<void> configure(const OpenOptions& options);
    [[nodiscard]] Error error(int code) const;
    /// Runs one statement without rows or parameters; returns SQLite's extended code.
    int execute(Sql sql) noexcept;
    /// PRAGMAs take no parameters: only a number can be pasted in.
    Result<void> set_pragma(Sql name, std::int64_t value);
    void set_busy_timeout(std::chrono::milliseconds timeout) noexcept;

    std::filesystem::path file_;
    sqlite3* handle_ = nullptr;
    std::unordered_map<const char*, Cached> statements_;
    std::any attachment_;
    std::uint64_t transaction_number_ = 0;
    int wal_pages_ = 0;
    bool wake_requested_ = false;
    bool low_on_space_ = false;
    mutable bool full_seen_ = false;  ///< An error was SQLITE_FULL since Database looked last.
};

/// What a module keeps in its file. `steps[n]` brings version n to version n+1; the number of steps
/// is the version this program knows, kept in the file's `user_version`.
struct Schema {
    std::string_view name;        ///< "broker": for messages.
    std::int32_t application_id;  ///< Marks the file as this module's; never 0.
    std::span<const Sql> steps;   ///< Must outlive the schema's user; normally static.
};

/// Creates or upgrades the tables, in one transaction.
/// Errors: malformed when the file belongs to something else or to a newer Lovage (names file and
/// versions).
Result<void> migrate(Connection& connection, const Schema& schema);

}  // namespace lovage::sqlite
