#pragma once

#include <lovage/runtime/metrics.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace lovage {

/// The value of a series of this process, named as its page of metrics names it, labels in the
/// order of their names: `lovage_tasks_total{outcome="success",task="add"}`. Nothing: there is
/// none.
[[nodiscard]] inline std::optional<double> metric_value(const std::string& series) {
    const std::string page = '\n' + metrics::default_registry().scrape();
    const std::string line = '\n' + series + ' ';
    const std::size_t found = page.find(line);
    if (found == std::string::npos) return std::nullopt;
    return std::stod(page.substr(found + line.size()));
}

}  // namespace lovage
