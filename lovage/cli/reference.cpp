#include <lovage/cli/reference.hpp>

#include <lovage/cli/arguments.hpp>
#include <lovage/core/json.hpp>
#include <lovage/runtime/detail/settings_table.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

using lovage::detail::Setting;

constexpr std::string_view kGenerated =
    "<!-- Made by `./dev docs` from the code; edits belong there. -->\n\n";

constexpr std::string_view kSettingsHead =
    R"(# Settings

A setting has one name, Celery's where Celery has it. Its value comes from the strongest of these sources:

1. an option of the command line ([cli.md](cli.md)),
2. the environment: `LOVAGE_<NAME>`, for Celery's own settings also `CELERY_<NAME>`; two variables that set one thing
   differently stop the start, an empty one counts as not set, an unknown `LOVAGE_…` is a warning,
3. a TOML file: `--config`, else the one `LOVAGE_CONFIG` names, else `lovage.toml` in the working directory; names are flat
   (`worker_concurrency = 4`), an unknown one stops the start,
4. what the program gave its `App`,
5. the default.

A value that has not the accepted form stops the start; the message names the setting and where the value came from. In the
environment and on the command line a boolean is true, yes, on, 1 or false, no, off, 0, and a map is JSON.
)";

constexpr std::string_view kCliHead =
    R"(# Command line

Every program that ends in `return lovage::main(app, argc, argv);` has these commands, here called `PROGRAM`; `PROGRAM --help` and
`PROGRAM COMMAND --help` print them too. Options that are settings come before every other source of that setting
([settings.md](settings.md)).

| Exit code | Means |
|---|---|
| 0 | success |
| 1 | failure: a failed task, a worker that refuses, nothing erased, no such message |
| 2 | wrong options or settings |
| 69 | broker or result backend out of reach, no worker that replies |
)";

std::string code(std::string_view text) {
    return fmt::format("`{}`", text);
}

/// `text` inside a table's cell.
std::string cell(std::string_view text) {
    std::string safe;
    for (const char c : text) {
        if (c == '|') safe += '\\';
        safe += c;
    }
    return safe;
}

std::string anchor(std::string_view setting) {
    return fmt::format("[`{}`](settings.md#{})", setting, setting);
}

/// "-c,--concurrency" as "`-c`, `--concurrency`".
std::string names_of(const OptionReference& option) {
    std::string names;
    std::string_view left = option.names;
    while (!left.empty()) {
        const std::size_t end = std::min(left.find(','), left.size());
        names += (names.empty() ? "" : ", ") + code(left.substr(0, end));
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return names;
}

/// The options that set something, by setting: "`worker -c`, `--concurrency`".
std::map<std::string, std::string> options_of_settings() {
    std::map<std::string, std::string> options;
    for (const CommandReference& command : describe_commands()) {
        for (const OptionReference& option : command.options) {
            if (option.setting.empty()) continue;
            std::string& text = options[option.setting];
            if (!text.empty()) text += "; ";
            text += names_of(option);
            if (!command.name.empty()) text += fmt::format(" of `{}`", command.name);
        }
    }
    return options;
}

std::string values_of(const Setting& setting) {
    std::string text{setting.form.type};
    if (!setting.form.unit.empty()) text += fmt::format(", {}", setting.form.unit);
    if (!setting.form.range.empty()) text += fmt::format(": {}", setting.form.range);
    return text;
}

std::string default_of(const Setting& setting) {
    if (!setting.default_text.empty()) return std::string{setting.default_text};
    std::string text = setting.show(Settings{});
    // A word for "nobody has said anything" is none that could be written.
    Settings ignored;
    return setting.assign(ignored, Json{text}) ? code(text) : text;
}

void append_setting(std::string& page, const Setting& setting, const std::string& options) {
    std::string variables;
    for (const std::string& name : lovage::detail::environment_names(setting)) {
        variables += (variables.empty() ? "" : ", ") + code(name);
    }
    page += fmt::format("\n### {}\n\n{}\n\n- Value: {}\n- Default: {}\n- Environment: {}\n",
                        setting.name, setting.sentence.text(), values_of(setting),
                        default_of(setting), variables);
    if (!options.empty()) page += fmt::format("- Option: {}\n", options);
}

std::string usage_of(const CommandReference& command) {
    std::string usage = "PROGRAM";
    if (!command.name.empty()) usage += ' ' + command.name;
    if (!command.options.empty()) usage += " [OPTIONS]";
    for (const OptionReference& argument : command.arguments) {
        const std::string name = argument.names + (argument.many ? "…" : "");
        usage += argument.required ? ' ' + name : " [" + name + ']';
    }
    return usage;
}

void append_command(std::string& page, const CommandReference& command) {
    if (command.name.empty()) {
        page += "\n## Options of all commands\n";
    } else {
        const std::string_view level = command.name.contains(' ') ? "###" : "##";
        page += fmt::format("\n{} {}\n\n{}.\n", level, command.name, command.what);
        if (!command.holds_commands) page += fmt::format("\n```\n{}\n```\n", usage_of(command));
    }
    if (command.arguments.empty() && command.options.empty()) return;
    page += "\n| | Value | |\n|---|---|---|\n";
    for (const OptionReference& argument : command.arguments) {
        page += fmt::format("| {} | | {} |\n", code(argument.names), cell(argument.what));
    }
    for (const OptionReference& option : command.options) {
        std::string what = cell(option.what);
        if (!option.setting.empty()) what += fmt::format(" ({})", anchor(option.setting));
        const std::string value = option.value.empty() ? "" : code(cell(option.value)) + ' ';
        page += fmt::format("| {} | {}| {} |\n", names_of(option), value, what);
    }
}

}  // namespace

std::string settings_reference() {
    const auto options = options_of_settings();
    std::string page{kGenerated};
    page += kSettingsHead;
    for (const std::string_view group : lovage::detail::setting_groups()) {
        page += fmt::format("\n## {}\n", group);
        for (const Setting& setting : lovage::detail::settings_table()) {
            if (setting.group != group) continue;
            const auto option = options.find(std::string{setting.name});
            append_setting(page, setting, option == options.end() ? "" : option->second);
        }
    }
    return page;
}

std::string cli_reference() {
    std::string page{kGenerated};
    page += kCliHead;
    for (const CommandReference& command : describe_commands()) append_command(page, command);
    return page;
}

}  // namespace lovage::cli
