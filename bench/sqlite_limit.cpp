// The yardstick for sqlite_tasks: a bare loop that executes the statements a durable "send → run a
// no-op → store its result → ack" cannot do without, in the same batches and on the same two files,
// with nothing around them: no protocol, no routing, no loops, no coroutines. As in Lovage each
// file has one thread, so their syncs overlap.
//
//     sqlite_limit FOLDER [TASKS] [BATCH]      BATCH: tasks sent, claimed and acknowledged in one
//                                              transaction; run.py gives what Lovage's run had
//
// The statements, tables and settings are those of lovage/brokers/sqlite/store*.cpp,
// lovage/results/sqlite/ and lovage/clients/sqlite/; whoever changes them there changes them here.

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr int kCheckpointPages = 2000;

[[noreturn]] void give_up(sqlite3* handle, const char* what) {
    std::fprintf(stderr, "sqlite_limit: %s: %s\n", what, sqlite3_errmsg(handle));
    std::exit(1);
}

class File {
public:
    File(const std::string& path, const char* schema) {
        if (sqlite3_open_v2(path.c_str(), &handle_,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                            nullptr) != SQLITE_OK) {
            give_up(handle_, path.c_str());
        }
        run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
            "PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
            "PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 67108864");
        run(schema);
        sqlite3_wal_hook(
            handle_,
            [](void* self, sqlite3*, const char*, int pages) {
                static_cast<File*>(self)->wal_pages_ = pages;
                return SQLITE_OK;
            },
            this);
        begin_ = prepare("BEGIN IMMEDIATE");
        commit_ = prepare("COMMIT");
    }
    ~File() {
        for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
        sqlite3_close(handle_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    sqlite3_stmt* prepare(const char* sql) {
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) !=
            SQLITE_OK) {
            give_up(handle_, sql);
        }
        statements_.push_back(statement);
        return statement;
    }
    void run(const char* sql) {
        if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
            give_up(handle_, sql);
    }
    /// Runs a bound statement to its end.
    void finish(sqlite3_stmt* statement) {
        int code = sqlite3_step(statement);
        while (code == SQLITE_ROW) code = sqlite3_step(statement);
        if (code != SQLITE_DONE) give_up(handle_, sqlite3_sql(statement));
        sqlite3_reset(statement);
    }
    void begin() { finish(begin_); }
    void commit() {
        finish(commit_);
        if (wal_pages_ < kCheckpointPages) return;
        sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
        wal_pages_ = 0;
    }
    std::int64_t count(const char* sql) {
        sqlite3_stmt* statement = prepare(sql);
        if (sqlite3_step(statement) != SQLITE_ROW) give_up(handle_, sql);
        const std::int64_t value = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        return value;
    }
    [[nodiscard]] std::int64_t last_id() const { return sqlite3_last_insert_rowid(handle_); }

private:
    sqlite3* handle_ = nullptr;
    std::vector<sqlite3_stmt*> statements_;
    sqlite3_stmt* begin_ = nullptr;
    sqlite3_stmt* commit_ = nullptr;
    int wal_pages_ = 0;
};

void bind_text(sqlite3_stmt* statement, int index, const std::string& text) {
    sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

/// A task on its way: the row and what the result needs.
struct Claimed {
    std::int64_t row;
    std::string headers;
    std::string body;
};

/// Hands batches from one thread to the other.
template <class T>
class Handover {
public:
    void put(std::vector<T> items) {
        const std::lock_guard lock{mutex_};
        std::move(items.begin(), items.end(), std::back_inserter(items_));
        changed_.notify_one();
    }
    /// Everything that is there, waiting for something if `wait`.
    std::vector<T> take(bool wait) {
        std::unique_lock lock{mutex_};
        if (wait) changed_.wait(lock, [&] { return !items_.empty(); });
        return std::exchange(items_, {});
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<T> items_;
};

constexpr const char* kBrokerSchema = R"sql(
CREATE TABLE topology(stamp INTEGER NOT NULL, boot_id TEXT NOT NULL) STRICT;
INSERT INTO topology VALUES (1, '');
CREATE TABLE peer(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, tag TEXT NOT NULL,
    boot_id TEXT NOT NULL, lease_until INTEGER NOT NULL) STRICT;
INSERT INTO peer(name, tag, boot_id, lease_until) VALUES ('peer', 'host:1', 'boot', 1);
CREATE TABLE message(
    id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, holder INTEGER NOT NULL, rank INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0, expires_at INTEGER, exchange TEXT NOT NULL, routing_key TEXT NOT NULL,
    content_type TEXT NOT NULL, content_encoding TEXT NOT NULL, correlation_id TEXT NOT NULL, reply_to TEXT NOT NULL,
    priority INTEGER, delivery_mode INTEGER NOT NULL, expiration_ms INTEGER, headers TEXT NOT NULL, body BLOB) STRICT;
CREATE INDEX message_by_holder ON message(holder, queue, rank);
CREATE TABLE large_body(id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TRIGGER message_gone AFTER DELETE ON message WHEN old.body IS NULL BEGIN
    DELETE FROM large_body WHERE id = old.id;
END;
)sql";

constexpr const char* kResultSchema = R"sql(
CREATE TABLE result(seq INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    expires_at INTEGER, meta BLOB NOT NULL) STRICT;
CREATE INDEX result_expiry ON result(expires_at) WHERE expires_at IS NOT NULL;
)sql";

std::string task_id(std::int64_t number) {
    char text[37];
    std::snprintf(text, sizeof(text), "%08x-6f1c-4c1e-9f0a-%012llx",
                  static_cast<unsigned>(number * 2654435761U), static_cast<long long>(number));
    return text;
}

std::string task_headers(const std::string& id) {
    return R"j({"lang": "cpp", "task": "noop", "id": ")j" + id +
           R"j(", "shadow": null, "eta": null, "expires": null, "group": null, )j"
           R"j("group_index": null, "retries": 0, "timelimit": [null, null], "root_id": ")j" +
           id +
           R"j(", "parent_id": null, "argsrepr": "()", "kwargsrepr": "{}", )j"
           R"j("origin": "12345@benchmark-host", "ignore_result": false, )j"
           R"j("replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}})j";
}

