#include <lovage/runtime/detail/settings_table.hpp>

#include <lovage/runtime/detail/mask_secrets.hpp>
#include <lovage/runtime/detail/settings_kinds.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

namespace lovage::detail {

namespace {

using S = Settings;

constexpr std::int64_t kAnyCount = std::numeric_limits<std::uint32_t>::max();

constexpr std::array<Word<log::Level>, 8> kLevels{{{"debug", log::Level::debug},
                                                   {"info", log::Level::info},
                                                   {"warning", log::Level::warning},
                                                   {"error", log::Level::error},
                                                   {"critical", log::Level::critical},
                                                   {"off", log::Level::off},
                                                   {"warn", log::Level::warning},
                                                   {"fatal", log::Level::critical}}};

constexpr std::array<Word<log::Format>, 3> kFormats{{{"automatic", log::Format::automatic},
                                                     {"text", log::Format::text},
                                                     {"json", log::Format::json}}};

constexpr std::array<Word<DeliveryProfile>, 3> kDeliveries{{{"celery", DeliveryProfile::celery},
                                                            {"durable", DeliveryProfile::durable},
                                                            {"quorum", DeliveryProfile::quorum}}};

/// Messages held for longer than RabbitMQ's consumer timeout would come back.
std::optional<std::chrono::milliseconds> read_horizon(const Json& value) {
    const auto time = read_seconds(value);
    const bool fits = time && *time >= std::chrono::seconds{1} && *time <= std::chrono::minutes{15};
    return fits ? time : std::nullopt;
}

/// Shorter ones lapse when a busy machine is late with a renewal; longer ones are no use.
std::optional<std::chrono::milliseconds> read_lease(const Json& value) {
    const auto time = read_seconds(value);
    const bool fits = time && *time >= std::chrono::seconds{1} && *time <= std::chrono::hours{1};
    return fits ? time : std::nullopt;
}

/// Node names, words and UUIDs are put around it: the whole must fit AMQP's 255 bytes.
std::optional<std::string> read_name_part(const Json& value) {
    auto name = read_queue_name(value);
    return name && name->size() <= 200 ? name : std::nullopt;
}

std::optional<RateLimit> read_rate_limit(const Json& value) {
    if (!value.is_string() && !value.is_integer() && !value.is_real()) return std::nullopt;
    const auto limit =
        parse_rate_limit(value.is_string() ? value.as_string() : to_json_text(value));
    return limit ? std::optional{*limit} : std::nullopt;
}

// The rows, by the headings of the reference.

std::vector<Setting> server_rows() {
    return {
        url("broker_url", Owner::celery, &S::broker_url,
            "The message broker; several URLs separated by ';' are alternatives where the driver "
            "knows such."),
        url("result_backend", Owner::celery, &S::result_backend,
            "Where results and task states are stored."),
        special("result_backend_transport_options", Owner::celery,
                {.type = "map",
                 .unit = "",
                 .range = R"({"global_keyprefix": prefix}; JSON outside a file)",
                 .text = R"(a map with nothing but a global_keyprefix of at most 200 bytes, such )"
                         R"(as {"global_keyprefix": "shop"})"},
                &S::result_backend_transport_options,
                "What stands before every key that results and states have in Redis: stacks that "
                "share a database need one each. A '_' follows it unless it ends in one of ':_-.'.",
                read_result_options, show_result_options),
    };
}

std::vector<Setting> queue_rows() {
    return {
        special("task_default_queue", Owner::celery,
                {.type = "text",
                 .unit = "",
                 .range = "1 to 255 bytes without control characters",
                 .text = "a queue's name, 1 to 255 bytes"},
                &S::task_default_queue,
                "The queue of tasks that nothing else sends elsewhere, and the one a worker "
                "consumes without -Q.",
                read_queue_name, [](const std::string& name) { return name; }),
        special("task_routes", Owner::celery,
                {.type = "map",
                 .unit = "",
                 .range = R"(pattern → queue, or pattern → {queue, priority}; JSON outside a file)",
                 .text = "a map from task names or patterns to a queue or {queue, priority}, such "
                         R"(as {"mail.*": "mail", "report": {"queue": "slow", "priority": 3}})"},
                &S::task_routes,
                "Queue and priority of tasks by name: an exact name first, then the first pattern "
                "with '*' or '?' that matches.",
                read_routes, show_routes),
        whole_number("task_default_priority", Owner::celery, {.low = 0, .high = 255},
                     &S::task_default_priority,
                     "The priority of tasks without one of their own; larger is more urgent."),
        whole_number("task_queue_max_priority", Owner::celery, {.low = 1, .high = 255},
                     &S::task_queue_max_priority,
                     "How many priorities the task queues have (x-max-priority)."),
        word("task_default_queue_type", Owner::celery, {"classic", "quorum"},
             &S::task_default_queue_type, "none",
             "The type of the default queue (x-queue-type); none leaves it to the broker."),
        word("task_create_missing_queue_type", Owner::celery, {"classic", "quorum"},
             &S::task_create_missing_queue_type, "none",
             "The type of all other task queues that are created (x-queue-type)."),
    };
}

std::vector<Setting> delivery_rows() {
    return {
        word("delivery", Owner::lovage, std::span<const Word<DeliveryProfile>>{kDeliveries},
             &S::delivery,
             "What is promised about a task: as Celery does by default, at least once, or at least "
             "once on replicated queues."),
        override_of("task_acks_late", Owner::celery, &S::task_acks_late,
                    "Acknowledge a message after its task's result is stored, not before it "
                    "starts."),
        override_of("task_acks_on_failure_or_timeout", Owner::celery,
                    &S::task_acks_on_failure_or_timeout,
                    "With late acknowledgement: acknowledge tasks that failed or met their hard "
                    "time limit, too."),
        override_of("task_reject_on_worker_lost", Owner::celery, &S::task_reject_on_worker_lost,
                    "Run a task again whose slot died, until its third crash in 72 hours."),
        override_of("task_publish_mandatory", Owner::lovage, &S::task_publish_mandatory,
                    "A message that no queue takes is an error of the send instead of nothing."),
        seconds("task_publish_timeout", Owner::lovage, &S::task_publish_timeout,
                "The longest time a send may take until the broker has confirmed it."),
    };
}

std::vector<Setting> task_rows() {
    return {
        limit("task_time_limit", Owner::celery, &S::task_time_limit,
              "Hard limit of an attempt: its slot is killed and the task ends as FAILURE."),
        limit("task_soft_time_limit", Owner::celery, &S::task_soft_time_limit,
              "Soft limit of an attempt: the task is asked to stop at its next check point."),
        special("task_default_rate_limit", Owner::celery,
                {.type = "text or number",
                 .unit = "",
                 .range = "a number, then /s, /m or /h; 0 for none",
                 .text = "a number of tasks with /s, /m or /h after it, such as 10/m"},
                &S::task_default_rate_limit,
                "How many tasks of one name may begin in a time, in each worker, for tasks that "
                "say nothing else.",
                read_rate_limit, [](const RateLimit& limit) { return to_string(limit); }),
        boolean("task_ignore_result", Owner::celery, &S::task_ignore_result,
                "Store no results, unless a task or a call says otherwise."),
        boolean("task_store_errors_even_if_ignored", Owner::celery,
                &S::task_store_errors_even_if_ignored,
                "Store failures of tasks whose results are ignored."),
        boolean("task_track_started", Owner::celery, &S::task_track_started,
                "Store the state STARTED when a task begins."),
        boolean("task_track_sent", Owner::lovage, &S::task_track_sent,
                "Leave a mark at each send, so that an id nobody sent can be told from a pending "
                "one."),
    };
}

std::vector<Setting> result_rows() {
    return {
        expiry("result_expires", Owner::celery, &S::result_expires,
               "How long results are kept; a fraction of a second counts as a whole one."),
        boolean("result_extended", Owner::celery, &S::result_extended,
                "Store a task's name, arguments, queue and worker with its result."),
    };
}

std::vector<Setting> worker_rows() {
    return {
        with_default("the processors this process may use (pool coroutine: 1000)",
                     whole_number("worker_concurrency", Owner::celery, {.low = 1, .high = 10'000},
                                  &S::worker_concurrency,
                                  "Slots of a worker: how many tasks it runs at a time.")),
        special("worker_autoscale", Owner::lovage,
                {.type = "text",
                 .unit = "",
                 .range = "MAX,MIN or MAX, each from 1 to 10000",
                 .text = "two whole numbers from 1 to 10000 such as 10,3 (most and fewest), or the "
                         "most"},
                &S::worker_autoscale,
                "Keep between MIN and MAX slots, as many as there is work for, instead of "
                "worker_concurrency; Celery's --autoscale.",
                read_autoscale, show_autoscale),
        seconds("worker_autoscale_keepalive", Owner::lovage, &S::worker_autoscale_keepalive,
                "How long worker_autoscale keeps slots that are not needed; Celery's "
                "AUTOSCALE_KEEPALIVE."),
        with_default("prefork in programs that call lovage::main, else threads",
                     word("worker_pool", Owner::celery, {"prefork", "threads", "coroutine", "solo"},
                          &S::worker_pool, "default",
                          "What a slot is: a process, a thread or a coroutine.")),
        whole_number("worker_max_tasks_per_child", Owner::celery,
                     {.low = 0, .high = kAnyCount, .unit = "", .zero = "no limit"},
                     &S::worker_max_tasks_per_child,
                     "Tasks a prefork slot runs before it is replaced."),
        whole_number("worker_max_memory_per_child", Owner::celery,
                     {.low = 0, .high = kAnyCount, .unit = "KiB", .zero = "no limit"},
                     &S::worker_max_memory_per_child,
                     "Resident memory of a prefork slot, above which it is replaced after its "
                     "task, or killed when that goes on growing."),
        boolean("worker_disable_rate_limits", Owner::celery, &S::worker_disable_rate_limits,
                "Run tasks as if none had a rate limit."),
        with_default("/var/tmp/lovage-<user id>",
                     special("worker_inflight_folder", Owner::lovage,
                             {.type = "text",
                              .unit = "",
                              .range = "a folder of this user's alone, on a local disk",
                              .text = "a folder"},
                             &S::worker_inflight_folder,
                             "Where a worker notes which tasks run, for whoever finds that it "
                             "died.",
                             read_folder, show_folder)),
        whole_number("worker_eta_task_limit", Owner::celery, {.low = 1, .high = 50'000},
                     &S::worker_eta_task_limit,
                     "Tasks a worker holds until their time comes; more wait with the broker."),
        special("worker_eta_horizon", Owner::lovage,
                {.type = "number",
                 .unit = "seconds",
                 .range = "1 to 900",
                 .text = "a number of seconds from 1 to 900"},
                &S::worker_eta_horizon,
                "How long before its time a task is taken from the broker and held.", read_horizon,
                show_seconds),
        special("worker_lease", Owner::lovage,
                {.type = "number",
                 .unit = "seconds",
                 .range = "1 to 3600",
                 .text = "a number of seconds from 1 to 3600"},
                &S::worker_lease,
                "How long the places of concurrency limits, and the keys of unique tasks, stay "
                "taken when the worker dies that runs the task.",
                read_lease, show_seconds),
        seconds("worker_shutdown_timeout", Owner::lovage, &S::worker_shutdown_timeout,
                "How long a worker that was asked to stop waits for running tasks."),
        seconds("worker_progress_timeout", Owner::lovage, &S::worker_progress_timeout,
                "How long work may wait at the broker while slots are free and nothing arrives, "
                "before the consumer is made anew; after as long again the connection; then the "
                "worker ends.",
                "never"),
        seconds("worker_chord_sweep_interval", Owner::lovage, &S::worker_chord_sweep_interval,
                "How often a worker looks for chords that do not end by themselves; one that is "
                "stuck is ended after four times this long, or six.",
                "never"),
        boolean("worker_deduplicate_successful_tasks", Owner::celery,
                &S::worker_deduplicate_successful_tasks,
                "A message that the broker delivers again is not run when its task has succeeded "
                "already: its record says so. For tasks that are acknowledged late."),
        seconds("worker_soft_shutdown_timeout", Owner::celery, &S::worker_soft_shutdown_timeout,
                "How long a cold stop (SIGQUIT) waits for running tasks before it gives them "
                "back."),
    };
}

std::vector<Setting> control_rows() {
    return {
        boolean("worker_enable_remote_control", Owner::celery, &S::worker_enable_remote_control,
                "Answer what celery inspect, celery control and their like ask and command."),
        special("control_exchange", Owner::celery,
                {.type = "text",
                 .unit = "",
                 .range = "1 to 200 bytes without control characters",
                 .text = "a name, 1 to 200 bytes"},
                &S::control_exchange,
                "The first part of the names of remote control's exchanges and queues.",
                read_name_part, [](const std::string& name) { return name; }),
        period("control_queue_ttl", Owner::celery, &S::control_queue_ttl,
               "How long a request or a reply waits in its queue."),
        period("control_queue_expires", Owner::celery, &S::control_queue_expires,
               "How long a queue of remote control stays that nobody uses."),
        boolean("control_queue_exclusive", Owner::celery, &S::control_queue_exclusive,
                "Only the connection that made a queue of remote control may use it."),
        boolean("control_queue_durable", Owner::celery, &S::control_queue_durable,
                "Queues of remote control outlive a restart of the broker."),
    };
}

std::vector<Setting> event_rows() {
    const ValueForm name{.type = "text",
                         .unit = "",
                         .range = "1 to 200 bytes without control characters",
                         .text = "a name, 1 to 200 bytes"};
    const auto as_it_is = [](const std::string& text) { return text; };
    return {
        boolean("worker_send_task_events", Owner::celery, &S::worker_send_task_events,
                "Workers tell of each task: received, started, succeeded and so on."),
        boolean("task_send_sent_event", Owner::celery, &S::task_send_sent_event,
                "Whoever sends a task tells of it."),
        special("event_exchange", Owner::celery, name, &S::event_exchange,
                "The exchange that events go to.", read_name_part, as_it_is),
        special("event_queue_prefix", Owner::celery, name, &S::event_queue_prefix,
                "The first part of the names of queues that follow events.", read_name_part,
                as_it_is),
        seconds("event_queue_expires", Owner::celery, &S::event_queue_expires,
                "How long a queue stays that nobody follows events through.", "for ever"),
        seconds("event_queue_ttl", Owner::celery, &S::event_queue_ttl,
                "How long an event waits in the queue of who follows them."),
    };
}

/// Arguments of tasks may hold secrets: they are shown masked.
Setting beat_schedule_row() {
    Setting setting =
        special("beat_schedule", Owner::celery,
                {.type = "map",
                 .unit = "",
                 .range = R"(name → {task, schedule, args, kwargs, options}; JSON outside a file)",
                 .text = R"(a map from names to entries, such as {"nightly": {"task": "report", )"
                         R"("schedule": "0 4 * * *"}})"},
                &S::beat_schedule,
                "Periodic tasks by name, besides those of the program; one of the same name takes "
                "the program's place.",
                read_map, [](const Json& map) { return to_json_text(mask_members(map)); });
    setting.save = [](const Settings& settings) { return to_json_text(settings.beat_schedule); };
    return setting;
}

std::vector<Setting> beat_rows() {
    return {
        special("timezone", Owner::celery,
                {.type = "text",
                 .unit = "",
                 .range = "a name of the IANA database",
                 .text = "the name of a time zone, such as Europe/Berlin"},
                &S::timezone, "The time zone whose wall clock crontabs go by.", read_timezone,
                [](const std::string& name) { return name; }),
        beat_schedule_row(),
        seconds("beat_max_loop_interval", Owner::celery, &S::beat_max_loop_interval,
                "The longest that beat sleeps before it looks at the clock again.",
                "as long as it can"),
        limit("beat_cron_starting_deadline", Owner::celery, &S::beat_cron_starting_deadline,
              "How late a crontab's time may come when nobody was there at its time."),
    };
}

std::vector<Setting> log_rows() {
    return {
        with_default("info; warning for commands other than worker and beat",
                     word("log_level", Owner::lovage, std::span<const Word<log::Level>>{kLevels},
                          &S::log_level, "The least severe lines that are written.")),
        word("log_format", Owner::lovage, std::span<const Word<log::Format>>{kFormats},
             &S::log_format,
             "Text for people, or one JSON object a line; automatic: text on "
             "terminals."),
    };
}

struct Group {
    std::string_view title;
    std::vector<Setting> (*rows)();
};
constexpr std::array<Group, 10> kGroups{{{"Broker and result backend", server_rows},
                                         {"Queues and routes", queue_rows},
                                         {"Delivery", delivery_rows},
                                         {"Tasks", task_rows},
                                         {"Results", result_rows},
                                         {"Worker", worker_rows},
                                         {"Remote control", control_rows},
                                         {"Events", event_rows},
                                         {"Beat", beat_rows},
                                         {"Log", log_rows}}};

std::vector<Setting> make_table() {
    std::vector<Setting> table;
    for (const Group& group : kGroups) {
        for (Setting& setting : group.rows()) {
            setting.group = group.title;
            table.push_back(std::move(setting));
        }
    }
    std::ranges::sort(table, {}, &Setting::name);
    return table;
}

}  // namespace

const std::vector<Setting>& settings_table() {
    static const std::vector<Setting> settings = make_table();
    return settings;
}

const std::vector<std::string_view>& setting_groups() {
    static const std::vector<std::string_view> titles = [] {
        std::vector<std::string_view> made;
        std::ranges::transform(kGroups, std::back_inserter(made), &Group::title);
        return made;
    }();
    return titles;
}

const Setting* find_setting(std::string_view name) {
    const auto found = std::ranges::find(settings_table(), name, &Setting::name);
    return found == settings_table().end() ? nullptr : &*found;
}

std::vector<std::string_view> setting_names() {
    std::vector<std::string_view> names;
    for (const Setting& setting : settings_table()) names.push_back(setting.name);
    return names;
}

std::vector<std::string> environment_names(const Setting& setting) {
    const std::string upper = to_upper(setting.name);
    std::vector<std::string> names{"LOVAGE_" + upper};
    if (setting.owner == Owner::celery) names.push_back("CELERY_" + upper);
    if (setting.name == "result_backend") names.emplace_back("CELERY_RESULT_BACKEND_URL");
    return names;
}

}  // namespace lovage::detail
