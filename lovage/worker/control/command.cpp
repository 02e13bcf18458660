#include <lovage/worker/control/command.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>
#include <vector>

#include <lovage/core/python_repr.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/system/system_error.hpp>

#include <fmt/format.h>

namespace lovage::control {
namespace {

/// Python's list of missing arguments: "'a'", "'a' and 'b'", "'a', 'b', and 'c'".
std::string listed(const std::vector<std::string_view>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i != 0) text += names.size() > 2 ? ", " : " ";
        if (i != 0 && i + 1 == names.size()) text += "and ";
        text += fmt::format("'{}'", names[i]);
    }
    return text;
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

}  // namespace

const Json* Call::argument(std::string_view name) const {
    const Json* value = arguments.find(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

bool Call::flag(std::string_view name) const {
    const Json* value = argument(name);
    if (value == nullptr) return false;
    switch (value->kind()) {
        case Json::Kind::boolean:
            return value->as_bool();
        case Json::Kind::integer:
            return value->as_int64() != 0;
        case Json::Kind::real:
            return value->as_real() != 0;
        case Json::Kind::string:
            return !value->as_string().empty();
        default:
            return true;
    }
}

const Command* find_command(std::string_view name) {
    const std::array topics{node_commands(), inspect_commands(), pool_commands(),
                            task_commands(), queue_commands(),   event_commands()};
    for (const auto commands : topics) {
        for (const Command& command : commands) {
            if (command.name == name || (!name.empty() && command.old_name == name)) {
                return &command;
            }
        }
    }
    return nullptr;
}

std::string argument_fault(const Command& command, const Json& arguments) {
    if (command.known) {
        for (const auto& [name, value] : arguments.as_object()) {
            if (contains(*command.known, name) || contains(command.required, name)) continue;
            return fmt::format("{}() got an unexpected keyword argument '{}'", command.name,
                               name.substr(0, 100));
        }
    }
    std::vector<std::string_view> missing;
    for (const std::string_view name : command.required) {
        if (arguments.find(name) == nullptr) missing.push_back(name);
    }
    if (missing.empty()) return {};
    return fmt::format("{}() missing {} required positional argument{}: {}", command.name,
                       missing.size(), missing.size() == 1 ? "" : "s", listed(missing));
}

Awaitable<Answer> carry_out(ControlledWorker* worker, std::string method, Json arguments) {
    const Command* const command = find_command(method);
    if (command == nullptr) {
        log::warning("worker", "remote control: no command '{}'", method.substr(0, 100));
        co_return raised("KeyError", method);
    }
    if (const std::string fault = argument_fault(*command, arguments); !fault.empty()) {
        co_return raised("TypeError", fault);
    }
    std::string problem;
    try {
        co_return co_await command->carry_out({worker, std::move(arguments)});
    } catch (const boost::system::system_error&) {
        throw;  // cancelled
    } catch (const std::exception& thrown) {
        problem = thrown.what();
    }
    log::error("worker", "remote control: {}: {}", method, problem);
    co_return raised("RuntimeError", problem);
}

Answer ok(std::string text) {
    return Json::object({{"ok", std::move(text)}});
}

Answer error(std::string text) {
    return Json::object({{"error", std::move(text)}});
}

Answer raised(std::string_view type, std::string_view message) {
    return error(fmt::format("{}({})", type, python_repr(message)));
}

}  // namespace lovage::control
