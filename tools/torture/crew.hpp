#pragma once

#include "schedule.hpp"
#include "servers.hpp"

#include <tests/integration/process.hpp>
#include <tests/support/task_ledger.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lovage::torture {

/// What a fault did.
struct Inflicted {
    Evidence evidence;
    /// The duplicates that it may cause; nothing when it may cause none.
    std::optional<testing_support::TaskLedger::Fault> excuse;
    /// Clauses of the contract that were seen broken.
    std::vector<std::string> violations;
};

/// The workers, which run with prefork, and the producers of a run; and the faults that befall
/// them. Their logs are in `folder`. They end with this object.
class Crew {
public:
    struct Options {
        std::filesystem::path program;  ///< This one; it has the roles.
        std::filesystem::path folder;
        Servers::Urls urls;
        std::string run;  ///< The first eight digits of its ids.
        std::size_t workers = 2;
        std::size_t slots = 4;
        std::size_t producers = 2;
        double rate = 0;  ///< Of all producers together.
        std::uint64_t backlog = 0;
    };
    explicit Crew(Options options);

    [[nodiscard]] Inflicted inflict(const PlannedFault& fault);
    /// Waits until the producers have sent everything. Violations when they do not end in order.
    [[nodiscard]] std::vector<std::string> join_producers(Deadline deadline);
    /// SIGTERM to the workers. Violations when one does not end in order.
    [[nodiscard]] std::vector<std::string> end_workers();
    /// Processes that ended though nobody wished them to; each is told once, and replaced.
    [[nodiscard]] std::vector<std::string> unexpected_ends();

private:
    struct Member {
        std::string name;
        integration::Process process;
    };
    using Members = std::vector<Member>;

    [[nodiscard]] Member start_worker();
    [[nodiscard]] Member start_producer();
    [[nodiscard]] integration::Process start(const std::string& name,
                                             std::vector<std::string> arguments) const;
    Inflicted kill_worker(Member& worker);
    Inflicted end_worker(Member& worker);
    Inflicted kill_slot(const Member& worker, std::uint32_t pick);
    Inflicted stop_slot(const Member& worker, const PlannedFault& fault);
    Inflicted kill_producer(Member& producer);
    Inflicted suspend_member(const Member& member, const PlannedFault& fault);

    Options options_;
    std::size_t started_ = 0;
    Members workers_;
    Members producers_;
};

}  // namespace lovage::torture
