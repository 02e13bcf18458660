#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/time.hpp>
#include <lovage/worker/crash_count.hpp>
#include <lovage/worker/journal/in_flight_file.hpp>

namespace lovage::journal {

/// Charges the tasks that were running when a worker process of this host died, with one crash
/// each; those it had only been sent are free (reliability contract, clauses C09, C10, C16).
///
/// Belongs to the app's loop; not thread-safe.
class DeadWorkers {
public:
    DeadWorkers(AppCore& core, Place place) : crashes_{core}, place_{std::move(place)} {}

    /// Charges what dead workers have left; cheap when there is nothing. Whose file is here is
    /// nobody else's meanwhile. A file goes when all its tasks are charged: should the state store
    /// not answer, or this process die, it is read again, and no attempt is charged twice.
    [[nodiscard]] Awaitable<void> charge_started(TimePoint now);

    /// CrashCount::look_up().
    [[nodiscard]] Awaitable<std::vector<std::size_t>> crashes(std::vector<std::string> task_ids,
                                                              TimePoint now) {
        return crashes_.look_up(std::move(task_ids), now);
    }

private:
    [[nodiscard]] Awaitable<void> charge(DeadFile file, TimePoint now);

    CrashCount crashes_;
    Place place_;
};

}  // namespace lovage::journal
