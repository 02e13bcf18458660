#include <lovage/core/task_message.hpp>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <lovage/core/python_repr.hpp>

namespace lovage {
namespace {

const std::string& or_else(const std::string& text, const std::string& otherwise) {
    return text.empty() ? otherwise : text;
}

/// Writes the header table as JSON text. A header of the user's that has one of Celery's own names
/// takes its place; the others follow.
class HeaderWriter {
public:
    explicit HeaderWriter(const Json::Object& user) : user_{user} {
        constexpr std::size_t kUsualBytes = 1024;
        text_.reserve(kUsualBytes);
        text_ = '{';
    }

    template <class T>
    void add(std::string_view name, const T& value) {
        begin(name);
        if (const Json* replacement = replacement_of(name)) return append(*replacement);
        append(value);
    }

    [[nodiscard]] std::string finish() && {
        for (const auto& [name, value] : user_) {
            if (std::ranges::find(replacements_, &value) != replacements_.end()) continue;
            begin(name);
            append(value);
        }
        text_ += '}';
        return std::move(text_);
    }

private:
    void begin(std::string_view name) {
        if (text_.size() > 1) text_ += ", ";
        append(name);
        text_ += ": ";
    }
    const Json* replacement_of(std::string_view name) {
        const auto found = std::ranges::find(user_, name, &Json::Member::first);
        if (found == user_.end()) return nullptr;
        return replacements_.emplace_back(&found->second);
    }

    void append(const Json& value) { append_json_text(text_, value); }
    void append(std::string_view value) { append_json_string(text_, value); }
    void append(const std::string& value) { append(std::string_view{value}); }
    void append(const char* value) { append(std::string_view{value}); }
    void append(bool value) { text_ += value ? "true" : "false"; }
    void append(std::int64_t value) { append(Json{value}); }
    void append(TimePoint value) { append(to_iso8601(value)); }
    /// Whole seconds as integers, since that is how they are usually given: `[20, 10]`.
    void append(double seconds) {
        constexpr double kExact = 9007199254740992.0;  // 2^53
        const bool whole = std::trunc(seconds) == seconds && std::abs(seconds) < kExact;
        append(whole ? Json{static_cast<std::int64_t>(seconds)} : Json{seconds});
    }
    template <class T>
    void append(const std::optional<T>& value) {
        if (!value) {
            text_ += "null";
            return;
        }
        append(*value);
    }
    template <class T>
    void append(const std::pair<T, T>& two) {
        text_ += '[';
        append(two.first);
        text_ += ", ";
        append(two.second);
        text_ += ']';
    }

    const Json::Object& user_;
    std::vector<const Json*> replacements_;
    std::string text_;
};

/// Wire: names and order are Celery 5.6's.
std::string header_text(const TaskMessage& task) {
    HeaderWriter headers{task.user_headers.as_object()};
    headers.add("lang", "py");
    headers.add("task", task.task);
    headers.add("id", task.id);
    headers.add("shadow", task.shadow);
    headers.add("eta", task.eta);
    headers.add("expires", task.expires);
    headers.add("group", task.group);
    headers.add("group_index", task.group_index);
    headers.add("retries", task.retries);
    headers.add("timelimit", std::pair{task.time_limit, task.soft_time_limit});
    headers.add("root_id", or_else(task.root_id, task.id));
    headers.add("parent_id", task.parent_id);
    headers.add("argsrepr", task.argsrepr.empty() ? celery_repr(task.args, true) : task.argsrepr);
    headers.add("kwargsrepr",
                task.kwargsrepr.empty() ? celery_repr(task.kwargs, false) : task.kwargsrepr);
    headers.add("origin", task.origin);
    headers.add("ignore_result", task.ignore_result);
    headers.add("replaced_task_nesting", task.replaced_task_nesting);
    headers.add("stamped_headers", task.stamped_headers);
    headers.add("stamps", task.stamps);
    return std::move(headers).finish();
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
    message.headers = Json::raw(header_text(task));
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
