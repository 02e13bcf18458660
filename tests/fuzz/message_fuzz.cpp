// Any bytes as a message: the header table's JSON, a line break, the body. Decoding must end in a
// task or in a readable reason, and a task must survive being written and read again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <lovage/core/task_message.hpp>

namespace {

using lovage::Json;
using lovage::Message;
using lovage::TaskMessage;

constexpr lovage::DecodeLimits kLimits{.json = {.depth = 64, .bytes = std::size_t{1} << 20U},
                                       .body_bytes = std::size_t{1} << 20U};

void check_error(const lovage::DecodeError& error) {
    LOVAGE_ASSERT(!error.detail.empty());
    LOVAGE_ASSERT(error.detail.find('\n') == std::string::npos);
    LOVAGE_ASSERT(error.detail.size() < 1000);
    LOVAGE_ASSERT(!error.task_id || !error.task_id->empty());
    LOVAGE_ASSERT(!error.task || !error.task->empty());
}

void check_round_trip(TaskMessage task) {
    // What decoding leaves out of long messages, encoding fills in.
    if (task.argsrepr.empty()) task.argsrepr = lovage::celery_repr(task.args, true);
    if (task.kwargsrepr.empty()) task.kwargsrepr = lovage::celery_repr(task.kwargs, false);
    const Message written = lovage::encode_task_message(task);

    lovage::DecodeLimits limits = kLimits;
    // Protocol 1's body and packed ones may grow a little when they are written as protocol 2.
    limits.json.depth += 1;
    limits.json.bytes = limits.body_bytes = std::size_t{8} << 20U;
    const auto again = lovage::decode_task_message(written, limits);
    LOVAGE_ASSERT(again.has_value());
    task.protocol = again->protocol;
    LOVAGE_ASSERT(*again == task);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const std::size_t end_of_line = std::min(input.find('\n'), input.size());
    Message message;
    // A broker hands over a valid table: as raw text, or as a value.
    const auto table = lovage::parse_json_shallow(input.substr(0, end_of_line), size % 2);
    if (!table) return 0;
    message.headers = *table;
    message.body = input.substr(std::min(end_of_line + 1, input.size()));
    auto task = lovage::decode_task_message(message, kLimits);
    if (task) {
        check_round_trip(std::move(*task));
    } else {
        check_error(task.error());
    }
    return 0;
}
