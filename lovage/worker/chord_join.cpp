#include <lovage/worker/chord_join.hpp>

#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/python_repr.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/core/task_meta.hpp>

namespace lovage {
namespace {

struct Value {
    const Json* result;
    bool placed = false;
};
using Values = std::unordered_map<std::string_view, Value>;

/// The value of one result in tuple form: a task's own, a group's as a list.
Result<Json> value_of(const Json& result, Values& values, std::size_t depth) {
    const Json::Array* const pair =
        result.is_array() && result.as_array().size() == 2 ? &result.as_array() : nullptr;
    const Json::Array* const head =
        pair != nullptr && pair->front().is_array() ? &pair->front().as_array() : nullptr;
    if (head == nullptr || head->empty() || !head->front().is_string() || depth == 0) {
        return fail(Errc::malformed, "the chord's group is noted in a form nobody knows");
    }
    if (pair->back().is_array()) {
        Json list = Json::array();
        for (const Json& member : pair->back().as_array()) {
            auto value = value_of(member, values, depth - 1);
            if (!value) return value;
            list.push_back(std::move(*value));
        }
        return list;
    }
    const std::string& id = head->front().as_string();
    const auto found = values.find(id);
    if (found == values.end()) {
        return fail(Errc::not_found, fmt::format("{} has not returned", id));
    }
    found->second.placed = true;
    return *found->second.result;
}

Result<Json> join_structure(const ChordReturns& returns) {
    const auto structure = returns.structure.fully_expanded();
    if (!structure) return std::unexpected{structure.error()};
    Values values;
    for (const ChordPart& part : returns.parts) values.emplace(part.task_id, Value{&part.result});
    auto joined = value_of(*structure, values, kCanvasDepthMax);
    if (!joined || !joined->is_array()) return joined;
    // What parts have added is no member of any group: it comes last.
    for (const ChordPart& part : returns.parts) {
        if (!values.at(part.task_id).placed) joined->push_back(part.result);
    }
    return joined;
}

}  // namespace

std::string exception_repr(const Json& exception) {
    const auto map = exception.fully_expanded();
    const Json* const type = map ? map->find("exc_type") : nullptr;
    if (type == nullptr || !type->is_string()) return python_repr(exception);
    std::string arguments;
    if (const Json* const message = map->find("exc_message"); message != nullptr) {
        if (!message->is_array()) {
            arguments = python_repr(*message);
        } else {
            for (const Json& one : message->as_array()) {
                if (!arguments.empty()) arguments += ", ";
                arguments += python_repr(one);
            }
        }
    }
    return type->as_string() + "(" + arguments + ")";
}

TaskFailure chord_error(const std::string& message) {
    return {"ChordError", message, "celery.exceptions",
            traceback_text("", "while joining the chord", "celery.exceptions.ChordError", message)};
}

ChordJoin join_chord(const ChordReturns& returns) {
    ChordJoin join;
    Result<Json> joined;
    if (!returns.structure.is_null()) {
        joined = join_structure(returns);
        join.incomplete = !joined && joined.error().code == Errc::not_found;
        if (join.incomplete) return join;
    } else {
        joined = Json::array();
        for (const ChordPart& part : returns.parts) joined->push_back(part.result);
    }
    for (const ChordPart& part : returns.parts) {
        if (part.state != states::kSuccess) {
            join.failure = chord_error(
                fmt::format("Dependency {} raised {}", part.task_id, exception_repr(part.result)));
            return join;
        }
    }
    if (joined) {
        join.results = std::move(*joined);
    } else {
        join.failure = chord_error("Join error: " + joined.error().detail);
    }
    return join;
}

}  // namespace lovage
