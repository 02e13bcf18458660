// Any bytes as a message of the event exchange: what is read must be written as it was read, and
// the state made of it must keep its bounds.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <lovage/events/event.hpp>
#include <lovage/events/event_state.hpp>

namespace {

constexpr lovage::EventState::Limits kLimits{.workers = 3, .tasks = 4};

void check_texts(const lovage::TaskView& task) {
    using lovage::EventState;
    LOVAGE_ASSERT(task.args.size() <= EventState::kTextBytesMax);
    LOVAGE_ASSERT(task.result.size() <= EventState::kTextBytesMax);
    LOVAGE_ASSERT(task.traceback.size() <= EventState::kTracebackBytesMax);
    LOVAGE_ASSERT(!task.state.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    lovage::Message message;
    message.body = std::string{reinterpret_cast<const char*>(data), size};
    const auto batch = lovage::decode_events(message, {.body_bytes = 1U << 16U, .events = 100});
    if (!batch) return 0;
    message.body = lovage::encode_events(batch->events);
    const auto again = lovage::decode_events(message);
    LOVAGE_ASSERT(again && again->refused == 0 && again->events == batch->events);

    lovage::EventState state{kLimits};
    for (const lovage::Event& event : batch->events) {
        const auto change = state.apply(event, lovage::TimePoint{});
        if (change.task != nullptr) check_texts(*change.task);
    }
    LOVAGE_ASSERT(state.tasks().size() <= kLimits.tasks);
    LOVAGE_ASSERT(state.workers().size() <= kLimits.workers);
    return 0;
}
