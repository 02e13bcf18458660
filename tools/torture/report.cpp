#include "report.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace lovage::torture {

namespace {

std::string recovery_of(const Report& report) {
    std::vector<double> times;
    for (const FaultRecord& fault : report.faults) {
        if (fault.recovered) times.push_back(fault.recovered->count());
    }
    if (times.empty()) return "no fault";
    std::ranges::sort(times);
    return fmt::format("median {:.2f} s, 9 of 10 within {:.2f} s, slowest {:.2f} s",
                       times[times.size() / 2], times[times.size() * 9 / 10], times.back());
}

}  // namespace

std::string describe(std::size_t number, const FaultRecord& fault) {
    const std::string recovered =
        fault.recovered ? fmt::format("{:6.2f} s", fault.recovered->count()) : "   never";
    return fmt::format("{:4} {:8.1f} s {}  {}: {}", number, fault.begin.count(), recovered,
                       describe(fault.planned),
                       fault.evidence ? fault.evidence->text : "DID NOT HAPPEN");
}

std::string summary(const Report& report) {
    const auto& account = report.account;
    const auto happened = std::ranges::count_if(
        report.faults, [](const FaultRecord& fault) { return fault.evidence.has_value(); });
    std::string text = fmt::format(
        "\n"
        "attempted      {:9}\n"
        "acknowledged   {:9}   rejected {}, unknown {}\n"
        "lost           {:9}   acknowledged, but without effect\n"
        "duplicated     {:9}   explained by a fault {}, unexplained {}\n"
        "unexpected     {:9}   rejected or never sent, but started\n"
        "recovered      {:9}   unknown to their producer, but done\n"
        "results        {:9}   SUCCESS, of {} acknowledged\n"
        "faults         {:9}   of {} really happened\n"
        "back at 80 %              {}\n",
        account.attempted, account.accepted, account.rejected, account.unknown, account.lost.size(),
        account.repeats.size(), account.repeats.size() - account.unexplained.size(),
        account.unexplained.size(), account.ghosts.size(), account.recovered, report.results,
        account.accepted, happened, report.faults.size(), recovery_of(report));
    for (const std::string& violation : report.violations) text += "VIOLATED: " + violation + "\n";
    text += fmt::format(
        "{} in {:.0f} s. Again: ./dev torture --stack {} --tasks {} --faults {} --seed {}\n",
        report.holds() ? "The contract holds," : "The contract does NOT hold,", report.took.count(),
        to_string(report.plan.stack), report.plan.tasks, report.plan.faults, report.plan.seed);
    return text;
}

}  // namespace lovage::torture
