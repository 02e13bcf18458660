#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/message.hpp>
#include <lovage/core/time.hpp>

namespace lovage {

/// A task that took its slot along so often within that time is not run again.
inline constexpr std::size_t kCrashesMost = 3;
inline constexpr std::chrono::hours kCrashWindow{72};

/// How often the attempts of each task have crashed: kept in the state store, so that it holds for
/// all workers together, and in the message, for a store that is down.
///
/// Belongs to the app's loop; not thread-safe.
class CrashCount {
public:
    explicit CrashCount(AppCore& core) : core_{core} {}

    /// Charges one more crash, at `now`; returns how many there were in the last 72 hours. `known`
    /// is what the message says, for a store that does not answer.
    [[nodiscard]] Awaitable<std::size_t> charge(std::string task_id, std::size_t known,
                                                TimePoint now);
    /// Charges the crash of an attempt that had started at `started`, once however often it is
    /// called for it. Errors: what the state store says; nothing was charged then, or nobody knows.
    [[nodiscard]] Awaitable<Result<std::size_t>> charge_attempt(std::string task_id,
                                                                TimePoint started, TimePoint now);
    /// How many crashes each of the tasks has on its account, in their order; none when the store
    /// does not answer: running a crashing task once more is the lesser evil beside not running
    /// good ones.
    [[nodiscard]] Awaitable<std::vector<std::size_t>> look_up(std::vector<std::string> task_ids,
                                                              TimePoint now);
    /// Its message is in quarantine: a replay begins anew.
    [[nodiscard]] Awaitable<void> forget(std::string task_id);

private:
    /// `once`: a crash that is on the account already is not charged again.
    [[nodiscard]] Awaitable<Result<std::size_t>> add(std::string task_id, TimePoint crash,
                                                     TimePoint now, bool once);
    AppCore& core_;
};

/// Wire: the header in which a message carries its crashes.
inline constexpr std::string_view kCrashesHeader = "x-lovage-crashes";
/// The crashes a message knows of.
[[nodiscard]] std::size_t crashes_of(const Message& message);
/// The message with that header set, else as it was.
[[nodiscard]] Message with_crashes(const Message& message, std::size_t crashes);

namespace detail {
/// What is stored, without the crashes older than the window.
[[nodiscard]] std::vector<std::int64_t> crash_times(const std::string& stored, TimePoint now);
/// The same with one more crash; `once`: unless it is among them.
[[nodiscard]] std::vector<std::int64_t> with_crash(std::vector<std::int64_t> times, TimePoint crash,
                                                   bool once);
}  // namespace detail

}  // namespace lovage
