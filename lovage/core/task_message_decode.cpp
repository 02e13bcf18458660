#include <lovage/core/task_message.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/detail/inflate.hpp>
#include <lovage/core/python_repr.hpp>

namespace lovage {
namespace {

/// The header fields that have a place in TaskMessage; `compression` describes the body as it
/// travelled and does not outlive decoding. Wire: Celery's names.
constexpr std::array<std::string_view, 19> kOwnHeaders = {"task",
                                                          "id",
                                                          "shadow",
                                                          "eta",
                                                          "expires",
                                                          "group",
                                                          "group_index",
                                                          "retries",
                                                          "timelimit",
                                                          "root_id",
                                                          "parent_id",
                                                          "argsrepr",
                                                          "kwargsrepr",
                                                          "origin",
                                                          "ignore_result",
                                                          "replaced_task_nesting",
                                                          "stamped_headers",
                                                          "stamps",
                                                          "compression"};

bool is_own_header(std::string_view name) {
    return std::ranges::find(kOwnHeaders, name) != kOwnHeaders.end();
}

/// Longer bodies are not parsed just to show their arguments.
constexpr std::size_t kReprBodyBytesMax = std::size_t{64} << 10U;
constexpr double kTimeLimitSecondsMax = 1e9;

std::string shown(const Json& value) {
    return python_repr(value, 60);
}

/// Whether an ISO 8601 text says what its clock time is relative to.
bool has_offset(std::string_view text) {
    constexpr std::size_t kDateLength = 10;
    return text.size() > kDateLength &&
           text.find_first_of("Z+-", kDateLength) != std::string_view::npos;
}

/// Reads one message. Every step returns false once `error_` is set.
class Decoder {
public:
    Decoder(const Message& message, const DecodeLimits& limits)
        : message_{message}, limits_{limits} {}

    std::expected<TaskMessage, DecodeError> decode() {
        if (read_table() && read_body() && read_protocol()) {
            read_properties();
            return std::move(task_);
        }
        note_identity();
        return std::unexpected{std::move(error_)};
    }

private:
    bool bad(BadMessage reason, std::string detail) {
        error_.reason = reason;
        error_.detail = std::move(detail);
        return false;
    }
    bool invalid(std::string_view field, std::string_view wanted, const Json& found) {
        return bad(BadMessage::invalid,
                   fmt::format("'{}' must be {}, not {}", field, wanted, shown(found)));
    }

    // ------------------------------------------------------------------------- table and body

    bool read_table() {
        Result<Json> table = message_.headers.expanded(limits_.json);
        if (!table) {
            const bool large = table.error().code == Errc::too_large;
            return bad(large ? BadMessage::too_large : BadMessage::invalid,
                       "header table: " + table.error().detail);
        }
        if (table->is_null()) table = Json::object();
        if (!table->is_object()) {
            return bad(BadMessage::invalid,
                       fmt::format("the header table must be a map, not {}", shown(*table)));
        }
        table_ = std::move(*table);
        return true;
    }

    /// Says who the message is about, in the report about what is wrong with it. Of table and body,
    /// the one that names the task has the last word.
    void note_identity() {
        if (present(table_, "task")) {
            note_identity_of(body_);
            note_identity_of(table_);
        } else {
            note_identity_of(table_);
            note_identity_of(body_);
        }
        if (!task_.id.empty()) error_.task_id = task_.id;  // moved out of its source
        if (!task_.task.empty()) error_.task = task_.task;
    }
    void note_identity_of(const Json& source) {
        const auto readable = [&source](const char* name) -> std::optional<std::string> {
            const Json* value = source.find(name);
            if (!value || !value->is_string() || value->as_string().empty()) return std::nullopt;
            if (value->as_string().size() > kTaskIdBytesMax) return std::nullopt;
            return value->as_string();
        };
        if (auto id = readable("id")) error_.task_id = std::move(id);
        if (auto task = readable("task")) error_.task = std::move(task);
    }

