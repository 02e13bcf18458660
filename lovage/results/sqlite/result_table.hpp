#pragma once

#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/result_backend.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::detail {

/// The statements behind the SQLite result backend; each runs inside the caller's transaction.
///
/// Every write of a record gives its row a new `seq`, larger than any before it, also after
/// deletions. So "what changed since I last looked" is one range read, however many tasks are
/// waited for.
namespace result_table {

[[nodiscard]] const sqlite::Schema& schema();

/// A record as it is written. The views must live until the call returns.
struct NewRecord {
    std::string_view task_id;
    std::string_view status;
    std::string_view json;
    std::optional<TimePoint> expires_at;  ///< Nothing: kept for good.
};

/// Obeys states::may_replace. One statement for a task's first record, three for a later one.
[[nodiscard]] Result<StoreOutcome> store(sqlite::Connection& connection, const NewRecord& record,
                                         TimePoint now);

struct StoredRecord {
    std::string status;
    std::string json;
};
[[nodiscard]] Result<std::optional<StoredRecord>> get(sqlite::Connection& connection,
                                                      std::string_view task_id, TimePoint now);

/// The record, if there is one, expires then.
[[nodiscard]] Result<void> keep(sqlite::Connection& connection, std::string_view task_id,
                                std::optional<TimePoint> expires_at, TimePoint now);
[[nodiscard]] Result<void> forget(sqlite::Connection& connection, std::string_view task_id);
[[nodiscard]] Result<void> mark_sent(sqlite::Connection& connection, std::string_view task_id,
                                     std::optional<TimePoint> expires_at);
[[nodiscard]] Result<bool> is_known(sqlite::Connection& connection, std::string_view task_id,
                                    TimePoint now);

/// The largest `seq` given so far.
[[nodiscard]] Result<std::int64_t> last_seq(sqlite::Connection& connection);

struct Changes {
    std::vector<std::string> ready_ids;  ///< Tasks whose record became final, oldest first.
    std::int64_t last_seq = 0;           ///< Where the next look starts.
    bool complete = true;                ///< False: `limit` rows were read, there may be more.
};
/// What was written after `seq`; at most `limit` rows are looked at, their records are not read.
[[nodiscard]] Result<Changes> changes_since(sqlite::Connection& connection, std::int64_t seq,
                                            std::size_t limit);

/// Removes expired records and marks: at most 256 rows or about 4 MiB a call, so that no call
/// stalls.
[[nodiscard]] Result<void> sweep(sqlite::Connection& connection, TimePoint now);

}  // namespace result_table
}  // namespace lovage::detail
