#pragma once

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/rate_limit.hpp>
#include <lovage/runtime/log.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage {

/// An entry of `task_routes`: where the tasks of a name, or of a pattern with `*` and `?`, go.
struct TaskRoute {
    std::string queue;  ///< Empty: no opinion.
    std::optional<std::uint8_t> priority = std::nullopt;
};

/// `result_backend_transport_options`, as far as they mean something here.
struct ResultTransportOptions {
    /// Redis only: stands before every key of results, chords and states, so that stacks can share
    /// a database. A `_` comes after it unless it ends in one of `:_-.`, as in Celery 5.3.
    std::string global_keyprefix;
};

/// What is promised about a task, in one word; see docs/guides/delivery.md and app/delivery.hpp for
/// what each word sets.
enum class DeliveryProfile : std::uint8_t {
    celery,   ///< As Celery does by default: acknowledged when the task starts.
    durable,  ///< At least once: nothing accepted is lost while the broker keeps its disk.
    quorum,   ///< The same on replicated queues (RabbitMQ).
};

/// How many slots a worker may have.
struct AutoscaleRange {
    std::uint32_t max = 1;
    std::uint32_t min = 1;
    friend bool operator==(const AutoscaleRange&, const AutoscaleRange&) = default;
};

/// Everything that can be set, under Celery's lower-case names. A plain value; see load_settings()
/// for where it comes from and detail/settings_table.cpp for the accepted forms.
struct Settings {
    /// Several URLs of one kind, separated by `;`, are alternatives (where the driver knows such).
    std::string broker_url = "sqlite:///.lovage";
    std::string result_backend = "sqlite:///.lovage";
    ResultTransportOptions result_backend_transport_options;

    std::string task_default_queue = "celery";
    /// In the order written: an exact name first, then the first pattern that matches.
    std::vector<std::pair<std::string, TaskRoute>> task_routes;
    /// 0–255, larger is more urgent. Celery's default is none.
    std::optional<std::uint8_t> task_default_priority;
    /// `x-max-priority` of the task queues; none: queues without priorities.
    std::optional<std::uint8_t> task_queue_max_priority;
    /// `x-queue-type` of the default queue and of all other task queues ("classic" or "quorum");
    /// empty: what the broker makes by default.
    std::string task_default_queue_type;
    std::string task_create_missing_queue_type;
    /// Our own.
    DeliveryProfile delivery = DeliveryProfile::durable;
    // What `delivery` means in detail, unless said otherwise here.
    std::optional<bool> task_acks_late;
    std::optional<bool> task_acks_on_failure_or_timeout;
    std::optional<bool> task_reject_on_worker_lost;
    /// A message that no queue takes is an error of the send. Our own.
    std::optional<bool> task_publish_mandatory;
    /// For tasks and calls that say nothing else; none: no limit.
    std::optional<std::chrono::milliseconds> task_time_limit;
    std::optional<std::chrono::milliseconds> task_soft_time_limit;
    /// For tasks that say nothing else.
    RateLimit task_default_rate_limit;
    bool task_ignore_result = false;
    bool task_store_errors_even_if_ignored = false;
    /// Store STARTED when a task begins.
    bool task_track_started = false;
    /// Leave a mark at each send, so that an unknown id can be told from a pending one. Our own.
    bool task_track_sent = false;
    /// Longest a send may take. Our own.
    std::chrono::milliseconds task_publish_timeout{std::chrono::seconds{10}};

    /// How long results are kept; none: for ever (written 0).
    std::optional<std::chrono::seconds> result_expires = std::chrono::hours{24};
    /// Store the task's name, arguments, queue and worker with its result.
    bool result_extended = false;

    /// Slots of a worker; the default is the number of processors this process may use.
    std::uint32_t worker_concurrency = default_concurrency();
    /// Slots between `min` and `max`, as many as there is work for; none: worker_concurrency. Our
    /// own name for Celery's `--autoscale`.
    std::optional<AutoscaleRange> worker_autoscale;
    /// How long slots stay that are not needed. Our own name for Celery's AUTOSCALE_KEEPALIVE.
    std::chrono::milliseconds worker_autoscale_keepalive{std::chrono::seconds{30}};
    /// What runs tasks: "prefork", "threads"; empty: the program's default.
    std::string worker_pool;
    /// Tasks a prefork slot runs before it is replaced; 0: no limit.
    std::uint32_t worker_max_tasks_per_child = 0;
    /// Resident memory of a prefork slot, in KiB; 0: no limit.
    std::uint32_t worker_max_memory_per_child = 0;
    bool worker_disable_rate_limits = false;
    /// Where a worker notes which tasks run, for its successors on this host; empty:
    /// /var/tmp/lovage-<user id>. Our own.
    std::string worker_inflight_folder;
    /// Tasks that a worker holds until their time comes; the others wait with the broker.
    std::uint32_t worker_eta_task_limit = 10'000;
    /// How long before its time a task is taken from the broker's delay and held. Our own.
    std::chrono::milliseconds worker_eta_horizon{std::chrono::seconds{30}};
    /// How long keys and places of tasks that ran stay taken when their worker dies. Our own.
    std::chrono::milliseconds worker_lease{std::chrono::seconds{30}};
    /// How long a worker that was asked to stop waits for running tasks. Our own.
    std::chrono::milliseconds worker_shutdown_timeout{std::chrono::seconds{25}};
    /// How long work may wait while slots are free and nothing arrives, before the consumer is made
    /// anew, then the connection, then the worker ends; 0: never. Our own.
    std::chrono::milliseconds worker_progress_timeout{std::chrono::seconds{60}};
    /// How often chords that do not end by themselves are looked for; 0: never. Our own.
    std::chrono::milliseconds worker_chord_sweep_interval{std::chrono::seconds{10}};
    /// A message that comes again is not run when its task's record is a SUCCESS already.
    bool worker_deduplicate_successful_tasks = false;
    /// How long a cold stop waits for running tasks before it gives them back.
    std::chrono::milliseconds worker_soft_shutdown_timeout{0};

