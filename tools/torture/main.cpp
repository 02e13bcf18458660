// Torture: producers and workers at work while everything around them is killed, stopped and cut
// off, and an account of every task. `./dev torture` builds and runs it; see README.md.
//
// The program has three roles: the run itself, which starts itself as "worker" and as "produce".

#include "run.hpp"
#include "workload.hpp"

#include <lovage/cli/main.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>

namespace {

namespace fs = std::filesystem;
using namespace lovage::torture;

struct Arguments {
    Plan plan{.tasks = 20'000, .faults = 20};
    std::string stack = "both";
    double rate = 0;
    fs::path folder = "build/torture";
    bool only_plan = false;
    bool keep = false;
};

void tell(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

/// A server's guard may still be at its last words there.
void clear_away(const fs::path& folder) {
    std::error_code error;
    for (int attempt = 0; attempt < 100; ++attempt) {
        fs::remove_all(folder, error);
        if (!error) return;
        let_pass(std::chrono::milliseconds{50});
    }
    throw fs::filesystem_error{"cannot be removed", folder, error};
}

void print_plan(const Plan& plan) {
    std::size_t number = 0;
    for (const PlannedFault& fault : make_schedule(plan)) {
        tell(fmt::format("{:4} after task {:8}  {}", ++number, fault.after, describe(fault)));
    }
}

bool run_stack(const Arguments& arguments, Plan plan) {
    tell(fmt::format("torture on {}: {} tasks, {} faults, seed {}",
                     plan.stack == Stack::rabbitmq ? "RabbitMQ and Redis" : "SQLite", plan.tasks,
                     plan.faults, plan.seed));
    if (arguments.only_plan) {
        print_plan(plan);
        return true;
    }
    const fs::path folder = fs::absolute(arguments.folder) / std::string{to_string(plan.stack)};
    clear_away(folder);
    fs::create_directories(folder);
    tell("   #      at    back in  what was done: what showed that it happened");
    bool holds = false;
    {
        const Report report = run({.plan = plan,
                                   .rate = arguments.rate,
                                   .program = fs::read_symlink("/proc/self/exe"),
                                   .folder = folder,
                                   .tell = tell});
        tell(summary(report));
        holds = report.holds();
    }
    if (holds && !arguments.keep) {
        clear_away(folder);
    } else {
        tell("Logs and ledger: " + folder.string());
    }
    return holds;
}

int run_all(Arguments arguments) {
    bool holds = true;
    for (const Stack stack : {Stack::rabbitmq, Stack::sqlite}) {
        if (arguments.stack != "both" && arguments.stack != to_string(stack)) continue;
        Plan plan = arguments.plan;
        plan.stack = stack;
        holds = run_stack(arguments, plan) && holds;
    }
    return holds ? EXIT_SUCCESS : EXIT_FAILURE;
}

int torture(int argc, char** argv) {
    Arguments arguments;
    arguments.plan.seed = static_cast<std::uint64_t>(
        std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds{1});
    CLI::App options{
        "Runs producers and workers (prefork) while workers, slots, producers, servers and "
        "connections are killed,\nstopped and cut off, and checks what became of every task."};
    options
        .add_option("--tasks", arguments.plan.tasks,
                    "tasks to send, and more until the last fault is over")
        ->check(CLI::Range(100, 100'000'000))
        ->capture_default_str();
    options.add_option("--faults", arguments.plan.faults, "faults to inflict, spread over them")
        ->check(CLI::Range(0, 100'000))
        ->capture_default_str();
    options.add_option("--seed", arguments.plan.seed,
                       "chooses the faults; the same seed, the same faults (default: the time)");
    options.add_option("--stack", arguments.stack, "rabbitmq (with Redis), sqlite or both")
        ->check(CLI::IsMember({"rabbitmq", "sqlite", "both"}))
        ->capture_default_str();
    options
        .add_option("--rate", arguments.rate,
                    "tasks a second (default: so many that there is work until the last fault)")
        ->check(CLI::PositiveNumber);
    options.add_option("--folder", arguments.folder, "for servers, files and logs; emptied first")
        ->capture_default_str();
    options.add_flag("--plan", arguments.only_plan, "print the faults and do nothing");
    options.add_flag("--keep", arguments.keep, "keep the folder also when all is well");
    CLI11_PARSE(options, argc, argv);
    return run_all(std::move(arguments));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view role = argc > 1 ? argv[1] : "";
    try {
        if (role != "worker" && role != "produce") return torture(argc, argv);
        // Whatever becomes of the run, its processes end with it.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        lovage::App app{"torture"};
        register_tasks(app);
        if (role == "worker") return lovage::main(app, argc, argv);
        if (argc != 4) throw std::runtime_error{"usage: produce RATE BACKLOG"};
        return produce(app, std::strtod(argv[2], nullptr), std::strtoull(argv[3], nullptr, 10));
    } catch (const std::exception& problem) {
        std::cerr << "torture: " << problem.what() << '\n';
        return EXIT_FAILURE;
    }
}
