#include <lovage/core/task_meta.hpp>

#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/python_repr.hpp>

namespace lovage {
namespace {

/// Above the limit for a result, since the record around it and escaped characters come on top.
constexpr JsonLimits kRecordLimits{.depth = kJsonDepthMax, .bytes = std::size_t{64} << 20U};

/// The exception's arguments as Python's `str(exception)` shows them: one as itself, several as a
/// tuple.
std::string exception_text(const Json& arguments) {
    if (arguments.is_null()) return "";
    if (arguments.is_string()) return arguments.as_string();
    const Result<Json> list = arguments.expanded();
    if (!list || !list->is_array()) return python_repr(arguments);
    const Json::Array& items = list->as_array();
    if (items.empty()) return "";
    if (items.size() == 1) {
        return items[0].is_string() ? items[0].as_string() : python_repr(items[0]);
    }
    std::string tuple = python_repr(*list);
    if (tuple.front() == '[') tuple.front() = '(';
    if (tuple.back() == ']') tuple.back() = ')';
    return tuple;
}

std::string text_or(const Json& map, std::string_view name, std::string_view otherwise) {
    const Json* value = map.find(name);
    return std::string{value && value->is_string() ? value->as_string() : otherwise};
}

std::unexpected<Error> bad_record(std::string detail) {
    return fail(Errc::malformed, "result record: " + std::move(detail));
}

/// Copies a text member to `out`; null leaves it empty. False when it is something else.
bool take_text(Json& value, std::optional<std::string>& out) {
    if (value.is_null()) return true;
    if (!value.is_string()) return false;
    out = value.as_string();
    return true;
}

}  // namespace

namespace states {

bool is_ready(std::string_view state) noexcept {
    return state == kSuccess || state == kFailure || state == kRevoked;
}

bool may_replace(std::string_view stored, std::string_view next) noexcept {
    if (stored == kSuccess) return false;
    return !is_ready(stored) || is_ready(next);
}

}  // namespace states

std::string TaskMeta::to_json() const {
    Json::Object record;
    record.reserve(8 + extra.as_object().size());
    record.emplace_back("status", status);
    record.emplace_back("result", result);
    record.emplace_back("traceback", traceback ? Json{*traceback} : Json{});
    record.emplace_back("children", children);
    record.emplace_back("date_done", date_done ? Json{*date_done} : Json{});
    if (group_id) record.emplace_back("group_id", *group_id);
    if (parent_id) record.emplace_back("parent_id", *parent_id);
    for (const auto& member : extra.as_object()) record.push_back(member);
    record.emplace_back("task_id", task_id);
    return to_json_text(Json{std::move(record)});
}

Result<TaskMeta> TaskMeta::from_json(std::string_view text) {
    Result<Json> record = parse_json_shallow(text, 1, kRecordLimits);
    if (!record) return std::unexpected{std::move(record.error())};
    if (!record->is_object()) {
        return bad_record(fmt::format("a map expected, not {}", python_repr(*record, 60)));
    }
    TaskMeta meta;
    std::optional<std::string> status;
    std::optional<std::string> task_id;
    for (auto& [name, value] : record->as_object()) {
        bool understood = true;
        if (name == "status") {
            understood = take_text(value, status);
        } else if (name == "result") {
            meta.result = std::move(value);
        } else if (name == "traceback") {
            understood = take_text(value, meta.traceback);
        } else if (name == "children") {
            understood = value.is_null() || value.python_type_name() == "list";
            if (understood) meta.children = std::move(value);
        } else if (name == "date_done") {
            understood = take_text(value, meta.date_done);
        } else if (name == "group_id") {
            understood = take_text(value, meta.group_id);
        } else if (name == "parent_id") {
            understood = take_text(value, meta.parent_id);
        } else if (name == "task_id") {
            understood = take_text(value, task_id);
        } else {
            meta.extra.as_object().emplace_back(name, std::move(value));
        }
        if (!understood) {
            return bad_record(
                fmt::format("'{}' has the wrong type: {}", name, python_repr(value, 60)));
        }
    }
    if (!status || status->empty()) return bad_record("'status' is missing");
    meta.status = std::move(*status);
    meta.task_id = std::move(task_id).value_or("");
    return meta;
}

std::optional<TaskFailure> TaskMeta::failure() const {
    if (status != states::kFailure && status != states::kRetry && status != states::kRevoked) {
        return std::nullopt;
    }
    TaskFailure failure{.exc_type = "Exception",
                        .exc_message = {},
                        .exc_module = "builtins",
                        .traceback = traceback.value_or("")};
    const Result<Json> exception = result.expanded();
    if (!exception || !exception->is_object()) {
        failure.exc_message = exception_text(result);
        return failure;
    }
    failure.exc_type = text_or(*exception, "exc_type", failure.exc_type);
    failure.exc_module = text_or(*exception, "exc_module", failure.exc_module);
    const Json* message = exception->find("exc_message");
    failure.exc_message = exception_text(message ? *message : Json{});
    return failure;
}

Json exception_json(const TaskFailure& failure) {
    Json arguments = Json::array();
    if (!failure.exc_message.empty()) arguments.push_back(failure.exc_message);
    return Json::object({{"exc_type", failure.exc_type},
                         {"exc_message", std::move(arguments)},
                         {"exc_module", failure.exc_module}});
}

}  // namespace lovage
