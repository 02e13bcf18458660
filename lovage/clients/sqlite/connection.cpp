#include <lovage/clients/sqlite/connection.hpp>

#include <lovage/clients/sqlite/files.hpp>

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace lovage::sqlite {

namespace {

/// The write-ahead log is cut back to this size when it is reset.
constexpr std::int64_t kWalBytesMax = std::int64_t{64} << 20U;

struct Advice {
    Errc errc;
    std::string_view text;
};

Advice advice_for(int code) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            return {Errc::unavailable, "the disk is full: free space on its file system"};
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return {Errc::unavailable,
                    "another process holds its write lock for too long: look for one "
                    "that is stopped or busy"};
        case SQLITE_IOERR:
            return {Errc::unavailable, "reading or writing failed: check the disk"};
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return {Errc::unavailable, "it cannot be written: check the rights of file and folder"};
        case SQLITE_CANTOPEN:
            return {Errc::unavailable,
                    "it cannot be opened: check that the folder exists and its rights"};
        case SQLITE_NOMEM:
            return {Errc::unavailable, "out of memory"};
        case SQLITE_CORRUPT:
            return {Errc::malformed, "the file is damaged: restore it from a copy or move it away"};
        case SQLITE_NOTADB:
            return {Errc::malformed,
                    "the file is not a SQLite database: move it away or name another folder"};
        case SQLITE_CONSTRAINT:
            return {Errc::conflict, "a constraint refused the change"};
        case SQLITE_TOOBIG:
            return {Errc::too_large, "a value is larger than SQLite takes"};
        case SQLITE_INTERRUPT:
            return {Errc::cancelled, "interrupted"};
        default:
            return {Errc::internal, "unexpected result"};
    }
}

}  // namespace

Error to_error(int code, std::string_view message, int system_errno,
               const std::filesystem::path& file) {
    const Advice advice = advice_for(code);
    const int base = code & 0xff;
    // SQLite sets the system's number for these only.
    const bool from_system = system_errno != 0 && (base == SQLITE_IOERR ||
                                                   base == SQLITE_CANTOPEN || base == SQLITE_FULL);
    std::string why{advice.text};
    if (base == SQLITE_CANTOPEN && from_system && !remedy(system_errno).empty()) {
        why = fmt::format("it cannot be opened: {}: {}", std::strerror(system_errno),
                          remedy(system_errno));
    } else if (base == SQLITE_READONLY || base == SQLITE_PERM) {
        why += fmt::format(" ({})", remedy(EACCES));
    }
    std::string detail =
        fmt::format("'{}': {} ({}, SQLite code {}", file.string(), why, message, code);
    if (from_system) detail += fmt::format(", {}", std::strerror(system_errno));
    detail += ')';
    return Error{advice.errc, std::move(detail), std::nullopt};
}

// --- Statement -----------------------------------------------------------------------

Statement::Statement(Statement&& other) noexcept
    : connection_{other.connection_},
      handle_{std::exchange(other.handle_, nullptr)},
      on_loan_{std::exchange(other.on_loan_, nullptr)},
      failed_{other.failed_} {}

Statement::~Statement() {
    if (handle_ != nullptr) sqlite3_reset(handle_);
    if (on_loan_ != nullptr) *on_loan_ = false;
}

void Statement::begin_bind(std::size_t count) {
    if (handle_ == nullptr) return;
    LOVAGE_ASSERT(sqlite3_bind_parameter_count(handle_) == static_cast<int>(count));
}

void Statement::bind_at(int index, std::nullptr_t) {
    if (handle_ != nullptr && failed_ == SQLITE_OK) failed_ = sqlite3_bind_null(handle_, index);
}

