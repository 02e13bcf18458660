#pragma once

#include "schedule.hpp"
#include "servers.hpp"

#include <tests/support/task_ledger.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lovage::torture {

/// What became of one fault.
struct FaultRecord {
    PlannedFault planned;
    std::chrono::duration<double> begin{};  ///< Since the run began.
    Evidence evidence;
    /// From its end until work went at its rate again.
    std::optional<std::chrono::duration<double>> recovered;
};

struct Report {
    Plan plan;
    double rate = 0;  ///< Tasks a second that the producers kept to.
    std::chrono::duration<double> took{};
    std::vector<FaultRecord> faults;
    testing_support::TaskLedger::Report account;
    std::uint64_t results = 0;  ///< Of the accepted tasks, those with a SUCCESS record.
    /// Everything that must not be, in words.
    std::vector<std::string> violations;

    [[nodiscard]] bool holds() const noexcept { return violations.empty(); }
};

/// One line for one fault, as it is over.
[[nodiscard]] std::string describe(std::size_t number, const FaultRecord& fault);
/// The end of the printed report: Jepsen's six, recovery, what is wrong, how to do it again.
[[nodiscard]] std::string summary(const Report& report);

}  // namespace lovage::torture
