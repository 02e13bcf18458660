#include <lovage/cli/grammar.hpp>

#include <lovage/cli/grammar_builder.hpp>

#include <utility>

namespace lovage::cli {

void Grammar::Builder::add_global_options() {
    add_setting(app_, "-b,--broker", "broker_url", "URL",
                "Broker URL; overrides every other source");
    add_setting(app_, "--result-backend", "result_backend", "URL", "Result backend URL");
    add(app_, "--config", texts_.config, "FILE", "Settings file instead of lovage.toml");
    app_.add_flag("-C,--no-color", texts_.no_color, "Plain output on terminals too");
}

/// What everybody has, for the program and for each sub-command.
void Grammar::Builder::set_up(CLI::App& command) {
    command.allow_extras();  // parse_arguments() has better messages
    command.fallthrough();
    command.set_help_flag("-h,--help", "This text");
    command.get_formatter()->column_width(34);
    for (CLI::App* inner : command.get_subcommands({})) set_up(*inner);
}

Grammar::Grammar(const std::string& program)
    : texts_{std::make_unique<Texts>()},
      parser_{std::make_unique<CLI::App>(
          version_text() + ": tasks through a message broker, as Celery has them", program)} {
    parser_->set_version_flag("--version", version_text());
    Builder{*parser_, *texts_, entries_}.add_all();
}

Grammar::~Grammar() = default;

std::optional<Invocation> Grammar::build(const CLI::App& chosen) const {
    const auto entry = std::ranges::find(entries_, &chosen, &Entry::parser);
    if (entry == entries_.end()) return std::nullopt;
    Invocation invocation{entry->build(*texts_), {}, std::nullopt, !texts_->no_color};
    for (const SettingText& setting : texts_->settings) {
        if (!setting.flag.value.empty()) invocation.flags.push_back(setting.flag);
    }
    if (!texts_->config.empty()) invocation.config = texts_->config;
    return invocation;
}

std::vector<CommandReference> Grammar::describe() const {
    std::vector<CommandReference> commands;
    const auto add = [&](const CLI::App& command, const auto& self) -> void {
        CommandReference& made = commands.emplace_back();
        made.name = full_name(command);
        made.what = command.get_description();
        made.holds_commands = &command != parser_.get() && !command.get_subcommands({}).empty();
        for (const CLI::Option* option : command.get_options()) {
            // Every command has it; it is said once, at the program itself.
            if (option == command.get_help_ptr() && &command != parser_.get()) continue;
            OptionReference described{.names = option->get_name(false, true),
                                      .value = option->get_type_name(),
                                      .what = option->get_description(),
                                      .setting = {}};
            const auto setting = std::ranges::find(texts_->settings, option, &SettingText::option);
            if (setting != texts_->settings.end()) described.setting = setting->flag.name;
            if (option->get_positional()) {
                described.names = option->get_name(true);
                described.required = option->get_required();
                described.many = option->get_items_expected_max() > 1;
                made.arguments.push_back(std::move(described));
            } else {
                made.options.push_back(std::move(described));
            }
        }
        for (const CLI::App* inner : command.get_subcommands({})) self(*inner, self);
    };
    add(*parser_, add);
    return commands;
}

std::string full_name(const CLI::App& command) {
    if (command.get_parent() == nullptr) return "";
    const std::string outer = full_name(*command.get_parent());
    return outer.empty() ? command.get_name() : outer + ' ' + command.get_name();
}

}  // namespace lovage::cli
