#include <lovage/core/task_key.hpp>

#include <lovage/core/task_definition.hpp>
#include <lovage/core/uuid.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace lovage {

namespace {

/// The namespace of keys (version 5): any UUID would do, as long as it stays.
constexpr std::string_view kKeys = "2f0c1a53-6f0e-5a0b-9d0c-2b6f3a1d7c48";

/// Members of objects in the order of their names, at every level.
void sort_members(Json& value) {
    if (value.is_array()) {
        for (Json& item : value.as_array()) sort_members(item);
    } else if (value.is_object()) {
        Json::Object& members = value.as_object();
        for (auto& [name, member] : members) sort_members(member);
        std::ranges::sort(members, {}, &Json::Member::first);
    }
}

/// Throws what binding the arguments throws, and what the key's function does.
std::string text_of(const TaskDefinition& task, const TaskKey& key, bool all, const Json& args,
                    const Json& kwargs) {
    const std::vector<Json> values = bind_arguments(task, args, kwargs);
    if (key.function) return to_json_text(Json{key.function(values)});
    Json counted = Json::array();
    for (std::size_t i = 0; i < values.size(); ++i) {
        const bool counts =
            key.set() ? std::ranges::count(key.parameters, task.parameters[i].name) != 0 : all;
        if (!counts) continue;
        Json value = value_or_throw(values[i].fully_expanded());
        sort_members(value);
        counted.push_back(std::move(value));
    }
    return to_json_text(counted);
}

}  // namespace

std::optional<std::string> key_of_call(const TaskDefinition& task, const TaskKey& key, bool all,
                                       const Json& args, const Json& kwargs) {
    try {
        return uuid5(kKeys, text_of(task, key, all, args, kwargs));
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

void check_key(const TaskDefinition& task, const TaskKey& key, std::string_view option) {
    for (const std::string& name : key.parameters) {
        if (std::ranges::count(task.parameters, name, &Parameter::name) != 0) continue;
        throw LovageError{Error{Errc::invalid_argument,
                                fmt::format("task '{}': {}: it has no parameter '{}'; it is {}",
                                            task.name, option, name, task.signature())}};
    }
}

}  // namespace lovage
