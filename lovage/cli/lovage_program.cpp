// The executable `lovage`: the commands of lovage::main for everybody's tasks, by name. It has none
// of its own.
#include <lovage/app/app.hpp>
#include <lovage/cli/arguments.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/main.hpp>

#include <algorithm>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

int main(int argc, char** argv) {
    const std::vector<std::string> arguments{argv + std::min(argc, 1), argv + argc};
    const auto invocation = lovage::cli::parse_arguments(arguments, "lovage");
    if (invocation && std::holds_alternative<lovage::cli::WorkerArguments>(invocation->command)) {
        // It would put every message into quarantine.
        std::cerr
            << "Error: lovage has no tasks to run. Start a program of yours, one that ends in "
               "lovage::main, with 'worker'.\n";
        return lovage::cli::kUsage;
    }
    lovage::App app{"lovage"};
    return lovage::main(app, argc, argv);
}
