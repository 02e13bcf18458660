// The only translation unit that includes CLI11: it costs some ten seconds to compile.
#include <lovage/cli/arguments.hpp>

#include <lovage/runtime/did_you_mean.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// A wrong command line; caught in parse_arguments().
struct UsageError {
    std::string message;
};

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
    throw UsageError{fmt::format(format, std::forward<Args>(args)...)};
}

// Conversions of option texts. `option` is how messages call the option.

double to_number(const std::string& option, const std::string& text) {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    constexpr double kTenYears = 10.0 * 366 * 86400;
    const bool read = error == std::errc{} && stop == end;
    if (read && number < 0) refuse("{}: '{}' must not be negative", option, text);
    if (!read || !(number <= kTenYears)) {
        refuse("{}: '{}' is no number of seconds (such as 10 or 2.5)", option, text);
    }
    return number;
}

std::chrono::milliseconds to_seconds(const std::string& option, const std::string& text) {
    return std::chrono::milliseconds{std::llround(to_number(option, text) * 1000)};
}

template <class Integer>
Integer to_integer(const std::string& option, const std::string& text, Integer low, Integer high) {
    Integer number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end || number < low || number > high) {
        refuse("{}: '{}' is no whole number from {} to {}", option, text, low, high);
    }
    return number;
}

/// What `--expires` takes: a time, or seconds from now.
std::variant<std::monostate, std::chrono::milliseconds, TimePoint> to_expiry(
    const std::string& option, const std::string& text) {
    if (const auto time = parse_iso8601(text); time && text.contains('-')) return *time;
    if (text.empty() || text.find_first_not_of("+-.0123456789") != std::string::npos) {
        refuse(
            "{}: '{}' is neither a number of seconds (such as 60) nor an ISO 8601 time (such as "
            "2026-11-21T18:30:00+01:00)",
            option, text);
    }
    return to_seconds(option, text);
}

TimePoint to_time(const std::string& option, const std::string& text) {
    const auto time = parse_iso8601(text);
    if (!time)
        refuse("{}: '{}' is no ISO 8601 time (such as 2026-11-21T18:30:00+01:00)", option, text);
    return *time;
}

Json to_json(const std::string& option, const std::string& text, Json::Kind kind) {
    auto value = parse_json(text);
    const char* const wanted =
        kind == Json::Kind::array ? "list, such as [1, 2]" : "map, such as {\"x\": 1}";
    if (!value) refuse("{}: '{}' is no JSON {}: {}", option, text, wanted, value.error().detail);
    if (value->kind() != kind) refuse("{}: '{}' is no JSON {}", option, text, wanted);
    return std::move(*value);
}

std::vector<std::string> to_list(const std::string& option, const std::vector<std::string>& texts) {
    std::vector<std::string> names;
    for (const std::string& text : texts) {
        std::size_t start = 0;
        while (start <= text.size()) {
            const std::size_t end = std::min(text.find(',', start), text.size());
            std::string name = text.substr(start, end - start);
            if (name.empty()) refuse("{}: '{}' holds an empty queue name", option, text);
            if (!std::ranges::count(names, name)) names.push_back(std::move(name));
            start = end + 1;
        }
    }
    return names;
}

/// Texts of all options as CLI11 leaves them; empty means not given.
struct Texts {
    std::string broker, result_backend, config;
    bool no_color = false;

    std::vector<std::string> queues;
    std::string concurrency, autoscale, hostname, loglevel, pool, max_tasks_per_child,
        max_memory_per_child;
    std::string worker_time_limit, worker_soft_time_limit, health_port, health_host;
    std::string task, args, kwargs, eta, countdown, expires, queue, priority;
    std::string time_limit, soft_time_limit;
    std::string task_id, timeout;
    bool traceback = false, json = false, force = false, all = false;
    std::vector<std::string> ids;
};

using Build = std::function<Command(const Texts&)>;

/// A sub-command with what makes its arguments from the texts.
struct Entry {
    CLI::App* parser;
    Build build;
};

Command build_worker(const Texts& texts) {
    WorkerArguments worker;
    worker.queues = to_list("worker: -Q/--queues", texts.queues);
    worker.hostname = texts.hostname;
    if (!texts.health_port.empty()) {
        worker.health_port =
            to_integer<std::uint16_t>("worker: --health-port", texts.health_port, 0, 65535);
    }
    if (!texts.health_host.empty()) worker.health_host = texts.health_host;
    return worker;
}

