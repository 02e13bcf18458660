#pragma once

#include <lovage/app/async_result.hpp>
#include <lovage/app/send_options.hpp>
#include <lovage/cli/event_lines.hpp>
#include <lovage/cli/remote_commands.hpp>
#include <lovage/core/json.hpp>
#include <lovage/runtime/settings.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace lovage::cli {

// The sub-commands with their options, checked and converted. Names and letters are Celery's where
// it has them.

/// Where a service tells of its health.
struct HealthAddress {
    std::optional<std::uint16_t> port;  ///< None: nowhere; 0: the system chooses.
    std::string host = "127.0.0.1";
};

struct WorkerArguments {
    std::vector<std::string> queues;  ///< Empty: the default queue.
    std::string hostname;             ///< As given with -n; empty: "celery@%h".
    HealthAddress health;
    /// As WorkerOptions::heartbeat.
    std::optional<std::chrono::milliseconds> heartbeat = std::chrono::seconds{2};
    bool beat = false;     ///< Run the schedule, too.
    std::string schedule;  ///< Its name in the state store; empty: the app's.
};

struct BeatArguments {
    std::string schedule;  ///< As in WorkerArguments.
    HealthAddress health;
};

struct ScheduleArguments {
    enum class Action : std::uint8_t { list, add, remove, pause, resume, run };
    Action action = Action::list;
    std::string schedule;  ///< As in WorkerArguments.
    std::string name;      ///< The entry to act on; not for `list`.
    /// What `add` adds, in the form of `beat_schedule`.
    Json entry = Json::object();
    bool json = false;
};

struct CallArguments {
    std::string task;
    Json args = Json::array();
    Json kwargs = Json::object();
    SendOptions options;
};

struct ResultArguments {
    std::string task_id;
    /// None: as long as it takes.
    std::optional<std::chrono::milliseconds> timeout = std::chrono::seconds{60};
    bool traceback = false;  ///< Print the traceback instead of the value.
};

struct RevokeArguments {
    std::vector<std::string> task_ids;
    RevokeOptions options;
};

struct GraphArguments {
    enum class Format : std::uint8_t { dot, json };
    std::string task_id;
    Format format = Format::dot;
};

struct StatusArguments {
    std::chrono::milliseconds timeout{5000};       ///< For broker and result backend.
    std::chrono::milliseconds node_timeout{1000};  ///< For the workers.
    std::vector<std::string> destination;          ///< Which nodes; empty: all.
    bool json = false;
};

/// `inspect` and `control`: one command to workers.
struct RemoteArguments {
    RemoteKind kind = RemoteKind::inspect;
    ControlCommand command;
    std::chrono::milliseconds timeout{1000};
    std::vector<std::string> destination;  ///< Which nodes; empty: all.
    bool json = false;
};

struct PurgeArguments {
    std::vector<std::string> queues;  ///< Empty: the default queue and those of `task_routes`.
    bool force = false;
};

struct QuarantineArguments {
    enum class Action : std::uint8_t { list, show, replay, drop };
    Action action = Action::list;
    std::vector<std::string> queues;  ///< Whose quarantines; empty: all there are.
    std::vector<std::string> ids;     ///< Task ids (or their beginnings) to act on.
    bool all = false;                 ///< Act on everything.
    bool force = false;               ///< Drop without asking.
};

struct EventsArguments {
    EventFilter filter;
    bool json = false;                  ///< One JSON object a line.
    std::optional<std::uint64_t> most;  ///< End after so many.
};

using Command =
    std::variant<WorkerArguments, CallArguments, ResultArguments, RevokeArguments, GraphArguments,
                 StatusArguments, RemoteArguments, PurgeArguments, QuarantineArguments,
                 EventsArguments, BeatArguments, ScheduleArguments>;

/// What the command line asks for.
struct Invocation {
    Command command;
    std::vector<SettingFlag> flags;               ///< Options that are settings.
    std::optional<std::filesystem::path> config;  ///< --config
    bool color = true;
};

/// The command line is answered already: with help, the version, or what is wrong with it.
struct Ending {
    int exit_code = 0;  ///< 0: `text` goes to standard output; 2: to standard error.
    std::string text;   ///< With its final newline.
};

/// Reads the arguments behind the program's name. `program` is how usage lines call it.
[[nodiscard]] std::expected<Invocation, Ending> parse_arguments(std::vector<std::string> arguments,
                                                                const std::string& program);

/// An option, or an argument without a name, as the reference shows it.
struct OptionReference {
    std::string names;    ///< "-c,--concurrency"; an argument's placeholder, such as "ID".
    std::string value;    ///< Placeholder of its value; empty for a switch.
    std::string what;     ///< What `--help` says.
    std::string setting;  ///< The setting it is; empty: none.
    bool required = false;
    bool many = false;  ///< May be given several times.
};

/// A command as the reference shows it.
struct CommandReference {
    std::string name;  ///< "quarantine list"; empty: the program itself.
    std::string what;
    bool holds_commands = false;  ///< It is not run by itself: its commands are.
    std::vector<OptionReference> arguments;
    std::vector<OptionReference> options;
};

/// All commands in the order of `--help`; first the program itself, with the options of all.
[[nodiscard]] std::vector<CommandReference> describe_commands();

/// "Lovage 0.1.0"
[[nodiscard]] std::string version_text();

}  // namespace lovage::cli