    /// Checks the content type before anything looks at the bytes, as Celery does.
    bool read_body() {
        const std::string& type = message_.properties.content_type;
        if (type != "application/json") {
            return bad(BadMessage::content_disallowed,
                       type.empty() ? "the message has no content type"
                                    : fmt::format("content type {} is not accepted, only "
                                                  "application/json is",
                                                  shown(type)));
        }
        if (message_.body.size() > limits_.body_bytes) {
            return bad(BadMessage::too_large,
                       fmt::format("a body of {} bytes, the limit is {}", message_.body.size(),
                                   limits_.body_bytes));
        }
        std::string unpacked;
        std::string_view text = message_.body;
        if (const Json* compression = present(table_, "compression")) {
            if (!unpack(*compression, unpacked)) return false;
            text = unpacked;
        }
        body_bytes_ = text.size();
        Result<Json> body = parse_json_shallow(text, 1, limits_.json);
        if (!body) {
            const bool large = body.error().code == Errc::too_large;
            return bad(large ? BadMessage::too_large : BadMessage::undecodable,
                       "body: " + body.error().detail);
        }
        body_ = std::move(*body);
        return true;
    }

    /// Celery's "gzip" is a zlib stream under the name application/x-gzip.
    bool unpack(const Json& compression, std::string& text) {
        if (!compression.is_string()) return invalid("compression", "text", compression);
        const std::string& name = compression.as_string();
        if (name != "application/x-gzip" && name != "gzip" && name != "zlib") {
            return bad(BadMessage::unsupported,
                       fmt::format("compression {} is not supported, only zlib "
                                   "(application/x-gzip) is",
                                   shown(compression)));
        }
        Result<std::string> unpacked = detail::inflate_zlib(message_.body, limits_.body_bytes);
        if (!unpacked) {
            const bool large = unpacked.error().code == Errc::too_large;
            return bad(large ? BadMessage::too_large : BadMessage::undecodable,
                       "body: " + unpacked.error().detail);
        }
        text = std::move(*unpacked);
        return true;
    }

    // ----------------------------------------------------------------------------- protocols

    /// A `task` in the header table, not the body, decides.
    bool read_protocol() {
        if (present(table_, "task")) return body_.find("args") ? read_hybrid() : read_protocol_2();
        if (present(body_, "task")) return read_protocol_1();
        return bad(BadMessage::unknown_message,
                   "neither the header table nor the body names a task");
    }

    bool read_protocol_2() {
        if (!body_.is_array() || body_.as_array().size() != 3) {
            return bad(BadMessage::undecodable,
                       body_.is_array()
                           ? fmt::format("the body is a list of {}, not [args, kwargs, embed]",
                                         body_.as_array().size())
                           : fmt::format("the body is a {}, not the list [args, kwargs, embed]",
                                         body_.python_type_name()));
        }
        Json::Array& triple = body_.as_array();
        return read_fields(table_) && take_arguments(std::move(triple[0]), std::move(triple[1])) &&
               take_embed(std::move(triple[2])) && read_user_headers();
    }

    bool read_protocol_1() {
        task_.protocol = 1;
        return read_fields(body_) && read_map_body() && read_user_headers();
    }

    /// A map as body under a protocol 2 table: the table's fields win.
    bool read_hybrid() {
        task_.protocol = 1;
        for (const auto& [name, value] : table_.as_object()) {
            if (is_own_header(name)) body_.set(name, value);
        }
        return read_fields(body_) && read_map_body() && read_user_headers();
    }

    bool read_map_body() {
        const auto take = [this](const char* name, Json otherwise) {
            Json* value = body_.find(name);
            return value ? std::move(*value) : std::move(otherwise);
        };
        if (!short_text(body_, "taskset", task_.group) || !check_utc()) return false;
        task_.embed = Json::object({{"callbacks", take("callbacks", nullptr)},
                                    {"errbacks", take("errbacks", nullptr)},
                                    {"chain", nullptr},
                                    {"chord", take("chord", nullptr)}});
        return take_arguments(take("args", Json::array()), take("kwargs", Json::object()));
    }