std::string task_result(const std::string& id) {
    return R"j({"status": "SUCCESS", "result": null, "traceback": null, "children": [], )j"
           R"j("date_done": "2026-11-21T16:27:00.818150+00:00", "task_id": ")j" +
           id + R"j("})j";
}

class BrokerLoop {
public:
    BrokerLoop(const std::string& folder, std::int64_t tasks, std::int64_t batch)
        : file_{folder + "/broker.sqlite3", kBrokerSchema},
          left_{tasks},
          unacked_{tasks},
          batch_{batch} {}

    void run(Handover<Claimed>& to_run, Handover<std::int64_t>& stored) {
        while (unacked_ > 0) {
            // Waits only when there is nothing else to do.
            const auto done = stored.take(left_ == 0 && ready_ == 0);
            file_.begin();
            file_.finish(stamp_);
            publish();
            auto claimed = claim();
            for (const std::int64_t row : done) {
                sqlite3_bind_int64(ack_, 1, row);
                sqlite3_bind_int64(ack_, 2, 1);
                sqlite3_bind_int64(ack_, 3, 1);
                file_.finish(ack_);
            }
            file_.commit();
            unacked_ -= static_cast<std::int64_t>(done.size());
            if (!claimed.empty()) to_run.put(std::move(claimed));
        }
    }
    std::int64_t messages() { return file_.count("SELECT count(*) FROM message"); }

private:
    void publish() {
        const std::int64_t count = std::min(batch_, left_);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::string id = task_id(left_ - i);
            const std::string headers = task_headers(id);
            const std::string body =
                R"([[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])";
            sqlite3_bind_int64(insert_, 1, 1);
            sqlite3_bind_int64(insert_, 2, 0);
            sqlite3_bind_int64(insert_, 3, 0);
            sqlite3_bind_null(insert_, 4);
            bind_text(insert_, 5, empty_);
            bind_text(insert_, 6, queue_);
            bind_text(insert_, 7, content_type_);
            bind_text(insert_, 8, content_encoding_);
            bind_text(insert_, 9, id);
            bind_text(insert_, 10, empty_);
            sqlite3_bind_null(insert_, 11);
            sqlite3_bind_int64(insert_, 12, 2);
            sqlite3_bind_null(insert_, 13);
            bind_text(insert_, 14, headers);
            sqlite3_bind_blob(insert_, 15, body.data(), static_cast<int>(body.size()),
                              SQLITE_STATIC);
            file_.finish(insert_);
        }
        left_ -= count;
        ready_ += count;
    }

    std::vector<Claimed> claim() {
        std::vector<Claimed> claimed;
        sqlite3_bind_int64(alive_, 1, 1);
        file_.finish(alive_);
        sqlite3_bind_int64(promote_, 1, 0);
        sqlite3_bind_int64(promote_, 2, 1);
        sqlite3_bind_int64(promote_, 3, 1'700'000'000'000);
        file_.finish(promote_);
        sqlite3_bind_int64(ready_ones_, 1, 1);
        sqlite3_bind_int64(ready_ones_, 2, batch_);
        while (sqlite3_step(ready_ones_) == SQLITE_ROW) {
            const auto text = [&](int column) {
                return std::string{
                    static_cast<const char*>(sqlite3_column_blob(ready_ones_, column)),
                    static_cast<std::size_t>(sqlite3_column_bytes(ready_ones_, column))};
            };
            claimed.push_back({sqlite3_column_int64(ready_ones_, 0), text(12), text(13)});
        }
        sqlite3_reset(ready_ones_);
        for (const Claimed& one : claimed) {
            sqlite3_bind_int64(take_, 1, 1);
            sqlite3_bind_int64(take_, 2, one.row);
            file_.finish(take_);
        }
        ready_ -= static_cast<std::int64_t>(claimed.size());
        return claimed;
    }

    File file_;
    std::int64_t left_;
    std::int64_t ready_ = 0;
    std::int64_t unacked_;
    const std::int64_t batch_;
    const std::string empty_;
    const std::string queue_ = "celery";
    const std::string content_type_ = "application/json";
    const std::string content_encoding_ = "utf-8";
    sqlite3_stmt* stamp_ = file_.prepare("SELECT stamp FROM topology");
    sqlite3_stmt* alive_ = file_.prepare("SELECT 1 FROM peer WHERE id = ?");
    sqlite3_stmt* insert_ = file_.prepare(
        "INSERT INTO message(queue, holder, rank, expires_at, exchange, routing_key, content_type, "
        "content_encoding, "
        "correlation_id, reply_to, priority, delivery_mode, expiration_ms, headers, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    sqlite3_stmt* promote_ = file_.prepare(
        "UPDATE message SET holder = 0, rank = -min(coalesce(priority, 0), ?) "
        "WHERE holder = -1 AND queue = ? AND rank <= ?");
    sqlite3_stmt* ready_ones_ = file_.prepare(
        "SELECT message.id, deliveries, expires_at, exchange, routing_key, content_type, "
        "content_encoding, "
        "correlation_id, reply_to, priority, delivery_mode, expiration_ms, headers, message.body, "
        "large_body.body "
        "FROM message LEFT JOIN large_body ON message.body IS NULL AND large_body.id = message.id "
        "WHERE holder = 0 AND queue = ? ORDER BY rank, message.id LIMIT ?");
    sqlite3_stmt* take_ = file_.prepare(
        "UPDATE message SET holder = ?, deliveries = deliveries + 1 WHERE id = ? AND holder = 0");
    sqlite3_stmt* ack_ =
        file_.prepare("DELETE FROM message WHERE id = ? AND holder = ? AND queue = ?");
};

