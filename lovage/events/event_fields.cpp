#include <lovage/events/event_fields.hpp>

#include <utility>

namespace lovage {

std::string& EventFields::member(std::string_view name) {
    if (!members_.empty()) members_ += ", ";
    append_json_string(members_, name);
    members_ += ": ";
    return members_;
}

EventFields& EventFields::text(std::string_view name, std::string_view value) {
    append_json_string(member(name), value);
    return *this;
}

EventFields& EventFields::text_or_null(std::string_view name, std::string_view value) {
    if (value.empty()) {
        member(name) += "null";
        return *this;
    }
    return text(name, value);
}

EventFields& EventFields::integer(std::string_view name, std::int64_t value) {
    member(name) += std::to_string(value);
    return *this;
}

EventFields& EventFields::real(std::string_view name, double value) {
    member(name) += python_float_repr(value);
    return *this;
}

EventFields& EventFields::boolean(std::string_view name, bool value) {
    member(name) += value ? "true" : "false";
    return *this;
}

EventFields& EventFields::json(std::string_view name, const Json& value) {
    append_json_text(member(name), value);
    return *this;
}

EventSource::EventSource(std::string hostname, std::int64_t pid)
    : hostname_{std::move(hostname)}, pid_{pid} {
    set_utc_offset(0);
}

void EventSource::set_utc_offset(std::int64_t hours) {
    opening_ = R"({"hostname": )";
    append_json_string(opening_, hostname_);
    opening_ += R"(, "utcoffset": )" + std::to_string(hours);
    opening_ += R"(, "pid": )" + std::to_string(pid_) + R"(, "clock": )";
}

void EventSource::append(std::string& out, std::string_view type, std::int64_t clock,
                         double timestamp, const EventFields& fields) const {
    out += opening_;
    out += std::to_string(clock);
    if (!fields.members().empty()) {
        out += ", ";
        out += fields.members();
    }
    out += R"(, "timestamp": )";
    out += python_float_repr(timestamp);
    out += R"(, "type": )";
    append_json_string(out, type);
    out += '}';
}

}  // namespace lovage
