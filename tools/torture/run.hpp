#pragma once

#include "report.hpp"
#include "schedule.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

namespace lovage::torture {

struct RunOptions {
    Plan plan;
    double rate = 0;  ///< Tasks a second; 0: chosen from the plan.
    std::size_t workers = 2;
    std::size_t slots = 4;
    std::filesystem::path program;  ///< This one.
    std::filesystem::path folder;   ///< Empty; gets servers, files and logs.
    std::function<void(const std::string& line)> tell;
};

/// Does the plan and checks the contract against the ledger. Throws std::runtime_error when the
/// servers do not start, or the machine is too slow for the rate before anything was harmed.
[[nodiscard]] Report run(const RunOptions& options);

}  // namespace lovage::torture
