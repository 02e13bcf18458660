#pragma once

#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

namespace lovage::testing_support {

/// What became of tasks, written down by producers and tasks themselves in memory that their
/// processes share: the account that the delivery contract is checked against, independent of
/// Lovage and of the servers under test.
///
/// Tasks are known by a number from 0 on, which travels as an argument. Notes survive a kill -9 of
/// their writer (not of the machine) and cost some tens of nanoseconds. Thread-safe.
class TaskLedger {
public:
    enum class Event : std::uint8_t {
        sending,   ///< The producer begins to send it, for the first time or again.
        accepted,  ///< The producer was told that the broker has it. Final.
        rejected,  ///< The producer was told that it does not exist.
        unknown,   ///< The producer was told that it may exist.
        started,
        effect,  ///< The task did its work.
        step,    ///< What leads to it in its workflow ran here; the task itself has not started.
    };
    using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC, which processes share.

    /// Makes the file for `tasks` tasks. `trace` entries are kept in order, to explain duplicates
    /// with; what comes after that many is only counted. Throws std::system_error.
    [[nodiscard]] static TaskLedger create(const std::filesystem::path& file, std::uint32_t tasks,
                                           std::uint64_t trace = 1U << 20U);
    /// Opens one that another process made. Throws std::runtime_error when it is none.
    [[nodiscard]] static TaskLedger open(const std::filesystem::path& file);
    TaskLedger(TaskLedger&& other) noexcept;
    TaskLedger& operator=(TaskLedger&& other) noexcept;
    ~TaskLedger();

    /// What this object notes from now on is the doing of `worker` too: the process that a slot
    /// belongs to. Without it, a process is its own.
    void set_worker(pid_t worker) noexcept { worker_ = worker; }
    void note(Event event, std::uint32_t task) noexcept;
    /// The next task that nobody has taken to send, for producers that share the work; nothing when
    /// all are taken.
    [[nodiscard]] std::optional<std::uint32_t> take_next() noexcept;
    /// From now on take_next() gives those below `tasks` only; at first all of them. Never more
    /// than before.
    void offer(std::uint32_t tasks) noexcept;
    /// Tasks that take_next() gave.
    [[nodiscard]] std::uint32_t taken() const noexcept;
    /// It gives no more.
    [[nodiscard]] bool all_taken() const noexcept;

    [[nodiscard]] std::uint32_t tasks() const noexcept;
    [[nodiscard]] bool accepted(std::uint32_t task) const noexcept;
    /// 255 means that or more.
    [[nodiscard]] unsigned started(std::uint32_t task) const noexcept;
    [[nodiscard]] unsigned effects(std::uint32_t task) const noexcept;
    /// Notes of that event so far.
    [[nodiscard]] std::uint64_t total(Event event) const noexcept;
    /// Tasks that have had their effect at least once.
    [[nodiscard]] std::uint64_t done() const noexcept;

    /// Looks at `condition` again after every note; false when the deadline passed first.
    [[nodiscard]] bool wait_until(const std::function<bool()>& condition, Deadline deadline) const;
    /// Waits until every accepted task has had its effect.
    [[nodiscard]] bool wait_for_effects(Deadline deadline) const;

    struct Entry {
        std::uint32_t task = 0;
        Event event = Event::sending;
        pid_t pid = 0;
        pid_t worker = 0;  ///< The same, unless a slot wrote it.
        Clock::time_point time;
    };
    [[nodiscard]] std::vector<Entry> trace() const;
    /// Everything the trace has of some tasks, a line each, with seconds since the ledger's first
    /// entry: for people who look for what went wrong.
    [[nodiscard]] std::map<std::uint32_t, std::string> stories(
        std::span<const std::uint32_t> tasks) const;

    /// From when to when a fault was at work, until its consequences are over (a connection that is
    /// noticed to be dead, say).
    struct Fault {
        Clock::time_point begin;
        Clock::time_point end;
        /// Whom it befell: workers, slots, producers. It explains repeats of tasks that one of them
        /// sent or started, or ran a step before, and of no other. Empty: everybody, as when a
        /// server dies.
        std::vector<pid_t> processes;
        /// It only made producers send again what they could not be sure of: it explains repeats of
        /// tasks that were sent more than once, and of no other.
        bool only_resent = false;
    };

    /// The contract, section by section; Jepsen's names where they differ.
    struct Report {
        std::size_t attempted = 0;  ///< Sent, whatever became of it.
        std::size_t accepted = 0;   ///< Acknowledged.
        std::size_t rejected = 0;
        std::size_t unknown = 0;    ///< The producer was told so, or did not live to hear anything.
        std::size_t ran = 0;        ///< Tasks that started at least once.
        std::size_t recovered = 0;  ///< Of the unknown ones, those that ran.
        std::vector<std::uint32_t> lost;     ///< Accepted, but without an effect.
        std::vector<std::uint32_t> ghosts;   ///< Unexpected: rejected or never sent, but started.
        std::vector<std::uint32_t> repeats;  ///< Duplicated: started more than once.
        /// Of the repeats, those where no fault that befell one of the processes that had to do
        /// with the task was at work between the first word of the task and one of its further
        /// starts.
        std::vector<std::uint32_t> unexplained;
        std::uint64_t untraced = 0;  ///< Entries that did not fit: explanations may be missing.

        /// Nothing is lost, nothing runs that was rejected, and every repeat has its fault.
        [[nodiscard]] bool holds() const noexcept;
        /// In one line, with the first few numbers of each kind.
        [[nodiscard]] std::string describe() const;
    };
    [[nodiscard]] Report check(std::span<const Fault> faults = {}) const;

private:
    struct Header;
    struct TraceEntry;
    TaskLedger(const std::filesystem::path& file, int descriptor, std::size_t bytes);
    [[nodiscard]] std::uint8_t* column(std::size_t number) const noexcept;
    [[nodiscard]] TraceEntry* trace_begin() const noexcept;

    Header* header_ = nullptr;  ///< At the start of the mapping.
    std::size_t bytes_ = 0;
    pid_t worker_ = 0;  ///< 0: this process.
};

std::ostream& operator<<(std::ostream& out, const TaskLedger::Report& report);

}  // namespace lovage::testing_support