class ResultLoop {
public:
    ResultLoop(const std::string& folder, std::int64_t tasks)
        : file_{folder + "/results.sqlite3", kResultSchema}, left_{tasks} {}

    void run(Handover<Claimed>& to_run, Handover<std::int64_t>& stored) {
        while (left_ > 0) {
            const auto tasks = to_run.take(true);
            std::vector<std::int64_t> rows;
            file_.begin();
            for (const Claimed& task : tasks) {
                const std::string id = task.headers.substr(task.headers.find("\"id\": \"") + 7, 36);
                const std::string meta = task_result(id);
                bind_text(insert_, 1, id);
                sqlite3_bind_text(insert_, 2, "SUCCESS", 7, SQLITE_STATIC);
                sqlite3_bind_int64(insert_, 3, 1'800'000'000'000);
                sqlite3_bind_blob(insert_, 4, meta.data(), static_cast<int>(meta.size()),
                                  SQLITE_STATIC);
                file_.finish(insert_);
                rows.push_back(task.row);
            }
            file_.commit();
            left_ -= static_cast<std::int64_t>(tasks.size());
            stored.put(std::move(rows));
        }
    }
    std::int64_t results() { return file_.count("SELECT count(*) FROM result"); }

private:
    File file_;
    std::int64_t left_;
    sqlite3_stmt* insert_ = file_.prepare(
        "INSERT INTO result(task_id, status, expires_at, meta) VALUES(?, ?, ?, ?) ON "
        "CONFLICT(task_id) DO NOTHING");
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: sqlite_limit FOLDER [TASKS] [BATCH]\n");
        return 2;
    }
    const std::string folder = argv[1];
    const std::int64_t tasks = argc > 2 ? std::atoll(argv[2]) : 50'000;
    const std::int64_t batch = argc > 3 ? std::atoll(argv[3]) : 128;
    BrokerLoop broker{folder, tasks, batch};
    ResultLoop results{folder, tasks};
    Handover<Claimed> to_run;
    Handover<std::int64_t> stored;

    const auto begin = std::chrono::steady_clock::now();
    std::thread result_thread{[&] { results.run(to_run, stored); }};
    broker.run(to_run, stored);
    result_thread.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;

    if (broker.messages() != 0 || results.results() != tasks) {
        std::fprintf(stderr, "sqlite_limit: %lld messages left, %lld results of %lld\n",
                     static_cast<long long>(broker.messages()),
                     static_cast<long long>(results.results()), static_cast<long long>(tasks));
        return 1;
    }
    std::printf("{\"tasks\": %lld, \"seconds\": %.6f, \"tasks_per_second\": %.1f}\n",
                static_cast<long long>(tasks), seconds.count(),
                static_cast<double>(tasks) / seconds.count());
    return 0;
}
