// With arguments.cpp the only translation unit that includes CLI11: it costs some ten seconds to
// compile.
#include <lovage/cli/grammar.hpp>

#include <lovage/cli/option_values.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

namespace lovage::cli {

namespace {

/// An option that is a setting.
struct SettingText {
    SettingFlag flag;  ///< Its value is empty while it is not given.
    const CLI::Option* option = nullptr;
};

/// "-c,--concurrency" as messages call it: "-c/--concurrency".
std::string with_slash(std::string names) {
    std::ranges::replace(names, ',', '/');
    return names;
}

}  // namespace

/// Texts of all options as CLI11 leaves them; empty means not given.
struct Grammar::Texts {
    std::deque<SettingText> settings;  // a deque: CLI11 keeps pointers into it
    std::string config;
    bool no_color = false;

    std::vector<std::string> queues, ids;
    std::string hostname, health_port, health_host;
    std::string task, args, kwargs, eta, countdown, expires, queue, priority;
    std::string time_limit, soft_time_limit;
    std::string task_id, timeout, signal;
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

/// Adds the commands. Each add_… is one command's options, followed by the function that reads
/// them.
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
    void add_status();
    void add_remote();
    void add_remote_method(CLI::App& outer, const RemoteMethod& method);
    void add_remote_options(CLI::App& command);
    void add_purge();
    void add_quarantine();
    void add_events();
    void add_health(CLI::App& command);
    void add_schedule_name(CLI::App& command);
    void add_beat();
    void add_schedule();
    void add_new_entry(CLI::App& command);
    static void set_up(CLI::App& command);

