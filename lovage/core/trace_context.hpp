#pragma once

#include <string>
#include <string_view>

#include <lovage/core/json.hpp>

namespace lovage {

/// Where a call stands in a distributed trace: W3C Trace Context, level 1. Lovage makes no spans;
/// it passes on what it was given, from an HTTP request or a message to whatever that leads to, so
/// that whoever does make spans finds one trace.
///
/// In messages they are headers of these names, which is where OpenTelemetry's instrumentation of
/// Celery writes and reads them.
struct TraceContext {
    std::string traceparent;  ///< Empty: there is no trace, then `tracestate` is empty, too.
    std::string tracestate;   ///< At most kTraceStateBytesMax.

    [[nodiscard]] bool empty() const noexcept { return traceparent.empty(); }

    friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

/// What every participant must be able to pass on (section 3.3.1.5); a longer one is left out.
inline constexpr std::size_t kTraceStateBytesMax = 512;

/// Of two fields as they came; empty when `traceparent` is not valid, as the standard wants it.
[[nodiscard]] TraceContext read_trace_context(std::string_view traceparent,
                                              std::string_view tracestate);
/// Of a message's headers, which may hold anything.
[[nodiscard]] TraceContext trace_context_of(const Json& headers);
/// Adds it to a message's headers, unless they have a traceparent of their own.
void add_trace_context(Json& headers, const TraceContext& trace);

}  // namespace lovage
