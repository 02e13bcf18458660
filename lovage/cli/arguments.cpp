#include <lovage/cli/arguments.hpp>

#include <lovage/cli/grammar.hpp>
#include <lovage/cli/option_values.hpp>
#include <lovage/runtime/did_you_mean.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

std::vector<std::string_view> command_names(const CLI::App& app) {
    std::vector<std::string_view> names;
    for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
    return names;
}

std::vector<std::string> option_names(const CLI::App& command) {
    std::vector<std::string> names;
    for (const CLI::App* level = &command; level != nullptr; level = level->get_parent()) {
        for (const CLI::Option* option : level->get_options()) {
            for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
        }
    }
    return names;
}

/// The innermost sub-command that was named.
const CLI::App& innermost(const CLI::App& app) {
    const CLI::App* command = &app;
    while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
    return *command;
}

/// Options Celery has and this program cannot have, with the reason.
std::string_view known_absence(std::string_view option) {
    if (option == "-A" || option == "--app") return ": the program is its own app; leave it out";
    return {};
}

/// Refuses whatever CLI11 could not place.
void refuse_leftovers(const CLI::App& app) {
    const CLI::App& command = innermost(app);
    const std::vector<std::string> leftovers = app.remaining(true);
    if (leftovers.empty()) return;
    const std::string where = &command == &app ? "" : full_name(command) + ": ";
    const auto option = std::ranges::find_if(
        leftovers, [](const std::string& word) { return word.size() > 1 && word[0] == '-'; });
    if (option != leftovers.end()) {
        const std::string name = option->substr(0, option->find('='));
        const std::vector<std::string> known = option_names(command);
        const std::vector<std::string_view> views{known.begin(), known.end()};
        const std::string_view reason = known_absence(name);
        refuse("{}unknown option '{}'{}", where, name,
               reason.empty() ? did_you_mean(name, views) : std::string{reason});
    }
    const std::vector<std::string_view> commands = command_names(command);
    if (!commands.empty()) {
        std::string list;
        for (const std::string_view name : commands)
            list += (list.empty() ? "" : ", ") + std::string{name};
        const std::string meant = did_you_mean(leftovers.front(), commands);
        refuse("{}unknown command '{}'{}", where, leftovers.front(),
               meant.empty() ? "; there are: " + list : meant);
    }
    refuse("{}unexpected argument '{}'", where, leftovers.front());
}

/// "control terminate SIGNAL ID…"
std::string usage_of(const CLI::App& command) {
    std::string usage = full_name(command);
    for (const CLI::Option* option : command.get_options()) {
        if (!option->get_positional()) continue;
        const std::string name =
            option->get_name(true) + (option->get_items_expected_max() > 1 ? "…" : "");
        usage += option->get_required() ? ' ' + name : " [" + name + ']';
    }
    return usage;
}

/// What to say when the argument of `command` is missing.
std::string missing_argument(const CLI::App& command) {
    const std::string name = full_name(command);
    if (name == "call") return "call: name the task to send, such as: call add --args '[1, 2]'";
    if (name.starts_with("inspect ") || name.starts_with("control ")) {
        return name + ": an argument is missing: " + usage_of(command);
    }
    return name + ": give the id that `call` printed, such as: " + name +
           " 0b5c3a52-7c1e-4d6f-9a53-5d3b8f6e2c11";
}

/// What to say of an option that stands without its value: CLI11's text begins with its name.
std::string missing_value(const CLI::App& app, std::string_view text) {
    const CLI::App& command = innermost(app);
    const std::string_view option = text.substr(0, text.find_first_of(": "));
    return fmt::format("{}{}{} needs a value", &command == &app ? "" : full_name(command),
                       &command == &app ? "" : ": ", option);
}

}  // namespace

std::string version_text() {
    return "Lovage " LOVAGE_VERSION;
}

std::vector<CommandReference> describe_commands() {
    return Grammar{"PROGRAM"}.describe();
}

std::expected<Invocation, Ending> parse_arguments(std::vector<std::string> arguments,
                                                  const std::string& program) {
    Grammar grammar{program};
    CLI::App& app = grammar.parser();
    const auto usage_error = [&](const std::string& message) {
        return std::unexpected{
            Ending{2, fmt::format("Error: {}\nTry '{} --help'.\n", message, program)}};
    };
    try {
        std::ranges::reverse(arguments);  // as CLI11 wants them
        app.parse(std::move(arguments));
        refuse_leftovers(app);
        auto invocation = grammar.build(innermost(app));
        if (!invocation) {
            return std::unexpected{
                Ending{2, fmt::format("Error: a command is needed\n{}", app.help())}};
        }
        return std::move(*invocation);
    } catch (const UsageError& error) {
        return usage_error(error.message);
    } catch (const CLI::CallForVersion&) {
        return std::unexpected{Ending{0, version_text() + "\n"}};
    } catch (const CLI::CallForHelp&) {
        return std::unexpected{Ending{0, app.help()}};
    } catch (const CLI::RequiredError&) {
        return usage_error(missing_argument(innermost(app)));
    } catch (const CLI::ArgumentMismatch& error) {
        return usage_error(missing_value(app, error.what()));
    } catch (const CLI::ParseError& error) {
        return usage_error(error.what());
    }
}

}  // namespace lovage::cli
