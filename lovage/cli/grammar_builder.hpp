#pragma once

// Includes CLI11, which costs some ten seconds to compile: for grammar*.cpp alone.
#include <lovage/cli/grammar.hpp>
#include <lovage/cli/option_values.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace lovage::cli {

/// An option that is a setting.
struct SettingText {
    SettingFlag flag;  ///< Its value is empty while it is not given.
    const CLI::Option* option = nullptr;
};

/// Texts of all options as CLI11 leaves them; empty means not given.
struct Grammar::Texts {
    std::deque<SettingText> settings;  // a deque: CLI11 keeps pointers into it
    std::string config;
    bool no_color = false;

    std::vector<std::string> queues, ids;
    std::string hostname, health_port, health_host;
    std::string task, args, kwargs, eta, countdown, expires, queue, priority;
    std::string time_limit, soft_time_limit;
    std::string task_id, timeout, signal, format;
    std::vector<std::string> destination;
    /// Of one sub-command of `inspect` or `control`: its parameters' words, in their order, and
    /// those that are left.
    std::vector<std::string> words, rest;
    bool as_always = false;  // of options that ask for what is so anyway
    bool traceback = false, terminate = false, json = false, force = false, all = false;
    std::string heartbeat_interval, number;
    bool without_heartbeat = false;
    std::vector<std::string> types, tasks, workers;
    bool beat = false, relative = false;
    std::string schedule, entry, crontab, every, catch_up, starting_deadline;
};

/// A sub-command with what makes its arguments from the texts.
struct Grammar::Entry {
    const CLI::App* parser;
    std::function<Command(const Texts&)> build;
};

/// Adds the commands. Each add_… is one command's options, in the sources followed by the function
/// that reads them: grammar_workers.cpp has the commands that are workers or talk to them,
/// grammar_tasks.cpp those about tasks.
class Grammar::Builder {
public:
    Builder(CLI::App& app, Texts& texts, std::vector<Entry>& entries)
        : app_{app}, texts_{texts}, entries_{entries} {}

    void add_all() {
        add_global_options();
        add_worker();
        add_call();
        add_result();
        add_revoke();
        add_graph();
        add_status();
        add_remote();
        add_purge();
        add_quarantine();
        add_events();
        add_beat();
        add_schedule();
        set_up(app_);
        for (CLI::App* const outer : remote_) outer->set_help_flag("-h,--help,--list", "This text");
        // A word behind a command is no command, whatever it is called.
        app_.require_subcommand(0, 1);
    }

private:
    using Build = Command (*)(const Texts&);

    CLI::App& command(const char* name, const char* what, Build build) {
        CLI::App* const parser = app_.add_subcommand(name, what);
        entries_.push_back({parser, build});
        return *parser;
    }

    /// "-c,--concurrency" as messages call it: "-c/--concurrency".
    static std::string with_slash(std::string names) {
        std::ranges::replace(names, ',', '/');
        return names;
    }

    static void add(CLI::App& command, const char* names, std::string& text, const char* value,
                    const char* what) {
        command.add_option(names, text, what)->type_name(value);
    }

    /// An option that is a setting.
    void add_setting(CLI::App& command, const char* names, const char* setting, const char* value,
                     const char* what) {
        SettingText& text = texts_.settings.emplace_back();
        text.flag.name = setting;
        text.flag.flag = with_slash(names);
        text.option = command.add_option(names, text.flag.value, what)->type_name(value);
    }

    /// An option without a value that is a setting.
    void add_switch(CLI::App& command, const char* names, const char* setting, const char* what) {
        SettingText& text = texts_.settings.emplace_back();
        text.flag.name = setting;
        text.flag.flag = with_slash(names);
        text.option =
            command.add_flag_callback(names, [&value = text.flag.value] { value = "true"; }, what);
    }

    /// An option that may be given several times.
    static void add_many(CLI::App& command, const char* names, std::vector<std::string>& texts,
                         const char* value, const char* what) {
        command.add_option(names, texts, what)
            ->type_name(value)
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }

    void add_queues(CLI::App& command, const char* what) {
        add_many(command, "-Q,--queues", texts_.queues, "NAMES", what);
    }

    void add_global_options();
    void add_worker();
    void add_call();
    void add_result();
    void add_revoke();
    void add_graph();
    void add_status();
    void add_remote();
    void add_remote_method(CLI::App& outer, const RemoteMethod& method);
    void add_remote_options(CLI::App& command);
    void add_purge();
    void add_quarantine();
    void add_events();
    void add_health(CLI::App& command);
    static HealthAddress build_health(const std::string& command, const Texts& texts);
    void add_schedule_name(CLI::App& command);
    void add_beat();
    void add_schedule();
    void add_new_entry(CLI::App& command);
    static void set_up(CLI::App& command);

    static Command build_worker(const Texts& texts);
    static Command build_call(const Texts& texts);
    static Command build_result(const Texts& texts);
    static Command build_revoke(const Texts& texts);
    static Command build_graph(const Texts& texts);
    static Command build_status(const Texts& texts);
    static Command build_remote(const RemoteMethod& method, const Texts& texts);
    static Command build_purge(const Texts& texts);
    static Command build_quarantine(QuarantineArguments::Action action, const Texts& texts);
    static Command build_events(const Texts& texts);
    static Command build_beat(const Texts& texts);
    static Command build_schedule(ScheduleArguments::Action action, const Texts& texts);
    static Json build_new_entry(const Texts& texts);

    CLI::App& app_;
    Texts& texts_;
    std::vector<Entry>& entries_;
    std::vector<CLI::App*> remote_;  ///< `inspect` and `control`.
};

}  // namespace lovage::cli
