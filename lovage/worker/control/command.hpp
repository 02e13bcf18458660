#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <lovage/awaitable.hpp>
#include <lovage/control/control_message.hpp>
#include <lovage/core/json.hpp>
#include <lovage/worker/control/controlled_worker.hpp>

namespace lovage::control {

/// What a command is carried out on, and with what.
struct Call {
    ControlledWorker* worker;
    Json arguments;  ///< A map; checked against the command's parameters.

    /// An argument that is there and not null, else nullptr.
    [[nodiscard]] const Json* argument(std::string_view name) const;
    /// Whether an argument is true, by Python's rules.
    [[nodiscard]] bool flag(std::string_view name) const;
};

/// The value to reply with; nothing: no reply at all.
using Answer = std::optional<Json>;

/// One command of remote control. Its name, parameters and answers are Celery's
/// (celery/worker/control.py 5.6; celery-wire reference, sections 16.3 and 16.4).
struct Command {
    std::string_view name;
    std::string_view old_name;                   ///< Celery 3's; empty: none.
    std::span<const std::string_view> required;  ///< Arguments that must be there, in order.
    std::optional<std::span<const std::string_view>> known;  ///< All others that may; nullopt: any.
    Awaitable<Answer> (*carry_out)(Call call);
};

/// All commands of one topic; each is a table at the end of its source file.
[[nodiscard]] std::span<const Command> node_commands();
[[nodiscard]] std::span<const Command> inspect_commands();
[[nodiscard]] std::span<const Command> pool_commands();
[[nodiscard]] std::span<const Command> task_commands();
[[nodiscard]] std::span<const Command> queue_commands();
[[nodiscard]] std::span<const Command> event_commands();

/// The command of that name, or old name; nullptr when there is none.
[[nodiscard]] const Command* find_command(std::string_view name);

/// What Python would say of a call with these arguments: the text of a TypeError; empty: nothing.
[[nodiscard]] std::string argument_fault(const Command& command, const Json& arguments);

/// Carries out one request. Whatever goes wrong is an answer: `{"error": …}`.
/// Lifetime: `worker` must outlive the returned Awaitable.
[[nodiscard]] Awaitable<Answer> carry_out(ControlledWorker* worker, std::string method,
                                          Json arguments);

// Answers.

/// `{"ok": text}`
[[nodiscard]] Answer ok(std::string text);
/// `{"error": text}`
[[nodiscard]] Answer error(std::string text);
/// The same for an exception, as Python's repr() shows it: `ValueError('Autoscale not enabled')`.
[[nodiscard]] Answer raised(std::string_view type, std::string_view message);

}  // namespace lovage::control