    /// Answer `inspect` and `control`.
    bool worker_enable_remote_control = true;
    /// The first part of the names of remote control's exchanges and queues.
    std::string control_exchange = "celery";
    /// How long a request or a reply waits in its queue, and how long such a queue stays unused.
    std::chrono::milliseconds control_queue_ttl{std::chrono::seconds{300}};
    std::chrono::milliseconds control_queue_expires{std::chrono::seconds{10}};
    bool control_queue_exclusive = false;
    bool control_queue_durable = false;

    /// Tell of each task: the events that Celery's monitors live on. `-E`.
    bool worker_send_task_events = false;
    /// Producers tell of each task that they send.
    bool task_send_sent_event = false;
    std::string event_exchange = "celeryev";
    /// Of the queues of those who follow events.
    std::string event_queue_prefix = "celeryev";
    std::chrono::milliseconds event_queue_expires{std::chrono::seconds{60}};
    std::chrono::milliseconds event_queue_ttl{std::chrono::seconds{5}};

    /// The zone whose wall clock crontabs go by, in the IANA database's words.
    std::string timezone = "UTC";
    /// Entries by name; see beat/schedule_json.hpp.
    Json beat_schedule = Json::object();
    /// Longest time that beat sleeps; 0: as long as it can.
    std::chrono::milliseconds beat_max_loop_interval{0};
    /// A crontab's time that is later than that does not come any more; none: however late.
    std::optional<std::chrono::milliseconds> beat_cron_starting_deadline;

    log::Level log_level = log::Level::info;          ///< Our own.
    log::Format log_format = log::Format::automatic;  ///< Our own.

    /// Where each setting that is not at its default came from: "--broker", "LOVAGE_BROKER_URL",
    /// "lovage.toml:3".
    std::map<std::string, std::string, std::less<>> origins;

    [[nodiscard]] static std::uint32_t default_concurrency() noexcept;
};

/// A setting as `report` and the banner show it.
struct SettingLine {
    std::string name;
    std::string value;   ///< Secrets masked.
    std::string origin;  ///< As in Settings::origins, else "program" or "default".
};

/// All settings by name.
[[nodiscard]] std::vector<SettingLine> describe(const Settings& settings);

/// Settings by name as `celery inspect conf` shows them: numbers, booleans, texts, null for what is
/// not set; secrets masked. Without defaults: only those that are not at theirs.
[[nodiscard]] Json settings_as_json(const Settings& settings, bool with_defaults);

/// Every setting that is not at its default, in the form the environment has, secrets included: for
/// another process of the same program, which reads them with resolve_settings().
[[nodiscard]] std::map<std::string, std::string> export_settings(const Settings& settings);

/// A setting given on the command line.
struct SettingFlag {
    std::string name;   ///< "broker_url"
    std::string value;  ///< In the environment's form.
    std::string flag;   ///< "--broker": what messages call it.
};

/// Text of a settings file and the name messages call it by.
struct SettingsFile {
    std::string name;
    std::string text;
};

/// Where settings come from, strongest first. Tests fill it by hand.
struct SettingsSources {
    Settings base;  ///< What the program set itself; only the defaults are weaker.
    std::vector<SettingFlag> flags;
    /// LOVAGE_<NAME> for every setting, CELERY_<NAME> for Celery's own, and
    /// CELERY_RESULT_BACKEND_URL. An empty value counts as not set.
    std::map<std::string, std::string> environment;
    std::optional<SettingsFile> file;  ///< TOML.
};

struct LoadedSettings {
    Settings settings;
    std::vector<std::string> warnings;  ///< Unknown LOVAGE_* variables.
};

/// Puts the sources together; pure.
/// Errors: invalid_argument naming the setting, its source and the accepted form: for a bad value,
/// an unknown key in the file (with its line and what may have been meant), two environment
/// variables that set one thing differently.
[[nodiscard]] Result<LoadedSettings> resolve_settings(const SettingsSources& sources);

/// This process's environment.
[[nodiscard]] std::map<std::string, std::string> process_environment();

/// The settings file: `path` when given (then it must exist), else LOVAGE_CONFIG's, else
/// `lovage.toml` in the working directory if there is one. Errors: not_found, unavailable,
/// too_large (1 MiB).
[[nodiscard]] Result<std::optional<SettingsFile>> read_settings_file(
    const std::optional<std::filesystem::path>& path,
    const std::map<std::string, std::string>& environment);

/// Settings from environment and file, for programs without a command line; warnings go to the log.
[[nodiscard]] Result<Settings> load_settings();

}  // namespace lovage