void Statement::bind_at(int index, std::string_view text) {
    if (handle_ == nullptr || failed_ != SQLITE_OK) return;
    // A null pointer would bind NULL: an empty view may carry one.
    failed_ = sqlite3_bind_text64(handle_, index, text.empty() ? "" : text.data(), text.size(),
                                  SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::bind_at(int index, Blob blob) {
    if (handle_ == nullptr || failed_ != SQLITE_OK) return;
    failed_ = blob.bytes.empty() ? sqlite3_bind_zeroblob(handle_, index, 0)
                                 : sqlite3_bind_blob64(handle_, index, blob.bytes.data(),
                                                       blob.bytes.size(), SQLITE_STATIC);
}

void Statement::bind_at(int index, double value) {
    if (handle_ != nullptr && failed_ == SQLITE_OK) {
        failed_ = sqlite3_bind_double(handle_, index, value);
    }
}

void Statement::bind_integer(int index, std::int64_t value) {
    if (handle_ != nullptr && failed_ == SQLITE_OK) {
        failed_ = sqlite3_bind_int64(handle_, index, value);
    }
}

Result<bool> Statement::step() {
    const int code = failed_ != SQLITE_OK ? failed_ : sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return std::unexpected{connection_->error(code)};
}

Result<std::int64_t> Statement::run() {
    const std::int64_t before = connection_->total_changes();
    while (true) {
        const auto row = step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) break;
    }
    reset();
    return connection_->total_changes() - before;
}

void Statement::reset() noexcept {
    if (handle_ != nullptr) sqlite3_reset(handle_);
}

bool Statement::is_null(int column) const noexcept {
    return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const noexcept {
    return sqlite3_column_int64(handle_, column);
}

double Statement::real(int column) const noexcept {
    return sqlite3_column_double(handle_, column);
}

std::string_view Statement::text(int column) const noexcept {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
    if (data == nullptr) return {};
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

std::string_view Statement::blob(int column) const noexcept {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
    if (data == nullptr) return {};
    return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

// --- Connection ----------------------------------------------------------------------

Result<std::unique_ptr<Connection>> Connection::open(std::filesystem::path file,
                                                     const OpenOptions& options) {
    // mknod creates the file private without opening it: closing a descriptor of a database file
    // would drop the locks that other connections of this process hold on it.
    if (mknod(file.c_str(), S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
        return std::unexpected{to_error(SQLITE_CANTOPEN, "cannot create it", errno, file)};
    }
    std::unique_ptr<Connection> connection{new Connection{std::move(file)}};
    const int code = sqlite3_open_v2(
        connection->file_.c_str(), &connection->handle_,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        nullptr);
    if (code != SQLITE_OK) return std::unexpected{connection->error(code)};
    if (auto done = connection->configure(options); !done) return std::unexpected{done.error()};
    return connection;
}

/// Turns write-ahead logging on. Two processes that open a new file at the same moment both need it
/// for themselves here, and SQLite does not call its busy handler for that (to avoid a deadlock).
int Connection::enter_wal_mode(std::chrono::milliseconds patience) {
    constexpr std::chrono::milliseconds kPause{3};
    const auto limit = std::chrono::steady_clock::now() + patience;
    int code = execute("PRAGMA journal_mode = WAL");
    while ((code & 0xff) == SQLITE_BUSY && std::chrono::steady_clock::now() < limit) {
        std::this_thread::sleep_for(kPause);
        code = execute("PRAGMA journal_mode = WAL");
    }
    return code;
}

Result<void> Connection::configure(const OpenOptions& options) {
    set_busy_timeout(options.busy_timeout);
    if (const int code = enter_wal_mode(options.busy_timeout); code != SQLITE_OK) {
        return std::unexpected{error(code)};
    }
    {
        Statement mode = prepare("PRAGMA journal_mode");
        const auto row = mode.step();
        if (!row) return std::unexpected{row.error()};
        if (mode.text(0) != "wal") {
            return fail(
                Errc::unavailable,
                fmt::format("'{}': its file system cannot share memory between processes, which "
                            "write-ahead logging needs (a network share?): name a local folder",
                            file_.string()));
        }
    }
    // secure_delete (on in Debian) would overwrite every message with zeros when it leaves.
    // Checkpoints are the writer's business, at moments when nobody waits for it.
    auto done = script(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = OFF;"
        "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF");
    if (done) done = set_pragma("cache_size", -static_cast<std::int64_t>(options.cache_kib));
    if (done) done = set_pragma("journal_size_limit", kWalBytesMax);
    sqlite3_wal_hook(
        handle_,
        [](void* self, sqlite3*, const char*, int pages) {
            static_cast<Connection*>(self)->wal_pages_ = pages;
            return SQLITE_OK;
        },
        this);
    return done;
}

Connection::~Connection() {
    for (auto& [text, cached] : statements_) sqlite3_finalize(cached.handle);
    sqlite3_close_v2(handle_);
}

Statement Connection::prepare(Sql sql) {
    Cached& cached = statements_[sql.data()];
    LOVAGE_ASSERT(!cached.on_loan);
    int code = SQLITE_OK;
    if (cached.handle == nullptr) {
        code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size() + 1),
                                  SQLITE_PREPARE_PERSISTENT, &cached.handle, nullptr);
    }
    cached.on_loan = true;
    return Statement{*this, cached.handle, &cached.on_loan, code};
}

Result<void> Connection::script(Sql sql) {
    if (const int code = execute(sql); code != SQLITE_OK) return std::unexpected{error(code)};
    return {};
}

int Connection::execute(Sql sql) noexcept {
    return sqlite3_exec(handle_, sql.data(), nullptr, nullptr, nullptr);
}

Result<void> Connection::set_pragma(Sql name, std::int64_t value) {
    const std::string text = fmt::format("PRAGMA {} = {}", name.data(), value);
    const int code = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return std::unexpected{error(code)};
    return {};
}

void Connection::set_busy_timeout(std::chrono::milliseconds timeout) noexcept {
    sqlite3_busy_timeout(handle_, static_cast<int>(timeout.count()));
}

Error Connection::error(int code) const {
    if ((code & 0xff) == SQLITE_FULL) full_seen_ = true;
    const bool latest = handle_ != nullptr && sqlite3_extended_errcode(handle_) == code;
    return to_error(code, latest ? sqlite3_errmsg(handle_) : sqlite3_errstr(code),
                    handle_ != nullptr ? sqlite3_system_errno(handle_) : 0, file_);
}

std::int64_t Connection::last_insert_id() const noexcept {
    return sqlite3_last_insert_rowid(handle_);
}

std::int64_t Connection::total_changes() const noexcept {
    return sqlite3_total_changes64(handle_);
}

bool Connection::in_transaction() const noexcept {
    return sqlite3_get_autocommit(handle_) == 0;
}

Result<void> Connection::checkpoint(Checkpoint mode) {
    int log_pages = 0;
    int copied_pages = 0;
    const int code = sqlite3_wal_checkpoint_v2(
        handle_, nullptr,
        mode == Checkpoint::passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE,
        &log_pages, &copied_pages);
    if (code != SQLITE_OK) return std::unexpected{error(code)};
    if (log_pages == copied_pages) wal_pages_ = 0;
    return {};
}

// --- migrate -------------------------------------------------------------------------

namespace {

Result<void> upgrade(Connection& connection, const Schema& schema, bool& upgraded) {
    const auto version = connection.integer("PRAGMA user_version");
    if (!version) return std::unexpected{version.error()};
    const auto application = connection.integer("PRAGMA application_id");
    if (!application) return std::unexpected{application.error()};
    const auto tables = connection.integer("SELECT count(*) FROM sqlite_schema");
    if (!tables) return std::unexpected{tables.error()};

    const auto current = static_cast<std::size_t>(std::max<std::int64_t>(version->value_or(0), 0));
    const bool fresh = application->value_or(0) == 0 && current == 0 && tables->value_or(0) == 0;
    if (!fresh && application->value_or(0) != schema.application_id) {
        return fail(
            Errc::malformed,
            fmt::format("'{}' is a SQLite database of another program, not a Lovage {} file: move "
                        "it away or name another folder",
                        connection.file().string(), schema.name));
    }
    if (current > schema.steps.size()) {
        return fail(
            Errc::malformed,
            fmt::format("'{}' has {} schema version {}, this program knows versions up to {}: run "
                        "the newer Lovage that wrote it",
                        connection.file().string(), schema.name, current, schema.steps.size()));
    }
    for (std::size_t step = current; step < schema.steps.size(); ++step) {
        if (auto done = connection.script(schema.steps[step]); !done) return done;
        upgraded = true;
    }
    return {};
}

}  // namespace

Result<void> migrate(Connection& connection, const Schema& schema) {
    LOVAGE_ASSERT(schema.application_id != 0);
    if (auto begun = connection.script("BEGIN IMMEDIATE"); !begun) return begun;
    bool upgraded = false;
    auto done = upgrade(connection, schema, upgraded);
    if (done && upgraded) done = connection.set_pragma("application_id", schema.application_id);
    if (done && upgraded) {
        done =
            connection.set_pragma("user_version", static_cast<std::int64_t>(schema.steps.size()));
    }
    if (done) done = connection.script("COMMIT");
    if (!done && connection.in_transaction()) (void)connection.script("ROLLBACK");
    return done;
}

}  // namespace lovage::sqlite
