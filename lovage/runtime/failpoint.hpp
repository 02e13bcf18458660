#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Places in the code where a test makes the process die, stop or fail, and safety lines that a
/// test leaves out to see itself fail.
///
/// Nothing happens at them unless the program has installed what shall happen: only test programs
/// do (tests/support/failpoints.hpp). In every other one a place costs one load and a branch, and
/// no variable of the environment can arm it.
namespace lovage::failpoint {

/// The arrows of the delivery contract, in the order of a task's way. In parentheses the clauses
/// whose moment it is.
enum class Point : std::uint8_t {
    send_begins,        ///< Nothing of the message is written (C01).
    send_unconfirmed,   ///< It is with the broker, and not confirmed: not committed (C02).
    send_confirmed,     ///< The broker has it; the caller does not know (C03).
    worker_received,    ///< Deliveries are here, and nothing has started (C09).
    slot_before_task,   ///< In the slot (C10, C15).
    slot_after_task,    ///< In the slot: the effect is there, nobody knows (C11, C15).
    follow_ups_unsent,  ///< The outcome is in the worker; what follows it is to be sent (C11).
    follow_ups_sent,    ///< … is confirmed (C12).
    result_unstored,    ///< The outcome of a task that nothing follows is in the worker.
    result_stored,      ///< … and in the backend, and the message not acknowledged (C13).
    part_uncounted,     ///< The result of a chord's part is stored, its return not counted (C46).
    part_counted,       ///< … is counted; a body is not sent yet (C46).
    acknowledged,       ///< The ack is given to the consumer, which may not have written it (C14).
    again_unsent,       ///< A retry, or the message of a crashed slot, is to be sent (C15).
    again_sent,         ///< … was confirmed; the first one is not acknowledged (C15).
    quarantine_unsent,  ///< A message is to be kept in quarantine (C17, C36).
    quarantine_sent,    ///< … is kept; the first one is not acknowledged (C17, C36).
};
inline constexpr std::array<std::string_view, 17> kPointNames{
    "send-begins",      "send-unconfirmed", "send-confirmed",    "worker-received",
    "slot-before-task", "slot-after-task",  "follow-ups-unsent", "follow-ups-sent",
    "result-unstored",  "result-stored",    "part-uncounted",    "part-counted",
    "acknowledged",     "again-unsent",     "again-sent",        "quarantine-unsent",
    "quarantine-sent"};

/// Lines without which the contract does not hold.
enum class Line : std::uint8_t {
    confirm,            ///< A send waits for the broker's confirm, or the disk's.
    mandatory,          ///< What no queue takes is an error.
    persistent,         ///< RabbitMQ keeps messages on disk.
    late_ack,           ///< A message is acknowledged when its task is over, not when it starts.
    result_before_ack,  ///< … and only when its result is stored.
    epoch,              ///< An ack never reaches another connection's delivery (AMQP).
    lease_renewal,      ///< Who is alive keeps what it holds (SQLite).
    crash_count,        ///< A task that kills its slot again and again is taken out.
    again_before_ack,   ///< The message of a crashed slot is acknowledged when its copy is
                        ///< confirmed.
    kept_before_ack,    ///< A message that cannot run is acknowledged when it is in quarantine.
    silence,            ///< A server that says nothing is given up.
    hard_limit,         ///< A task that does not return is killed.
    key_renewal,        ///< Who runs keeps its place under a concurrency limit.
};
inline constexpr std::array<std::string_view, 13> kLineNames{
    "confirm", "mandatory",     "persistent",  "late-ack",         "result-before-ack",
    "epoch",   "lease-renewal", "crash-count", "again-before-ack", "kept-before-ack",
    "silence", "hard-limit",    "key-renewal"};

[[nodiscard]] constexpr std::string_view to_string(Point point) {
    return kPointNames.at(static_cast<std::size_t>(point));
}
[[nodiscard]] constexpr std::string_view to_string(Line line) {
    return kLineNames.at(static_cast<std::size_t>(line));
}

namespace detail {
inline std::atomic<bool (*)(Point) noexcept> at_point{nullptr};
inline std::atomic<bool (*)(Line) noexcept> without_line{nullptr};
}  // namespace detail

/// Does what the test wants done here. True: what comes next shall fail, in the way the place says.
[[nodiscard]] inline bool fails(Point point) noexcept {
    const auto handler = detail::at_point.load(std::memory_order_relaxed);
    return handler != nullptr && handler(point);
}
/// True: the test wants to see what happens without this line.
[[nodiscard]] inline bool left_out(Line line) noexcept {
    const auto handler = detail::without_line.load(std::memory_order_relaxed);
    return handler != nullptr && handler(line);
}

}  // namespace lovage::failpoint
