#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/beat/schedule_entry.hpp>
#include <lovage/core/error.hpp>
#include <lovage/results/state_store.hpp>
#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lovage {

/// Where a schedule's facts lie in the state store.
struct ScheduleKeys {
    std::string schedule;
    [[nodiscard]] std::string leader() const { return "beat/" + schedule + "/leader"; }
    /// Entries that were added at run time, and changes to those of the program.
    [[nodiscard]] std::string entries() const { return "beat/" + schedule + "/entry/"; }
    /// What is remembered of each entry.
    [[nodiscard]] std::string states() const { return "beat/" + schedule + "/state/"; }
};

/// The entries of a schedule as people change them while beats run, which notice within seconds.
///
/// An entry of the state store takes the place of the program's of its name; one that only says
/// whether it is enabled leaves the rest to the program. Changes have the error conflict, too:
/// somebody else changed the same entry meanwhile, and nothing was done. Belongs to the store's
/// loop; not thread-safe.
class ScheduleStore {
public:
    using Entries = std::map<std::string, ScheduleEntry>;

    /// `program` are the entries of the program; `cron_deadline` holds for crontabs that have no
    /// deadline of their own, wherever they come from. Lifetime: `store` must outlive this.
    ScheduleStore(StateStore& store, ScheduleKeys keys, std::vector<ScheduleEntry> program,
                  std::optional<std::chrono::seconds> cron_deadline = std::nullopt);

    /// All entries by name. One that cannot be read is left out, and logged once until it changes.
    [[nodiscard]] Awaitable<Result<Entries>> entries(Deadline deadline);
    /// One entry. Errors: not_found; invalid_argument when it cannot be read.
    [[nodiscard]] Awaitable<Result<ScheduleEntry>> entry(std::string name, Deadline deadline);
    /// Whether there is an entry of that name as far as the last entries() can tell: one that
    /// cannot be read, or was beyond what is listed, is there, too.
    [[nodiscard]] bool may_have(const std::string& name) const;
    /// Adds an entry or replaces the one of its name. True: there was one.
    [[nodiscard]] Awaitable<Result<bool>> put(ScheduleEntry entry, Deadline deadline);
    /// Removes an entry of the state store; one of the program is then as the program has it.
    /// Errors: not_found.
    [[nodiscard]] Awaitable<Result<void>> remove(std::string name, Deadline deadline);
    /// Its times do not come any more. Errors: not_found.
    [[nodiscard]] Awaitable<Result<void>> pause(std::string name, Deadline deadline);
    /// Its times after `now` come again; those of the pause do not. Errors: not_found.
    [[nodiscard]] Awaitable<Result<void>> resume(std::string name, TimePoint now,
                                                 Deadline deadline);

    /// What is remembered of the entries.
    [[nodiscard]] Awaitable<Result<std::map<std::string, EntryState>>> states(Deadline deadline);
    /// Who leads; nothing: nobody.
    [[nodiscard]] Awaitable<Result<std::optional<std::string>>> leader(Deadline deadline);

private:
    using Stored = std::optional<StateEntry>;

    [[nodiscard]] bool of_program(const std::string& name) const { return program_.contains(name); }
    /// The entry that `stored`, or else the program, says `name` is.
    [[nodiscard]] Result<ScheduleEntry> resolve(const std::string& name,
                                                const Stored& stored) const;
    Awaitable<Result<void>> enable(std::string name, std::optional<TimePoint> since,
                                   Deadline deadline);

    StateStore& store_;
    ScheduleKeys keys_;
    Entries program_;
    std::set<std::string> listed_;  ///< Names in the state store.
    bool listed_all_ = false;
    std::map<std::string, std::uint64_t> unreadable_;  ///< Versions that were logged.
    std::optional<std::chrono::seconds> cron_deadline_;
};

}  // namespace lovage
