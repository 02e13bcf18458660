// The message protocol on standard input and output, for tests in Python: one JSON request a line,
// one JSON answer a line. `{"do": "encode", "task": {…}}` and so on; an answer `{"error": …}` is an
// answer, too.

#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include <lovage/core/python_repr.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/time.hpp>
#include <lovage/core/uuid.hpp>

namespace {

using lovage::Json;
using lovage::Message;
using lovage::TaskMessage;
using lovage::TaskMeta;
using lovage::TimePoint;
using lovage::value_or_throw;

/// The member `name` of a request; null when it is not there.
const Json& member(const Json& request, std::string_view name) {
    static const Json null;
    const Json* value = request.find(name);
    return value ? *value : null;
}

void read(const Json& value, std::string& out) {
    if (value.is_string()) out = value.as_string();
}
void read(const Json& value, std::optional<std::string>& out) {
    if (value.is_string()) out = value.as_string();
}
void read(const Json& value, std::int64_t& out) {
    if (value.is_integer()) out = value.as_int64().value();
}
void read(const Json& value, std::optional<std::int64_t>& out) {
    if (value.is_integer()) out = value.as_int64().value();
}
void read(const Json& value, std::optional<std::uint8_t>& out) {
    if (value.is_integer()) out = static_cast<std::uint8_t>(value.as_int64().value());
}
void read(const Json& value, std::optional<double>& out) {
    if (value.is_integer()) out = static_cast<double>(value.as_int64().value());
    if (value.is_real()) out = value.as_real();
}
void read(const Json& value, bool& out) {
    if (value.is_bool()) out = value.as_bool();
}
void read(const Json& value, std::optional<TimePoint>& out) {
    if (value.is_string()) out = value_or_throw(lovage::parse_iso8601(value.as_string()));
}
void read(const Json& value, Json& out) {
    if (!value.is_null()) out = value;
}

Json shown(const Json& value) {
    return value;
}
Json shown(const std::optional<TimePoint>& value) {
    return value ? Json{lovage::to_iso8601(*value)} : Json{};
}
template <class T>
Json shown(const std::optional<T>& value) {
    return value ? Json{*value} : Json{};
}

/// Calls `visit(name, field)` for every field of a task.
template <class Task, class Visit>
void each_field(Task& task, Visit visit) {
    visit("id", task.id);
    visit("task", task.task);
    visit("args", task.args);
    visit("kwargs", task.kwargs);
    visit("embed", task.embed);
    visit("shadow", task.shadow);
    visit("eta", task.eta);
    visit("expires", task.expires);
    visit("group", task.group);
    visit("group_index", task.group_index);
    visit("retries", task.retries);
    visit("time_limit", task.time_limit);
    visit("soft_time_limit", task.soft_time_limit);
    visit("root_id", task.root_id);
    visit("parent_id", task.parent_id);
    visit("argsrepr", task.argsrepr);
    visit("kwargsrepr", task.kwargsrepr);
    visit("origin", task.origin);
    visit("ignore_result", task.ignore_result);
    visit("replaced_task_nesting", task.replaced_task_nesting);
    visit("stamped_headers", task.stamped_headers);
    visit("stamps", task.stamps);
    visit("user_headers", task.user_headers);
    visit("reply_to", task.reply_to);
    visit("correlation_id", task.correlation_id);
    visit("priority", task.priority);
    visit("persistent", task.persistent);
}

Json encode(const Json& request) {
    TaskMessage task;
    const Json& wanted = member(request, "task");
    each_field(task, [&](const char* name, auto& field) { read(member(wanted, name), field); });
    std::optional<TimePoint> now;
    read(member(request, "now"), now);

    const Message message = lovage::encode_task_message(task, now);
    Json properties = Json::object({{"correlation_id", message.properties.correlation_id},
                                    {"reply_to", message.properties.reply_to},
                                    {"delivery_mode", message.properties.delivery_mode}});
    if (message.properties.priority) properties.set("priority", *message.properties.priority);
    if (message.properties.expiration) {
        properties.set("expiration", std::to_string(message.properties.expiration->count()));
    }
    return Json::object({{"content_type", message.properties.content_type},
                         {"content_encoding", message.properties.content_encoding},
                         {"properties", std::move(properties)},
                         {"headers", message.headers},
                         {"body", message.body}});
}

int hex_digit(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

Json decode(const Json& request) {
    Message message;
    message.properties.content_type = member(request, "content_type").as_string();
    const Json& properties = member(request, "properties");
    read(member(properties, "correlation_id"), message.properties.correlation_id);
    read(member(properties, "reply_to"), message.properties.reply_to);
    read(member(properties, "priority"), message.properties.priority);
    if (member(properties, "delivery_mode") == Json{1}) message.properties.delivery_mode = 1;
    message.headers = member(request, "headers");
    const std::string& hex = member(request, "body_hex").as_string();
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        message.body += static_cast<char>(hex_digit(hex[i]) * 16 + hex_digit(hex[i + 1]));
    }
    const auto task = lovage::decode_task_message(message);
    if (!task) {
        return Json::object({{"reason", lovage::to_string(task.error().reason)},
                             {"detail", task.error().detail},
                             {"task_id", shown(task.error().task_id)},
                             {"task", shown(task.error().task)}});
    }
    Json fields = Json::object({{"protocol", task->protocol}});
    each_field(*task, [&](const char* name, const auto& field) { fields.set(name, shown(field)); });
    return fields;
}

Json read_meta(const Json& request) {
    const TaskMeta meta = value_or_throw(TaskMeta::from_json(member(request, "text").as_string()));
    Json answer = Json::object({{"text", meta.to_json()}, {"failure", nullptr}});
    if (const auto failure = meta.failure()) {
        answer.set("failure", Json::array({failure->exc_type, failure->exc_message,
                                           failure->exc_module, failure->traceback}));
    }
    return answer;
}

Json write_meta(const Json& request) {
    TaskMeta meta;
    read(member(request, "task_id"), meta.task_id);
    read(member(request, "status"), meta.status);
    read(member(request, "result"), meta.result);
    read(member(request, "traceback"), meta.traceback);
    read(member(request, "date_done"), meta.date_done);
    read(member(request, "parent_id"), meta.parent_id);
    if (const Json* failure = request.find("failure")) {
        const Json::Array& parts = failure->as_array();
        meta.result = lovage::exception_json(
            {parts[0].as_string(), parts[1].as_string(), parts[2].as_string(), {}});
    }
    return meta.to_json();
}

Json answer(const Json& request) {
    const std::string& what = member(request, "do").as_string();
    const Json& value = member(request, "value");
    if (what == "encode") return encode(request);
    if (what == "decode") return decode(request);
    if (what == "read_meta") return read_meta(request);
    if (what == "write_meta") return write_meta(request);
    if (what == "celery_repr") {
        return lovage::celery_repr(value, member(request, "as_tuple").as_bool());
    }
    if (what == "python_repr") return lovage::python_repr(value, 1U << 20U);
    if (what == "uuid5") {
        return lovage::uuid5(member(request, "namespace").as_string(), value.as_string());
    }
    if (what == "iso8601") {
        return lovage::to_iso8601(value_or_throw(lovage::parse_iso8601(value.as_string())));
    }
    return Json::object({{"error", "no such request: " + what}});
}

}  // namespace

int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        Json reply;
        try {
            reply = answer(value_or_throw(lovage::parse_json(line)));
        } catch (const lovage::LovageError& error) {
            reply = Json::object({{"error", error.what()}});
        }
        std::cout << lovage::to_json_text(reply) << std::endl;
    }
    return 0;
}