    static Command build_worker(const Texts& texts);
    static Command build_call(const Texts& texts);
    static Command build_result(const Texts& texts);
    static Command build_revoke(const Texts& texts);
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

void Grammar::Builder::add_global_options() {
    add_setting(app_, "-b,--broker", "broker_url", "URL",
                "Broker URL; overrides every other source");
    add_setting(app_, "--result-backend", "result_backend", "URL", "Result backend URL");
    add(app_, "--config", texts_.config, "FILE", "Settings file instead of lovage.toml");
    app_.add_flag("-C,--no-color", texts_.no_color, "Plain output on terminals too");
}

void Grammar::Builder::add_worker() {
    CLI::App& worker = command("worker", "Run tasks until told to stop", build_worker);
    add_queues(worker, "Queues to consume, comma separated");
    add_setting(worker, "-c,--concurrency", "worker_concurrency", "N",
                "Slots; default: processors");
    add_setting(worker, "--autoscale", "worker_autoscale", "MAX,MIN",
                "Slots between two bounds, such as 10,3: as many as there is work for");
    add(worker, "-n,--hostname", texts_.hostname, "NAME",
        "Node name, such as w1@%h (%h host, %n its first label, %d its domain)");
    add_setting(worker, "-l,--loglevel", "log_level", "LEVEL",
                "debug, info, warning, error, critical");
    add_setting(worker, "-P,--pool", "worker_pool", "POOL",
                "How tasks run: prefork (default), threads, coroutine, solo");
    add_setting(worker, "--max-tasks-per-child", "worker_max_tasks_per_child", "N",
                "Tasks a prefork slot runs before it is replaced; default: no limit");
    add_setting(worker, "--max-memory-per-child", "worker_max_memory_per_child", "KIB",
                "Memory a prefork slot may use; default: no limit");
    add_setting(worker, "--time-limit", "task_time_limit", "SECONDS",
                "Kill tasks that take longer");
    add_setting(worker, "--soft-time-limit", "task_soft_time_limit", "SECONDS",
                "Ask tasks that take longer to stop");
    worker.add_flag("--without-mingle", texts_.as_always,
                    "As Celery's; workers here do not ask each other at start");
    worker.add_flag("--without-gossip", texts_.as_always,
                    "As Celery's; workers here do not listen to each other");
    add_switch(worker, "-E,--task-events,--events", "worker_send_task_events",
               "Send events of each task, for monitors");
    worker.add_flag("--without-heartbeat", texts_.without_heartbeat,
                    "Send no events of the worker itself");
    add(worker, "--heartbeat-interval", texts_.heartbeat_interval, "SECONDS",
        "Between two heartbeat events; default: 2");
    worker.add_flag("-B,--beat", texts_.beat, "Run the schedule of periodic tasks, too");
    add_schedule_name(worker);
    add_health(worker);
}

void Grammar::Builder::add_health(CLI::App& command) {
    add(command, "--health-port", texts_.health_port, "PORT",
        "Serve /health/live, /health/ready and /metrics on this port");
    add(command, "--health-host", texts_.health_host, "HOST",
        "Address for --health-port; default: 127.0.0.1");
}

Command Grammar::Builder::build_worker(const Texts& texts) {
    WorkerArguments worker;
    worker.queues = to_list("worker: -Q/--queues", texts.queues);
    worker.hostname = texts.hostname;
    if (!texts.health_port.empty()) {
        worker.health_port =
            to_integer<std::uint16_t>("worker: --health-port", texts.health_port, 0, 65535);
    }
    if (!texts.health_host.empty()) worker.health_host = texts.health_host;
    if (!texts.heartbeat_interval.empty()) {
        worker.heartbeat = std::chrono::seconds{to_integer<std::int64_t>(
            "worker: --heartbeat-interval", texts.heartbeat_interval, 1, 86'400)};
    }
    if (texts.without_heartbeat) worker.heartbeat.reset();
    worker.beat = texts.beat;
    if (!texts.schedule.empty() && !texts.beat) refuse("worker: -s/--schedule needs -B/--beat");
    worker.schedule = texts.schedule;
    return worker;
}

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

void Grammar::Builder::add_remote_options(CLI::App& command) {
    command.add_option("-d,--destination", texts_.destination, "Only these nodes, comma separated")
        ->type_name("NODES")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_flag("-j,--json", texts_.json, "For programs");
}

void Grammar::Builder::add_status() {
    CLI::App& status =
        command("status", "Which workers, broker and result backend are there; what is queued",
                build_status);
    add(status, "-t,--timeout", texts_.timeout, "SECONDS",
        "Longest wait for each; default: 5, for workers 1");
    add_remote_options(status);
}

Command Grammar::Builder::build_status(const Texts& texts) {
    StatusArguments status{.destination = to_list("status: -d/--destination", texts.destination),
                           .json = texts.json};
    if (!texts.timeout.empty()) {
        status.timeout = status.node_timeout = to_seconds("status: -t/--timeout", texts.timeout);
    }
    return status;
}

void Grammar::Builder::add_remote() {
    CLI::App* const inspect = app_.add_subcommand("inspect", "Ask workers what they do");
    CLI::App* const control = app_.add_subcommand("control", "Tell workers what to do");
    remote_ = {inspect, control};
    for (CLI::App* const outer : remote_) {
        outer->require_subcommand(0, 1);
        add(*outer, "-t,--timeout", texts_.timeout, "SECONDS",
            "Longest wait for replies; default: 1");
        add_remote_options(*outer);
    }
    for (const RemoteMethod& method : remote_methods()) {
        add_remote_method(method.kind == RemoteKind::inspect ? *inspect : *control, method);
    }
}

void Grammar::Builder::add_remote_method(CLI::App& outer, const RemoteMethod& method) {
    CLI::App* const parser = outer.add_subcommand(method.name, method.what);
    for (const RemoteParameter& parameter : method.parameters) {
        // Called in this order, once the whole line is read.
        const auto take = [&words = texts_.words](const std::string& word) {
            words.push_back(word);
        };
        parser->add_option_function<std::string>(parameter.shown, take, parameter.what)
            ->required(parameter.required);
    }
    if (method.rest != nullptr) {
        parser->add_option(method.rest->shown, texts_.rest, method.rest->what)
            ->required(method.rest->required);
    }
    entries_.push_back(
        {parser, [&method](const Texts& texts) { return build_remote(method, texts); }});
}

Command Grammar::Builder::build_remote(const RemoteMethod& method, const Texts& texts) {
    const std::string name = method.kind == RemoteKind::inspect ? "inspect" : "control";
    RemoteArguments remote{.kind = method.kind,
                           .destination = to_list(name + ": -d/--destination", texts.destination),
                           .json = texts.json};
    if (!texts.timeout.empty()) {
        remote.timeout = to_seconds(name + ": -t/--timeout", texts.timeout);
    }
    std::vector<std::string> words = texts.words;
    words.insert(words.end(), texts.rest.begin(), texts.rest.end());
    remote.command = to_command(method, words);
    return remote;
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
        add_queues(*parser, "Only what came from these queues");
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

void Grammar::Builder::add_events() {
    CLI::App& events =
        command("events", "Follow what workers tell of themselves and of tasks", build_events);
    events.add_flag("-j,--json", texts_.json, "For programs: one JSON object a line");
    add_many(events, "--type", texts_.types, "PATTERNS", "Only these types, such as task-failed");
    add_many(events, "--task", texts_.tasks, "PATTERNS", "Only tasks of these names or ids");
    add_many(events, "--worker", texts_.workers, "PATTERNS", "Only from these node names");
    add(events, "-n,--number", texts_.number, "N", "End after so many; default: never");
}

Command Grammar::Builder::build_events(const Texts& texts) {
    EventsArguments events;
    events.filter = {.types = to_list("events: --type", texts.types),
                     .tasks = to_list("events: --task", texts.tasks),
                     .workers = to_list("events: --worker", texts.workers)};
    events.json = texts.json;
    if (!texts.number.empty()) {
        events.most = to_integer<std::uint64_t>("events: -n/--number", texts.number, 1,
                                                std::numeric_limits<std::int64_t>::max());
    }
    return events;
}

void Grammar::Builder::add_schedule_name(CLI::App& command) {
    add(command, "-s,--schedule", texts_.schedule, "NAME",
        "The schedule's name in the state store; default: the program's");
}

void Grammar::Builder::add_beat() {
    CLI::App& beat = command("beat", "Send periodic tasks at their times", build_beat);
    add_schedule_name(beat);
    add_setting(beat, "--max-interval", "beat_max_loop_interval", "SECONDS",
                "Longest time to sleep before looking at the clock again");
    add_setting(beat, "-l,--loglevel", "log_level", "LEVEL",
                "debug, info, warning, error, critical");
    add_health(beat);
}

Command Grammar::Builder::build_beat(const Texts& texts) {
    BeatArguments beat{.schedule = texts.schedule};
    if (!texts.health_port.empty()) {
        beat.health_port =
            to_integer<std::uint16_t>("beat: --health-port", texts.health_port, 0, 65535);
    }
    if (!texts.health_host.empty()) beat.health_host = texts.health_host;
    return beat;
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
    if (texts.crontab.empty() == texts.every.empty()) {
        refuse("schedule add: give --crontab or --every");
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
