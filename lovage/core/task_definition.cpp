#include <lovage/core/task_definition.hpp>

#include <lovage/core/task_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace lovage {

namespace {

Json::Array positional_values(const TaskDefinition& task, const Json& args) {
    auto list = args.expanded();
    if (!list || !list->is_array()) {
        throw ArgumentError{fmt::format("{}() needs its positional arguments as a list, not {}",
                                        task.name, args.python_type_name())};
    }
    return std::move(list->as_array());
}

Json::Object keyword_values(const TaskDefinition& task, const Json& kwargs) {
    auto map = kwargs.expanded();
    if (!map || !map->is_object()) {
        throw ArgumentError{fmt::format("{}() needs its keyword arguments as a map, not {}",
                                        task.name, kwargs.python_type_name())};
    }
    return std::move(map->as_object());
}

std::string quoted_list(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i != 0) text += i + 1 == names.size() ? " and " : ", ";
        text += "'" + names[i] + "'";
    }
    return text;
}

[[noreturn]] void too_many(const TaskDefinition& task, std::size_t given) {
    const auto total = task.parameters.size();
    const auto required = static_cast<std::size_t>(std::ranges::count_if(
        task.parameters, [](const Parameter& p) { return !p.default_value.has_value(); }));
    const std::string takes = required == total ? fmt::format("{}", total)
                                                : fmt::format("from {} to {}", required, total);
    throw ArgumentError{fmt::format("{}() takes {} positional argument{} but {} {} given; it is {}",
                                    task.name, takes, total == 1 ? "" : "s", given,
                                    given == 1 ? "was" : "were", task.signature())};
}

}  // namespace

std::string TaskDefinition::signature() const {
    std::string text = name + "(";
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const Parameter& parameter = parameters[i];
        if (i != 0) text += ", ";
        text += parameter.name + ": " + parameter.type;
        if (parameter.default_value) text += " = " + to_json_text(*parameter.default_value);
    }
    return text + ")";
}

std::vector<Json> bind_arguments(const TaskDefinition& task, const Json& args, const Json& kwargs) {
    Json::Array positional = positional_values(task, args);
    if (positional.size() > task.parameters.size()) too_many(task, positional.size());

    std::vector<std::optional<Json>> slots(task.parameters.size());
    std::ranges::move(positional, slots.begin());
    for (auto& [name, value] : keyword_values(task, kwargs)) {
        const auto found = std::ranges::find(task.parameters, name, &Parameter::name);
        if (found == task.parameters.end()) {
            throw ArgumentError{
                fmt::format("{}() got an unexpected keyword argument '{}'; it is {}", task.name,
                            name, task.signature())};
        }
        auto& slot = slots[static_cast<std::size_t>(found - task.parameters.begin())];
        if (slot) {
            throw ArgumentError{
                fmt::format("{}() got multiple values for argument '{}'", task.name, name)};
        }
        slot = std::move(value);
    }

    std::vector<Json> bound;
    bound.reserve(slots.size());
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const Parameter& parameter = task.parameters[i];
        if (slots[i]) {
            bound.push_back(std::move(*slots[i]));
        } else if (parameter.default_value) {
            bound.push_back(*parameter.default_value);
        } else {
            missing.push_back(parameter.name);
        }
    }
    if (!missing.empty()) {
        throw ArgumentError{fmt::format("{}() missing {} required argument{}: {}; it is {}",
                                        task.name, missing.size(), missing.size() == 1 ? "" : "s",
                                        quoted_list(missing), task.signature())};
    }
    return bound;
}

TaskDefinition& TaskRegistry::add(TaskDefinition task) {
    const auto refuse = [&](Errc code, std::string why) {
        throw LovageError{Error{code, fmt::format("task '{}': {}", task.name, why)}};
    };
    if (task.name.empty() || task.name.size() > 255 ||
        std::ranges::any_of(task.name, [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
        refuse(Errc::invalid_argument, "a task name has 1 to 255 bytes and no control characters");
    }
    if (tasks_.contains(task.name)) {
        refuse(Errc::already_exists,
               "a task of that name is already registered; give this one another name");
    }
    std::set<std::string_view> seen;
    bool default_before = false;
    for (const Parameter& parameter : task.parameters) {
        if (!seen.insert(parameter.name).second) {
            refuse(Errc::invalid_argument,
                   fmt::format("two parameters are named '{}'", parameter.name));
        }
        if (default_before && !parameter.default_value) {
            refuse(Errc::invalid_argument,
                   fmt::format("parameter '{}' has no default but follows one that has",
                               parameter.name));
        }
        default_before = parameter.default_value.has_value();
    }
    std::string name = task.name;
    return tasks_.emplace(std::move(name), std::move(task)).first->second;
}

void TaskRegistry::add_builtin(TaskDefinition task) {
    std::string name = task.name;
    builtin_.emplace(std::move(name), std::move(task));
}

const TaskDefinition* TaskRegistry::find(std::string_view name) const {
    const auto found = tasks_.find(name);
    if (found != tasks_.end()) return &found->second;
    const auto builtin = builtin_.find(name);
    return builtin != builtin_.end() ? &builtin->second : nullptr;
}

std::vector<std::string> TaskRegistry::names() const {
    std::vector<std::string> names;
    names.reserve(tasks_.size());
    for (const auto& [name, task] : tasks_) names.push_back(name);
    return names;
}

}  // namespace lovage
