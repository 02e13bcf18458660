// Commands about tasks: sent, looked at, taken back, planned.
#include <lovage/cli/grammar_builder.hpp>

#include <limits>
#include <utility>

namespace lovage::cli {

void Grammar::Builder::add_call() {
    CLI::App& call = command("call", "Send a task by name and print its id", build_call);
    call.add_option("NAME", texts_.task, "The task's name")->required();
    add(call, "-a,--args", texts_.args, "JSON-LIST", "Positional arguments");
    add(call, "-k,--kwargs", texts_.kwargs, "JSON-MAP", "Named arguments");
    add(call, "--eta", texts_.eta, "ISO-TIME", "Run no earlier than this time");
    add(call, "--countdown", texts_.countdown, "SECONDS", "Run no earlier than that long from now");
    add(call, "--expires", texts_.expires, "ISO-TIME|SECONDS", "Do not start later");
    add(call, "--time-limit", texts_.time_limit, "SECONDS", "Kill an attempt that takes longer");
    add(call, "--soft-time-limit", texts_.soft_time_limit, "SECONDS",
        "Ask an attempt to stop that takes longer");
    call.add_option_function<std::string>(
            "--queue",
            [&queue = texts_.queue](const std::string& name) {
                if (name.empty()) refuse("call: --queue: the name of a queue must not be empty");
                queue = name;
            },
            "Send it there whatever the routes say")
        ->type_name("NAME");
    add(call, "--priority", texts_.priority, "N", "0 to 255, larger is more urgent");
}

Command Grammar::Builder::build_call(const Texts& texts) {
    CallArguments call;
    call.task = texts.task;
    if (!texts.args.empty()) call.args = to_json("call: -a/--args", texts.args, Json::Kind::array);
    if (!texts.kwargs.empty())
        call.kwargs = to_json("call: -k/--kwargs", texts.kwargs, Json::Kind::object);
    SendOptions& options = call.options;
    options.queue = texts.queue;
    if (!texts.eta.empty()) options.eta = to_time("call: --eta", texts.eta);
    if (!texts.countdown.empty())
        options.countdown = to_seconds("call: --countdown", texts.countdown);
    if (options.eta && options.countdown) refuse("call: give --eta or --countdown, not both");
    if (!texts.expires.empty()) options.expires = to_expiry("call: --expires", texts.expires);
    if (!texts.time_limit.empty())
        options.time_limit = to_seconds("call: --time-limit", texts.time_limit);
    if (!texts.soft_time_limit.empty())
        options.soft_time_limit = to_seconds("call: --soft-time-limit", texts.soft_time_limit);
    if (!texts.priority.empty()) {
        options.priority =
            static_cast<std::uint8_t>(to_integer("call: --priority", texts.priority, 0, 255));
    }
    return call;
}

void Grammar::Builder::add_result() {
    CLI::App& result = command("result", "Wait for a task and print its value", build_result);
    result.add_option("ID", texts_.task_id, "The task's id")->required();
    add(result, "-t,--timeout", texts_.timeout, "SECONDS|forever", "Longest wait; default: 60");
    result.add_flag("--traceback", texts_.traceback, "Print the traceback instead of the value");
}

Command Grammar::Builder::build_result(const Texts& texts) {
    ResultArguments result{.task_id = texts.task_id, .traceback = texts.traceback};
    if (texts.timeout == "forever") {
        result.timeout.reset();
    } else if (!texts.timeout.empty()) {
        result.timeout = to_seconds("result: -t/--timeout", texts.timeout);
    }
    return result;
}

void Grammar::Builder::add_revoke() {
    CLI::App& revoke =
        command("revoke", "Tell workers, also later ones, not to run tasks", build_revoke);
    revoke.add_option("ID", texts_.ids, "The tasks' ids")->required();
    revoke.add_flag("--terminate", texts_.terminate, "Stop them where they run already, too");
    add(revoke, "--signal", texts_.signal, "NAME",
        "With --terminate: what a prefork slot gets; default: SIGTERM");
}

Command Grammar::Builder::build_revoke(const Texts& texts) {
    RevokeArguments revoke{.task_ids = texts.ids, .options = {.terminate = texts.terminate}};
    if (!texts.signal.empty()) {
        if (!texts.terminate) refuse("revoke: --signal needs --terminate");
        revoke.options.signal = to_signal("revoke: --signal", texts.signal);
    }
    return revoke;
}

void Grammar::Builder::add_graph() {
    CLI::App& graph =
        command("graph", "Draw the workflow of a task, from its stored results", build_graph);
    graph.add_option("ID", texts_.task_id, "A task's id, its root's or any other; or a group's")
        ->required();
    add(graph, "--format", texts_.format, "dot|json", "Graphviz's language, or JSON; default: dot");
}

Command Grammar::Builder::build_graph(const Texts& texts) {
    GraphArguments graph{.task_id = texts.task_id};
    if (texts.format == "json") {
        graph.format = GraphArguments::Format::json;
    } else if (!texts.format.empty() && texts.format != "dot") {
        refuse("graph: --format: '{}' is neither dot nor json", texts.format);
    }
    return graph;
}

void Grammar::Builder::add_purge() {
    CLI::App& purge = command("purge", "Erase the messages that wait in queues", build_purge);
    purge.add_flag("-f,--force", texts_.force, "Do not ask");
    add_queues(purge, "Which; default: the default queue and those of task_routes");
}

Command Grammar::Builder::build_purge(const Texts& texts) {
    return PurgeArguments{.queues = to_list("purge: -Q/--queues", texts.queues),
                          .force = texts.force};
}

void Grammar::Builder::add_quarantine() {
    using enum QuarantineArguments::Action;
    CLI::App* const quarantine = app_.add_subcommand(
        "quarantine", "Messages workers could not make a task of, kept with their reason");
    quarantine->require_subcommand(0, 1);
    const auto add_action = [&](const char* name, const char* what,
                                QuarantineArguments::Action action) {
        CLI::App* const parser = quarantine->add_subcommand(name, what);
        add_queues(
            *parser,
            "Only what came from these queues; on RabbitMQ the default is those the program knows");
        if (action != list) parser->add_option("ID", texts_.ids, "Task ids, or their beginnings");
        if (action == replay || action == drop)
            parser->add_flag("--all", texts_.all, "Every message");
        if (action == drop) parser->add_flag("-f,--force", texts_.force, "Do not ask");
        entries_.push_back(
            {parser, [action](const Texts& texts) { return build_quarantine(action, texts); }});
    };
    add_action("list", "One line a message", list);
    add_action("show", "Everything about messages", show);
    add_action("replay", "Send messages to their queue again, as they were", replay);
    add_action("drop", "Erase messages", drop);
}

Command Grammar::Builder::build_quarantine(QuarantineArguments::Action action, const Texts& texts) {
    using enum QuarantineArguments::Action;
    QuarantineArguments arguments{.action = action,
                                  .queues = to_list("quarantine: -Q/--queues", texts.queues),
                                  .ids = texts.ids,
                                  .all = texts.all,
                                  .force = texts.force};
    const bool acts = action == replay || action == drop;
    if (acts && arguments.ids.empty() && !arguments.all) {
        refuse("quarantine {}: name the messages by id (see `quarantine list`), or say --all",
               action == replay ? "replay" : "drop");
    }
    if (acts && !arguments.ids.empty() && arguments.all)
        refuse("quarantine: give ids or --all, not both");
    if (std::ranges::any_of(arguments.ids, &std::string::empty))
        refuse("quarantine: an id is empty, which every message's begins with");
    return arguments;
}

void Grammar::Builder::add_schedule() {
    using enum ScheduleArguments::Action;
    CLI::App* const schedule =
        app_.add_subcommand("schedule", "The entries that beat sends, seen and changed");
    schedule->require_subcommand(0, 1);
    const auto add_action = [&](const char* name, const char* what,
                                ScheduleArguments::Action action) {
        CLI::App* const parser = schedule->add_subcommand(name, what);
        if (action != list) {
            parser->add_option("NAME", texts_.entry, "The entry's name")->required();
        }
        if (action == list) parser->add_flag("-j,--json", texts_.json, "For programs");
        if (action == add) add_new_entry(*parser);
        add_schedule_name(*parser);
        entries_.push_back(
            {parser, [action](const Texts& texts) { return build_schedule(action, texts); }});
    };
    add_action("list", "One line an entry", list);
    add_action("add", "Add an entry, or change the one of this name",
               ScheduleArguments::Action::add);
    add_action("remove", "Remove an entry that was added", remove);
    add_action("pause", "Keep an entry from being sent", pause);
    add_action("resume", "Send it again from its next time on", resume);
    add_action("run", "Send an entry now, besides its times", run);
}

void Grammar::Builder::add_new_entry(CLI::App& command) {
    command.add_option("TASK", texts_.task, "The task's name")->required();
    add(command, "--crontab", texts_.crontab, "TEXT",
        "Its times: minute hour day-of-month month day-of-week");
    add(command, "--every", texts_.every, "SECONDS", "Its times: so often");
    command.add_flag("--relative", texts_.relative,
                     "With --every: on the full second, minute, hour or day");
    add(command, "-a,--args", texts_.args, "JSON-LIST", "Positional arguments");
    add(command, "-k,--kwargs", texts_.kwargs, "JSON-MAP", "Named arguments");
    add(command, "--queue", texts_.queue, "NAME", "Send it there whatever the routes say");
    add(command, "--priority", texts_.priority, "N", "0 to 255, larger is more urgent");
    add(command, "--expires", texts_.expires, "SECONDS", "Do not start later than that");
    add(command, "--catch-up", texts_.catch_up, "latest|all",
        "What becomes of missed times; default: the latest one comes, late");
    add(command, "--starting-deadline", texts_.starting_deadline, "SECONDS",
        "A time that is later than that does not come any more");
}

Json Grammar::Builder::build_new_entry(const Texts& texts) {
    const auto seconds = [](const char* option, const std::string& text) {
        return Json{std::chrono::duration<double>{to_seconds(option, text)}.count()};
    };
    const bool no_times = texts.crontab.empty() && texts.every.empty();
    if (no_times && texts.relative) refuse("schedule add: --relative needs --every");
    if (no_times) refuse("schedule add: say when, with --crontab or --every");
    if (!texts.crontab.empty() && !texts.every.empty()) {
        refuse("schedule add: --crontab or --every, not both");
    }
    if (!texts.crontab.empty() && texts.relative) {
        refuse("schedule add: --relative belongs to --every; a crontab is on the minute anyway");
    }
    Json entry = Json::object();
    entry.set("task", texts.task);
    entry.set("schedule", texts.every.empty() ? Json{texts.crontab}
                                              : seconds("schedule add: --every", texts.every));
    if (texts.relative) entry.set("relative", true);
    if (!texts.args.empty()) {
        entry.set("args", to_json("schedule add: -a/--args", texts.args, Json::Kind::array));
    }
    if (!texts.kwargs.empty()) {
        entry.set("kwargs", to_json("schedule add: -k/--kwargs", texts.kwargs, Json::Kind::object));
    }
    Json options = Json::object();
    if (!texts.queue.empty()) options.set("queue", texts.queue);
    if (!texts.priority.empty()) {
        options.set("priority", to_integer("schedule add: --priority", texts.priority, 0, 255));
    }
    if (!texts.expires.empty()) {
        options.set("expires", seconds("schedule add: --expires", texts.expires));
    }
    entry.set("options", std::move(options));
    if (!texts.catch_up.empty()) entry.set("catch_up", texts.catch_up);
    if (!texts.starting_deadline.empty()) {
        entry.set("starting_deadline",
                  seconds("schedule add: --starting-deadline", texts.starting_deadline));
    }
    return entry;
}

Command Grammar::Builder::build_schedule(ScheduleArguments::Action action, const Texts& texts) {
    ScheduleArguments arguments{
        .action = action, .schedule = texts.schedule, .name = texts.entry, .json = texts.json};
    if (action == ScheduleArguments::Action::add) arguments.entry = build_new_entry(texts);
    return arguments;
}

}  // namespace lovage::cli