Command build_call(const Texts& texts) {
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

Command build_result(const Texts& texts) {
    ResultArguments result{.task_id = texts.task_id, .traceback = texts.traceback};
    if (!texts.timeout.empty()) result.timeout = to_seconds("result: -t/--timeout", texts.timeout);
    return result;
}

Command build_status(const Texts& texts) {
    StatusArguments status{.json = texts.json};
    if (!texts.timeout.empty()) status.timeout = to_seconds("status: -t/--timeout", texts.timeout);
    return status;
}

Command build_purge(const Texts& texts) {
    return PurgeArguments{.queues = to_list("purge: -Q/--queues", texts.queues),
                          .force = texts.force};
}

Command build_quarantine(QuarantineArguments::Action action, const Texts& texts) {
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
    return arguments;
}

void add_global_options(CLI::App& app, Texts& texts) {
    app.add_option("-b,--broker", texts.broker, "Broker URL; overrides every other source")
        ->type_name("URL");
    app.add_option("--result-backend", texts.result_backend, "Result backend URL")
        ->type_name("URL");
    app.add_option("--config", texts.config, "Settings file instead of lovage.toml")
        ->type_name("FILE");
    app.add_flag("-C,--no-color", texts.no_color, "Plain output on terminals too");
}

Entry add_worker(CLI::App& app, Texts& texts) {
    CLI::App* worker = app.add_subcommand("worker", "Run tasks until told to stop");
    worker->add_option("-Q,--queues", texts.queues, "Queues to consume, comma separated")
        ->type_name("NAMES")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    worker->add_option("-c,--concurrency", texts.concurrency, "Slots; default: processors")
        ->type_name("N");
    worker
        ->add_option("--autoscale", texts.autoscale,
                     "Slots between two bounds, such as 10,3: as many as there is work for")
        ->type_name("MAX,MIN");
    worker
        ->add_option("-n,--hostname", texts.hostname,
                     "Node name, such as w1@%h (%h host, %n its first label, "
                     "%d its domain)")
        ->type_name("NAME");
    worker->add_option("-l,--loglevel", texts.loglevel, "debug, info, warning, error, critical")
        ->type_name("LEVEL");
    worker
        ->add_option("-P,--pool", texts.pool,
                     "How tasks run: prefork (default), threads, coroutine, solo")
        ->type_name("POOL");
    worker
        ->add_option("--max-tasks-per-child", texts.max_tasks_per_child,
                     "Tasks a prefork slot runs before it is replaced; default: no limit")
        ->type_name("N");
    worker
        ->add_option("--max-memory-per-child", texts.max_memory_per_child,
                     "Memory a prefork slot may use; default: no limit")
        ->type_name("KIB");
    worker->add_option("--time-limit", texts.worker_time_limit, "Kill tasks that take longer")
        ->type_name("SECONDS");
    worker
        ->add_option("--soft-time-limit", texts.worker_soft_time_limit,
                     "Ask tasks that take longer to stop")
        ->type_name("SECONDS");
    worker
        ->add_option("--health-port", texts.health_port,
                     "Serve /health/live, /health/ready and /metrics on this port")
        ->type_name("PORT");
    worker
        ->add_option("--health-host", texts.health_host,
                     "Address for --health-port; default: 127.0.0.1")
        ->type_name("HOST");
    return {worker, build_worker};
}

Entry add_call(CLI::App& app, Texts& texts) {
    CLI::App* call = app.add_subcommand("call", "Send a task by name and print its id");
    call->add_option("NAME", texts.task, "The task's name")->required();
    call->add_option("-a,--args", texts.args, "Positional arguments")->type_name("JSON-LIST");
    call->add_option("-k,--kwargs", texts.kwargs, "Named arguments")->type_name("JSON-MAP");
    call->add_option("--eta", texts.eta, "Run no earlier than this time")->type_name("ISO-TIME");
    call->add_option("--countdown", texts.countdown, "Run no earlier than that long from now")
        ->type_name("SECONDS");
    call->add_option("--expires", texts.expires, "Do not start later")
        ->type_name("ISO-TIME|SECONDS");
    call->add_option("--time-limit", texts.time_limit, "Kill an attempt that takes longer")
        ->type_name("SECONDS");
    call->add_option("--soft-time-limit", texts.soft_time_limit,
                     "Ask an attempt to stop that takes longer")
        ->type_name("SECONDS");
    call->add_option_function<std::string>(
            "--queue",
            [&texts](const std::string& name) {
                if (name.empty()) refuse("call: --queue: the name of a queue must not be empty");
                texts.queue = name;
            },
            "Send it there whatever the routes say")
        ->type_name("NAME");
    call->add_option("--priority", texts.priority, "0 to 255, larger is more urgent")
        ->type_name("N");
    return {call, build_call};
}

Entry add_result(CLI::App& app, Texts& texts) {
    CLI::App* result = app.add_subcommand("result", "Wait for a task and print its value");
    result->add_option("ID", texts.task_id, "The task's id")->required();
    result->add_option("-t,--timeout", texts.timeout, "Longest wait; default: none")
        ->type_name("SECONDS");
    result->add_flag("--traceback", texts.traceback, "Print the traceback instead of the value");
    return {result, build_result};
}

Entry add_status(CLI::App& app, Texts& texts) {
    CLI::App* status =
        app.add_subcommand("status", "Are broker and result backend there; what is queued");
    status->add_option("-t,--timeout", texts.timeout, "Longest wait for each; default: 5")
        ->type_name("SECONDS");
    status->add_flag("-j,--json", texts.json, "For programs");
    return {status, build_status};
}

void add_queues(CLI::App& command, Texts& texts, const char* what) {
    command.add_option("-Q,--queues", texts.queues, what)
        ->type_name("NAMES")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Entry add_purge(CLI::App& app, Texts& texts) {
    CLI::App* purge = app.add_subcommand("purge", "Erase the messages that wait in queues");
    purge->add_flag("-f,--force", texts.force, "Do not ask");
    add_queues(*purge, texts, "Which; default: the default queue and those of task_routes");
    return {purge, build_purge};
}

std::vector<Entry> add_quarantine(CLI::App& app, Texts& texts) {
    using enum QuarantineArguments::Action;
    CLI::App* quarantine = app.add_subcommand(
        "quarantine", "Messages workers could not make a task of, kept with their reason");
    quarantine->require_subcommand(0, 1);
    const auto add = [&](const char* name, const char* what, QuarantineArguments::Action action) {
        CLI::App* parser = quarantine->add_subcommand(name, what);
        add_queues(*parser, texts, "Only what came from these queues");
        return Entry{parser,
                     [action](const Texts& given) { return build_quarantine(action, given); }};
    };
    std::vector<Entry> entries{
        add("list", "One line a message", list), add("show", "Everything about messages", show),
        add("replay", "Send messages to their queue again, as they were", replay),
        add("drop", "Erase messages", drop)};
    for (std::size_t i = 1; i < entries.size(); ++i) {
        entries[i].parser->add_option("ID", texts.ids, "Task ids, or their beginnings");
    }
    for (std::size_t i = 2; i < entries.size(); ++i) {
        entries[i].parser->add_flag("--all", texts.all, "Every message");
    }
    entries[3].parser->add_flag("-f,--force", texts.force, "Do not ask");
    return entries;
}

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

/// The words that chose `command`: "quarantine list".
std::string full_name(const CLI::App& command) {
    std::string name = command.get_name();
    for (const CLI::App* level = command.get_parent();
         level != nullptr && level->get_parent() != nullptr; level = level->get_parent()) {
        name = level->get_name() + ' ' + name;
    }
    return name;
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

/// What to say when the argument of `command` is missing.
std::string missing_argument(const CLI::App& command) {
    const std::string name = full_name(command);
    if (name == "call") return "call: name the task to send, such as: call add --args '[1, 2]'";
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

std::vector<SettingFlag> setting_flags(const Texts& texts) {
    std::vector<SettingFlag> flags;
    const auto add = [&](const char* name, const std::string& value, const char* flag) {
        if (!value.empty()) flags.push_back({name, value, flag});
    };
    add("broker_url", texts.broker, "-b/--broker");
    add("result_backend", texts.result_backend, "--result-backend");
    add("worker_concurrency", texts.concurrency, "-c/--concurrency");
    add("worker_autoscale", texts.autoscale, "--autoscale");
    add("log_level", texts.loglevel, "-l/--loglevel");
    add("worker_pool", texts.pool, "-P/--pool");
    add("worker_max_tasks_per_child", texts.max_tasks_per_child, "--max-tasks-per-child");
    add("worker_max_memory_per_child", texts.max_memory_per_child, "--max-memory-per-child");
    add("task_time_limit", texts.worker_time_limit, "--time-limit");
    add("task_soft_time_limit", texts.worker_soft_time_limit, "--soft-time-limit");
    return flags;
}

/// Options everybody has, for the app and for each sub-command.
void set_up(CLI::App& command) {
    command.allow_extras();  // refuse_leftovers() has better messages
    command.fallthrough();
    command.set_help_flag("-h,--help", "This text");
    command.get_formatter()->column_width(34);
    for (CLI::App* inner : command.get_subcommands({})) set_up(*inner);
}

}  // namespace

std::string version_text() {
    return "Lovage " LOVAGE_VERSION;
}

std::expected<Invocation, Ending> parse_arguments(std::vector<std::string> arguments,
                                                  const std::string& program) {
    Texts texts;
    CLI::App app{version_text() + ": tasks through a message broker, as Celery has them", program};
    app.set_version_flag("--version", version_text());
    add_global_options(app, texts);
    std::vector<Entry> entries{add_worker(app, texts), add_call(app, texts), add_result(app, texts),
                               add_status(app, texts), add_purge(app, texts)};
    std::ranges::move(add_quarantine(app, texts), std::back_inserter(entries));
    set_up(app);

    const auto usage_error = [&](const std::string& message) {
        return std::unexpected{
            Ending{2, fmt::format("Error: {}\nTry '{} --help'.\n", message, program)}};
    };
    try {
        std::ranges::reverse(arguments);  // as CLI11 wants them
        app.parse(std::move(arguments));
        refuse_leftovers(app);
        const auto chosen = std::ranges::find(entries, &innermost(app), &Entry::parser);
        if (chosen == entries.end()) {
            return std::unexpected{
                Ending{2, fmt::format("Error: a command is needed\n{}", app.help())}};
        }
        Invocation invocation{chosen->build(texts), setting_flags(texts), std::nullopt,
                              !texts.no_color};
        if (!texts.config.empty()) invocation.config = texts.config;
        return invocation;
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