    /// Celery differs: with `utc` false it reads times without an offset in its own time zone and
    /// hopes that the sender's is the same. A task that would run at the wrong hour is refused
    /// here.
    bool check_utc() {
        const Json* utc = body_.find("utc");
        if (!utc || !utc->is_bool() || utc->as_bool()) return true;
        for (const char* name : {"eta", "expires"}) {
            const Json* when = body_.find(name);
            if (when && when->is_string() && !has_offset(when->as_string())) {
                return bad(BadMessage::invalid,
                           fmt::format("'{}' {} is in the sender's local time (utc is false), "
                                       "which is not known here",
                                       name, shown(*when)));
            }
        }
        return true;
    }

    bool take_arguments(Json args, Json kwargs) {
        if (args.python_type_name() != "list") return invalid("args", "a list", args);
        if (kwargs.python_type_name() != "dict") return invalid("kwargs", "a map", kwargs);
        if (body_bytes_ <= kReprBodyBytesMax) {
            if (task_.argsrepr.empty()) task_.argsrepr = celery_repr(args, false);
            if (task_.kwargsrepr.empty()) task_.kwargsrepr = celery_repr(kwargs, false);
        }
        task_.args = std::move(args);
        task_.kwargs = std::move(kwargs);
        return true;
    }

    bool take_embed(Json embed) {
        if (embed.is_null()) embed = TaskMessage::default_embed();
        if (embed.python_type_name() != "dict") return invalid("embed", "a map or null", embed);
        task_.embed = std::move(embed);
        return true;
    }

    bool read_user_headers() {
        for (auto& [name, value] : table_.as_object()) {
            if (is_own_header(name)) continue;
            if (name == "lang" && value == Json{"py"}) continue;
            task_.user_headers.as_object().emplace_back(name, std::move(value));
        }
        return true;
    }

    void read_properties() {
        const MessageProperties& properties = message_.properties;
        task_.reply_to = properties.reply_to;
        task_.correlation_id =
            properties.correlation_id.empty() ? task_.id : properties.correlation_id;
        task_.priority = properties.priority;
        task_.persistent = properties.delivery_mode != 1;
        if (task_.root_id.empty()) task_.root_id = task_.id;
    }

    // -------------------------------------------------------------------------------- fields

    /// Takes texts out of `source`.
    bool read_fields(Json& source) {
        if (!required_text(source, "id", task_.id)) return false;
        if (!required_text(source, "task", task_.task)) return false;
        read_display_text(source);
        std::optional<std::string> root_id;
        if (!time(source, "eta", task_.eta)) return false;
        if (!time(source, "expires", task_.expires)) return false;
        if (!short_text(source, "group", task_.group)) return false;
        if (!group_index(source)) return false;
        if (!count(source, "retries", task_.retries)) return false;
        if (!time_limits(source)) return false;
        if (!short_text(source, "root_id", root_id)) return false;
        if (!short_text(source, "parent_id", task_.parent_id)) return false;
        if (!ignore_result(source)) return false;
        if (!count(source, "replaced_task_nesting", task_.replaced_task_nesting)) return false;
        task_.root_id = std::move(root_id).value_or("");
        return stamps(source);
    }

    /// A field that is there and not null.
    static const Json* present(const Json& source, std::string_view name) {
        const Json* value = source.find(name);
        return value && !value->is_null() ? value : nullptr;
    }
    static Json* present(Json& source, std::string_view name) {
        Json* value = source.find(name);
        return value && !value->is_null() ? value : nullptr;
    }

    /// What is only shown to people is not worth refusing a task for.
    void read_display_text(Json& source) {
        const auto text = [&source](std::string_view name) {
            Json* value = source.find(name);
            return value && value->is_string() ? std::move(value->as_string()) : std::string{};
        };
        task_.argsrepr = text("argsrepr");
        task_.kwargsrepr = text("kwargsrepr");
        task_.origin = text("origin");
        if (std::string shadow = text("shadow"); !shadow.empty()) task_.shadow = std::move(shadow);
    }

    bool required_text(Json& source, std::string_view name, std::string& out) {
        Json* value = present(source, name);
        if (!value) return bad(BadMessage::invalid, fmt::format("'{}' is missing", name));
        if (!value->is_string() || value->as_string().empty() ||
            value->as_string().size() > kTaskIdBytesMax) {
            return invalid(name, fmt::format("text of 1 to {} bytes", kTaskIdBytesMax), *value);
        }
        out = std::move(value->as_string());
        return true;
    }

