// Any bytes as a message of remote control: the header table's JSON, a line break, the body.
// Reading it as a request or as a reply must end in a value that survives being written, or in a
// readable reason; finding out whom it addresses must end soon, whatever its pattern.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <lovage/control/control_message.hpp>

namespace {

using lovage::Message;

constexpr lovage::ControlLimits kLimits{.request = {.depth = 32, .bytes = std::size_t{1} << 16U},
                                        .reply = {.depth = 32, .bytes = std::size_t{1} << 16U}};
// What is written escapes more than what was read.
constexpr lovage::ControlLimits kWide{.request = {.depth = 34, .bytes = std::size_t{8} << 16U},
                                      .reply = {.depth = 34, .bytes = std::size_t{8} << 16U}};

void check_error(const lovage::Error& error) {
    LOVAGE_ASSERT(!error.detail.empty());
    LOVAGE_ASSERT(error.detail.size() < 1000);
}

void check_request(const Message& message) {
    const auto request = lovage::decode_control_request(message, kLimits);
    if (!request) return check_error(request.error());
    const auto again =
        lovage::decode_control_request(lovage::encode_control_request(*request), kWide);
    LOVAGE_ASSERT(again.has_value());
    LOVAGE_ASSERT(again->method == request->method && again->arguments == request->arguments);
    LOVAGE_ASSERT(again->destination == request->destination);
    LOVAGE_ASSERT(again->ticket == request->ticket && again->reply_to == request->reply_to);
    (void)lovage::addressed_to(*request, "celery@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

void check_reply(const Message& message) {
    const auto reply = lovage::decode_control_reply(message, kLimits);
    if (!reply) return check_error(reply.error());
    const auto again = lovage::decode_control_reply(lovage::encode_control_reply(*reply), kWide);
    LOVAGE_ASSERT(again.has_value());
    LOVAGE_ASSERT(*again == *reply);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const std::size_t end_of_line = std::min(input.find('\n'), input.size());
    const auto table = lovage::parse_json_shallow(input.substr(0, end_of_line), size % 2);
    if (!table) return 0;
    Message message;
    message.headers = *table;
    message.body = input.substr(std::min(end_of_line + 1, input.size()));
    check_request(message);
    check_reply(message);
    return 0;
}
