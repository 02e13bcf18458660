#include <lovage/core/task_message.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/python_repr.hpp>

namespace lovage {
namespace {

/// Whole seconds as integers, since that is how they are usually given: `[20, 10]`.
Json seconds_json(const std::optional<double>& seconds) {
    if (!seconds) return nullptr;
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (std::trunc(*seconds) == *seconds && std::abs(*seconds) < kExact) {
        return static_cast<std::int64_t>(*seconds);
    }
    return *seconds;
}

template <class T>
Json optional_json(const std::optional<T>& value) {
    if (!value) return nullptr;
    return *value;
}

Json time_json(const std::optional<TimePoint>& when) {
    if (!when) return nullptr;
    return to_iso8601(*when);
}

const std::string& or_else(const std::string& text, const std::string& otherwise) {
    return text.empty() ? otherwise : text;
}

/// The header table. Wire: names and order are Celery 5.6's.
Json header_table(const TaskMessage& task) {
    Json::Object table;
    table.reserve(19 + task.user_headers.as_object().size());
    const auto add = [&table](const char* name, Json value) {
        table.emplace_back(name, std::move(value));
    };
    add("lang", "py");
    add("task", task.task);
    add("id", task.id);
    add("shadow", optional_json(task.shadow));
    add("eta", time_json(task.eta));
    add("expires", time_json(task.expires));
    add("group", optional_json(task.group));
    add("group_index", optional_json(task.group_index));
    add("retries", task.retries);
    add("timelimit",
        Json::array({seconds_json(task.time_limit), seconds_json(task.soft_time_limit)}));
    add("root_id", or_else(task.root_id, task.id));
    add("parent_id", optional_json(task.parent_id));
    add("argsrepr", task.argsrepr.empty() ? celery_repr(task.args, true) : task.argsrepr);
    add("kwargsrepr", task.kwargsrepr.empty() ? celery_repr(task.kwargs, false) : task.kwargsrepr);
    add("origin", task.origin);
    add("ignore_result", task.ignore_result);
    add("replaced_task_nesting", task.replaced_task_nesting);
    add("stamped_headers", task.stamped_headers);
    add("stamps", task.stamps);

    // Names among the user's headers are distinct, so only Celery's own can be met again.
    const auto own = static_cast<std::ptrdiff_t>(table.size());
    for (const auto& [name, value] : task.user_headers.as_object()) {
        const auto same = std::find_if(table.begin(), table.begin() + own,
                                       [&](const auto& member) { return member.first == name; });
        if (same != table.begin() + own) {
            same->second = value;
        } else {
            table.emplace_back(name, value);
        }
    }
    return Json{std::move(table)};
}

}  // namespace

Json TaskMessage::default_embed() {
    return Json::object(
        {{"callbacks", nullptr}, {"errbacks", nullptr}, {"chain", nullptr}, {"chord", nullptr}});
}

const std::string& TaskMessage::display_name() const noexcept {
    return shadow && !shadow->empty() ? *shadow : task;
}

std::string_view to_string(BadMessage reason) noexcept {
    switch (reason) {
        case BadMessage::unknown_message:
            return "unknown-message";
        case BadMessage::undecodable:
            return "undecodable";
        case BadMessage::content_disallowed:
            return "content-disallowed";
        case BadMessage::invalid:
            return "invalid-message";
        case BadMessage::too_large:
            return "too-large";
        case BadMessage::unsupported:
            return "unsupported";
    }
    return "invalid-message";
}

Result<void> check_encodable(const TaskMessage& task) {
    const auto bad = [](std::string what) { return fail(Errc::invalid_argument, std::move(what)); };
    const auto fits = [](const std::string& text) {
        return !text.empty() && text.size() <= kTaskIdBytesMax;
    };
    if (!fits(task.task)) {
        return bad(fmt::format("a task name has 1 to {} bytes, not {}", kTaskIdBytesMax,
                               task.task.size()));
    }
    if (!fits(task.id)) {
        return bad(fmt::format("task '{}': a task id has 1 to {} bytes, not {}", task.task,
                               kTaskIdBytesMax, task.id.size()));
    }
    if (task.args.python_type_name() != "list") {
        return bad(fmt::format("task '{}': args must be a list, not {}", task.task,
                               python_repr(task.args, 60)));
    }
    if (task.kwargs.python_type_name() != "dict") {
        return bad(fmt::format("task '{}': kwargs must be a map, not {}", task.task,
                               python_repr(task.kwargs, 60)));
    }
    if (!task.user_headers.is_object()) {
        return bad(fmt::format("task '{}': headers must be a map, not {}", task.task,
                               python_repr(task.user_headers, 60)));
    }
    for (const char* name : {"id", "task", "compression"}) {
        if (task.user_headers.find(name)) {
            return bad(fmt::format("task '{}': the header '{}' cannot be set", task.task, name));
        }
    }
    return {};
}

Message encode_task_message(const TaskMessage& task, std::optional<TimePoint> now) {
    LOVAGE_ASSERT(check_encodable(task));
    Message message;
    message.properties.correlation_id = or_else(task.correlation_id, task.id);
    message.properties.reply_to = task.reply_to;
    message.properties.priority = task.priority;
    message.properties.delivery_mode = task.persistent ? 2 : 1;
    if (now && task.expires) {
        using std::chrono::milliseconds;
        const auto left = std::chrono::duration_cast<milliseconds>(*task.expires - *now);
        message.properties.expiration = std::max(left, milliseconds{0});
    }
    message.headers = header_table(task);
    constexpr std::size_t kUsualBodyBytes = 128;
    message.body.reserve(kUsualBodyBytes);
    message.body = "[";
    append_json_text(message.body, task.args);
    message.body += ", ";
    append_json_text(message.body, task.kwargs);
    message.body += ", ";
    append_json_text(message.body, task.embed);
    message.body += "]";
    return message;
}

}  // namespace lovage