    bool short_text(Json& source, std::string_view name, std::optional<std::string>& out) {
        Json* value = present(source, name);
        if (!value) return true;
        if (!value->is_string() || value->as_string().size() > kTaskIdBytesMax) {
            return invalid(name, fmt::format("null or text of at most {} bytes", kTaskIdBytesMax),
                           *value);
        }
        if (!value->as_string().empty()) out = std::move(value->as_string());
        return true;
    }

    bool time(const Json& source, std::string_view name, std::optional<TimePoint>& out) {
        const Json* value = present(source, name);
        if (!value) return true;
        if (!value->is_string()) return invalid(name, "null or an ISO 8601 text", *value);
        const Result<TimePoint> when = parse_iso8601(value->as_string());
        if (!when) {
            return bad(BadMessage::invalid, fmt::format("'{}': {}", name, when.error().detail));
        }
        out = *when;
        return true;
    }

    bool count(const Json& source, std::string_view name, std::int64_t& out) {
        const Json* value = present(source, name);
        if (!value) return true;
        const auto number = value->is_integer() ? value->as_int64() : std::nullopt;
        if (!number || *number < 0) return invalid(name, "a whole number from 0", *value);
        out = *number;
        return true;
    }

    bool group_index(const Json& source) {
        const Json* value = present(source, "group_index");
        if (!value) return true;
        const auto number = value->is_integer() ? value->as_int64() : std::nullopt;
        if (!number) return invalid("group_index", "null or a whole number", *value);
        task_.group_index = *number;
        return true;
    }

    bool ignore_result(const Json& source) {
        const Json* value = present(source, "ignore_result");
        if (!value) return true;
        if (!value->is_bool()) return invalid("ignore_result", "true or false", *value);
        task_.ignore_result = value->as_bool();
        return true;
    }

    /// `[hard, soft]` in seconds; null and 0 are no limit.
    bool time_limits(const Json& source) {
        constexpr std::string_view kWanted = "null or [hard, soft], each null or seconds up to 1e9";
        const Json* value = present(source, "timelimit");
        if (!value) return true;
        const Result<Json> list = value->expanded(limits_.json);
        if (!list || !list->is_array() || list->as_array().size() != 2) {
            return invalid("timelimit", kWanted, *value);
        }
        const std::array targets = {&task_.time_limit, &task_.soft_time_limit};
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const Json& limit = list->as_array()[i];
            if (limit.is_null()) continue;
            double seconds = -1;
            if (limit.is_real()) seconds = limit.as_real();
            if (limit.is_integer()) seconds = static_cast<double>(limit.as_int64().value_or(-1));
            // Written so that NaN fails, too.
            if (!(seconds >= 0 && seconds <= kTimeLimitSecondsMax)) {
                return invalid("timelimit", kWanted, *value);
            }
            if (seconds > 0) *targets[i] = seconds;
        }
        return true;
    }

    bool stamps(Json& source) {
        if (Json* names = present(source, "stamped_headers")) {
            if (names->python_type_name() != "list") {
                return invalid("stamped_headers", "null or a list", *names);
            }
            task_.stamped_headers = std::move(*names);
        }
        if (Json* values = present(source, "stamps")) {
            if (values->python_type_name() != "dict") return invalid("stamps", "a map", *values);
            task_.stamps = std::move(*values);
        }
        return true;
    }

    const Message& message_;
    const DecodeLimits& limits_;
    Json table_;
    Json body_;
    std::size_t body_bytes_ = 0;
    TaskMessage task_{.embed = nullptr};  // every protocol sets it
    DecodeError error_{
        .reason = BadMessage::invalid, .detail = {}, .task_id = std::nullopt, .task = std::nullopt};
};

}  // namespace

std::expected<TaskMessage, DecodeError> decode_task_message(const Message& message,
                                                            const DecodeLimits& limits) {
    return Decoder{message, limits}.decode();
}

}  // namespace lovage
