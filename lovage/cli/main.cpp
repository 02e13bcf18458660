#include <lovage/cli/main.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/cli/arguments.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/orphan_reaper.hpp>
#include <lovage/worker/prefork/slot_main.hpp>
#include <lovage/worker/prefork/slot_start.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include <unistd.h>

namespace lovage {

namespace {

/// Flags, environment, file, and what the program gave its app; warnings are logged once the log is
/// set up.
Result<LoadedSettings> load(App& app, const cli::Invocation& invocation) {
    SettingsSources sources;
    sources.base = app.core()->configured().value_or(Settings{});
    sources.flags = invocation.flags;
    sources.environment = process_environment();
    auto file = read_settings_file(invocation.config, sources.environment);
    if (!file) return std::unexpected{std::move(file.error())};
    sources.file = std::move(*file);
    return resolve_settings(sources);
}

void set_up_log(const App& app, const LoadedSettings& loaded, const cli::Invocation& invocation) {
    log::Options options;
    options.level = loaded.settings.log_level;
    // Short commands answer on standard output; what goes well is no news beside it.
    const bool serves = std::holds_alternative<cli::WorkerArguments>(invocation.command) ||
                        std::holds_alternative<cli::BeatArguments>(invocation.command);
    if (!serves && !loaded.settings.origins.contains("log_level")) {
        options.level = std::max(options.level, log::Level::warning);
    }
    options.format = loaded.settings.log_format;
    options.service_name = app.name();
    options.color = invocation.color;
    log::configure(options);
    for (const std::string& warning : loaded.warnings) log::warning("settings", "{}", warning);
}

struct RunCommand {
    App& app;
    cli::Console& console;

    int operator()(const cli::WorkerArguments& arguments) const {
        return cli::run_worker(app, arguments, console);
    }
    int operator()(const cli::CallArguments& arguments) const {
        return cli::run_call(app, arguments, console);
    }
    int operator()(const cli::ResultArguments& arguments) const {
        return cli::run_result(app, arguments, console);
    }
    int operator()(const cli::RevokeArguments& arguments) const {
        return cli::run_revoke(app, arguments, console);
    }
    int operator()(const cli::GraphArguments& arguments) const {
        return cli::run_graph(app, arguments, console);
    }
    int operator()(const cli::StatusArguments& arguments) const {
        return cli::run_status(app, arguments, console);
    }
    int operator()(const cli::RemoteArguments& arguments) const {
        return cli::run_remote(app, arguments, console);
    }
    int operator()(const cli::PurgeArguments& arguments) const {
        return cli::run_purge(app, arguments, console);
    }
    int operator()(const cli::QuarantineArguments& arguments) const {
        return cli::run_quarantine(app, arguments, console);
    }
    int operator()(const cli::EventsArguments& arguments) const {
        return cli::run_events(app, arguments, console);
    }
    int operator()(const cli::BeatArguments& arguments) const {
        return cli::run_beat(app, arguments, console);
    }
    int operator()(const cli::ScheduleArguments& arguments) const {
        return cli::run_schedule(app, arguments, console);
    }
};

int run(App& app, const cli::Invocation& invocation, cli::Console& console) {
    auto loaded = load(app, invocation);
    if (!loaded) {
        cli::report(console, loaded.error());
        return cli::kUsage;
    }
    set_up_log(app, *loaded, invocation);
    app.configure(std::move(loaded->settings));
    return std::visit(RunCommand{app, console}, invocation.command);
}

std::string program_name(int argc, char** argv) {
    if (argc < 1 || argv[0] == nullptr) return "program";
    return std::filesystem::path{argv[0]}.filename().string();
}

/// NO_COLOR (no-color.org): any value but the empty one.
bool wants_color() {
    const char* const no_color = std::getenv("NO_COLOR");
    return no_color == nullptr || *no_color == '\0';
}

}  // namespace

int main(App& app, int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    if (slot::is_slot()) return slot::run_slot(app);
    let_signals_end_first_process();
    slot::enable_slots();
    register_default_drivers();
    auto invocation =
        cli::parse_arguments({argv + std::min(argc, 1), argv + argc}, program_name(argc, argv));
    if (!invocation) {
        const cli::Ending& ending = invocation.error();
        (ending.exit_code == 0 ? std::cout : std::cerr) << ending.text << std::flush;
        return ending.exit_code;
    }
    invocation->color = invocation->color && wants_color();
    cli::Console console{std::cout, std::cerr, std::cin,
                         invocation->color && ::isatty(STDOUT_FILENO) == 1};
    int code = cli::kFailure;
    try {
        code = run(app, *invocation, console);
    } catch (const LovageError& problem) {
        code = cli::report(console, problem.error());
    } catch (const std::exception& problem) {
        std::cerr << "Error: " << problem.what() << '\n';
    }
    std::cout.flush();
    log::flush();
    return code;
}

}  // namespace lovage
