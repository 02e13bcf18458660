#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <lovage/brokers/broker.hpp>
#include <lovage/core/message.hpp>
#include <lovage/core/time.hpp>
#include <lovage/worker/crash_report.hpp>

namespace lovage {

/// Why and where a message was put into quarantine. Wire: the `x-lovage-*` headers.
struct QuarantineNote {
    std::string reason;  ///< x-lovage-reason: a short stable word, e.g. "undecodable".
    std::string detail;  ///< x-lovage-detail: one line for a person.
    std::string queue;   ///< x-lovage-queue: where it came from, and where a replay sends it.
    std::string worker;  ///< x-lovage-worker: node name.
    TimePoint time;      ///< x-lovage-time: ISO 8601.
    /// Of a message whose task took its slot along: x-lovage-cause, x-lovage-fault-address,
    /// x-lovage-backtrace and x-lovage-stderr.
    std::shared_ptr<const CrashReport> crash = nullptr;
};

/// The message as it is kept in "<queue>.quarantine": body and properties untouched (the time to
/// live removed, or it would vanish), the note added to its headers.
[[nodiscard]] Publication to_quarantine(const Message& message, const QuarantineNote& note);

/// Takes from a note what is worth least: first most of a crash's last words and call stack, then
/// all of both, then most of the detail, then the rest of it. False: there is nothing left to take.
[[nodiscard]] bool shorten(QuarantineNote& note);

/// The note of a kept message; nothing when it carries none.
[[nodiscard]] std::optional<QuarantineNote> read_note(const Message& message);

/// The message as it was before, bound for the queue it came from.
[[nodiscard]] Publication from_quarantine(const Message& message, const QuarantineNote& note);

}  // namespace lovage
