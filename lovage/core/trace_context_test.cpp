#include <lovage/core/trace_context.hpp>

#include <gtest/gtest.h>

#include <string>

namespace lovage {
namespace {

// The example of the standard, section 3.2.3.
const std::string kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, IsPassedOnAsItCame) {
    const TraceContext trace =
        read_trace_context(kParent, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    EXPECT_EQ(trace.traceparent, kParent);
    EXPECT_EQ(trace.tracestate, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
}

TEST(TraceContext, WhatTheStandardCallsInvalidIsNone) {
    for (const std::string& parent :
         {std::string{}, std::string{"00"}, kParent + "-more", kParent.substr(0, 54),
          "ff" + kParent.substr(2), "0X" + kParent.substr(2),
          std::string{"00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
          std::string{"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"},
          std::string{"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"},
          std::string{"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"},
          "cc" + kParent.substr(2) + "x", "cc" + kParent.substr(2) + "-" + std::string(300, 'a'),
          "cc" + kParent.substr(2) + "-\n"}) {
        EXPECT_TRUE(read_trace_context(parent, "a=b").empty()) << parent;
        EXPECT_EQ(read_trace_context(parent, "a=b").tracestate, "") << parent;
    }
}

TEST(TraceContext, LaterVersionsMayBeLonger) {
    const std::string later = "cc" + kParent.substr(2);
    EXPECT_EQ(read_trace_context(later, "").traceparent, later);
    EXPECT_EQ(read_trace_context(later + "-what-else", "").traceparent, later + "-what-else");
}

TEST(TraceContext, AStateThatIsNoneCostsNothingElse) {
    EXPECT_EQ(read_trace_context(kParent, std::string(kTraceStateBytesMax, 'a')).tracestate.size(),
              kTraceStateBytesMax);
    for (const std::string& state :
         {std::string(kTraceStateBytesMax + 1, 'a'), std::string{"a\tb"}}) {
        EXPECT_EQ(read_trace_context(kParent, state), (TraceContext{kParent, ""}));
    }
}

TEST(TraceContext, TravelsInHeaders) {
    Json headers = Json::object({{"x-tenant", "a"}});
    EXPECT_TRUE(trace_context_of(headers).empty());
    add_trace_context(headers, {});
    EXPECT_EQ(to_json_text(headers), R"({"x-tenant": "a"})");
    const TraceContext trace{kParent, "a=b"};
    add_trace_context(headers, trace);
    EXPECT_EQ(trace_context_of(headers), trace);

    const TraceContext other{"00-11111111111111111111111111111111-2222222222222222-00", ""};
    Json own = Json::object({{"traceparent", other.traceparent}});
    add_trace_context(own, trace);
    EXPECT_EQ(trace_context_of(own), other);
    EXPECT_EQ(own.find("tracestate"), nullptr);
}

TEST(TraceContext, HeadersMayHoldAnything) {
    EXPECT_TRUE(trace_context_of({}).empty());
    EXPECT_TRUE(trace_context_of(Json::array({1})).empty());
    EXPECT_TRUE(trace_context_of(Json::object({{"traceparent", 1}})).empty());
    EXPECT_EQ(trace_context_of(Json::object({{"traceparent", kParent}, {"tracestate", true}})),
              (TraceContext{kParent, ""}));
}

}  // namespace
}  // namespace lovage
