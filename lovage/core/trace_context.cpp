#include <lovage/core/trace_context.hpp>

#include <algorithm>

namespace lovage {

namespace {

constexpr std::string_view kParent = "traceparent";
constexpr std::string_view kState = "tracestate";

// version "-" trace-id "-" parent-id "-" flags, in hexadecimal digits (section 3.2.2).
constexpr std::size_t kVersionDigits = 2;
constexpr std::size_t kTraceIdAt = 3;
constexpr std::size_t kTraceIdDigits = 32;
constexpr std::size_t kParentIdAt = 36;
constexpr std::size_t kParentIdDigits = 16;
constexpr std::size_t kFlagsAt = 53;
constexpr std::size_t kFlagsDigits = 2;
constexpr std::size_t kLength = kFlagsAt + kFlagsDigits;
/// Versions to come may be longer, though not without an end.
constexpr std::size_t kLengthMax = 256;

bool are_digits(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) {
    return are_digits(text) && text.find_first_not_of('0') != std::string_view::npos;
}

bool is_printable(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_trace_parent(std::string_view text) {
    if (text.size() < kLength || text.size() > kLengthMax || !is_printable(text)) return false;
    const std::string_view version = text.substr(0, kVersionDigits);
    if (!are_digits(version) || version == "ff") return false;
    if (version == "00" ? text.size() != kLength : text.size() > kLength && text[kLength] != '-') {
        return false;
    }
    return text[kTraceIdAt - 1] == '-' && text[kParentIdAt - 1] == '-' &&
           text[kFlagsAt - 1] == '-' && is_id(text.substr(kTraceIdAt, kTraceIdDigits)) &&
           is_id(text.substr(kParentIdAt, kParentIdDigits)) &&
           are_digits(text.substr(kFlagsAt, kFlagsDigits));
}

std::string text_at(const Json& headers, std::string_view name) {
    const Json* const value = headers.is_object() ? headers.find(name) : nullptr;
    return value != nullptr && value->is_string() ? value->as_string() : std::string{};
}

}  // namespace

TraceContext read_trace_context(std::string_view traceparent, std::string_view tracestate) {
    TraceContext trace;
    if (!is_trace_parent(traceparent)) return trace;
    trace.traceparent = traceparent;
    if (tracestate.size() <= kTraceStateBytesMax && is_printable(tracestate)) {
        trace.tracestate = tracestate;
    }
    return trace;
}

TraceContext trace_context_of(const Json& headers) {
    return read_trace_context(text_at(headers, kParent), text_at(headers, kState));
}

void add_trace_context(Json& headers, const TraceContext& trace) {
    if (trace.empty() || headers.find(kParent) != nullptr) return;
    headers.set(kParent, trace.traceparent);
    if (!trace.tracestate.empty()) headers.set(kState, trace.tracestate);
}

}  // namespace lovage
