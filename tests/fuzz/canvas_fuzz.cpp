// Any JSON as what a message asks for after its task. Reading it must end in follow-ups or in a
// readable reason, and so must planning them; every planned call must be a message that can be read
// again, and planning twice must give the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/canvas.hpp>
#include <lovage/core/follow_ups.hpp>
#include <lovage/core/task_message.hpp>

namespace {

using lovage::CanvasPlan;
using lovage::Json;
using lovage::Result;

const lovage::CanvasPlanner::Caller kCaller{"0e0f4f1e-6f43-4b43-9d3c-0d7d0f0c7c01", "root", {}};

void check_error(const lovage::Error& error) {
    LOVAGE_ASSERT(!error.detail.empty());
    LOVAGE_ASSERT(error.detail.find('\n') == std::string::npos);
}

void check_plan(const Result<CanvasPlan>& plan, const Result<CanvasPlan>& again) {
    LOVAGE_ASSERT(plan.has_value() == again.has_value());
    if (!plan) return check_error(plan.error());
    LOVAGE_ASSERT(plan->calls.size() == again->calls.size());
    for (std::size_t i = 0; i < plan->calls.size(); ++i) {
        const lovage::TaskMessage& message = plan->calls[i].message;
        LOVAGE_ASSERT(message == again->calls[i].message);
        lovage::DecodeLimits limits;
        limits.json.depth = lovage::kJsonDepthMax;
        LOVAGE_ASSERT(
            lovage::decode_task_message(lovage::encode_task_message(message), limits).has_value());
    }
    for (const lovage::PlannedChord& chord : plan->chords) {
        LOVAGE_ASSERT(!chord.group_id.empty());
        LOVAGE_ASSERT(chord.size >= 0);
    }
}

void check_signature(const lovage::Signature& signature) {
    const auto again = lovage::decode_signature(lovage::encode_signature(signature), "it");
    LOVAGE_ASSERT(again && *again == signature);
    if (const auto calls = lovage::unreached_calls(signature); !calls) check_error(calls.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const auto embed = lovage::parse_json_shallow(input, 0, {.depth = 100, .bytes = 1U << 16U});
    if (!embed) return 0;
    const auto follow_ups = lovage::read_follow_ups(*embed);
    if (!follow_ups) {
        check_error(follow_ups.error());
        return 0;
    }
    const auto success = [&] { return lovage::plan_success(*follow_ups, kCaller, Json{42}); };
    check_plan(success(), success());
    const auto errbacks = [&] {
        return lovage::plan_errbacks(follow_ups->errbacks, kCaller, {},
                                     [](const auto& errback) { return errback.task.size() > 4; });
    };
    check_plan(errbacks(), errbacks());
    for (const lovage::Signature& callback : follow_ups->callbacks) check_signature(callback);
    if (follow_ups->chord.is_null()) return 0;
    const auto body = lovage::value_or_throw(lovage::decode_signature(follow_ups->chord, "body"));
    check_signature(body);
    const auto chord = [&] { return lovage::plan_chord_body(body, kCaller, Json::array({1, 2})); };
    check_plan(chord(), chord());
    return 0;
}
