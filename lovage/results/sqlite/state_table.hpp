#pragma once

#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/core/time.hpp>
#include <lovage/results/state_store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage::detail {

/// The statements behind the SQLite state store; each runs inside the caller's transaction.
///
/// A time to live is kept on two clocks. While the machine that wrote it has not restarted, its
/// time since boot decides, so that setting the wall clock neither ends a lease nor stretches it;
/// after a restart only the wall clock is left to go by.
namespace state_table {

[[nodiscard]] const sqlite::Schema& schema();

struct Moment {
    std::optional<std::string> boot_id;  ///< Nothing when the system does not tell.
    std::chrono::milliseconds since_boot;
    TimePoint wall;
};

[[nodiscard]] Result<std::optional<StateEntry>> get(sqlite::Connection& connection,
                                                    std::string_view key, const Moment& now);
/// Errors: conflict.
[[nodiscard]] Result<std::uint64_t> compare_and_set(sqlite::Connection& connection,
                                                    std::string_view key, std::uint64_t expected,
                                                    std::string_view value,
                                                    std::optional<std::chrono::milliseconds> ttl,
                                                    const Moment& now);
/// Errors: conflict.
[[nodiscard]] Result<void> compare_and_erase(sqlite::Connection& connection, std::string_view key,
                                             std::uint64_t expected, const Moment& now);
[[nodiscard]] Result<std::vector<std::pair<std::string, StateEntry>>> list(
    sqlite::Connection& connection, std::string_view prefix, std::size_t limit, const Moment& now);

}  // namespace state_table
}  // namespace lovage::detail
