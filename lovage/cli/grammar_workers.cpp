// Commands that are workers, and those that talk to them.
#include <lovage/cli/grammar_builder.hpp>

#include <limits>
#include <utility>

namespace lovage::cli {

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

HealthAddress Grammar::Builder::build_health(const std::string& command, const Texts& texts) {
    HealthAddress health;
    if (!texts.health_port.empty()) {
        health.port =
            to_integer<std::uint16_t>(command + ": --health-port", texts.health_port, 0, 65535);
    }
    if (!texts.health_host.empty()) health.host = texts.health_host;
    return health;
}

Command Grammar::Builder::build_worker(const Texts& texts) {
    WorkerArguments worker;
    worker.queues = to_list("worker: -Q/--queues", texts.queues);
    worker.hostname = texts.hostname;
    worker.health = build_health("worker", texts);
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

void Grammar::Builder::add_remote_options(CLI::App& command) {
    command.add_option("-d,--destination", texts_.destination, "Only these nodes, comma separated")
        ->type_name("NODES")
        ->expected(1)
        ->allow_extra_args(false)  // what stands behind is the command's
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
    return BeatArguments{.schedule = texts.schedule, .health = build_health("beat", texts)};
}

}  // namespace lovage::cli
